"""Commands that fit classifiers on encoders."""

import dataclasses
import pathlib
import sys
from typing import Annotated
from typing import Literal

import tyro

from video_repr import configs
from video_repr._quiet import import_tensorflow
from video_repr.cli.tables import print_predictions
from video_repr.cli.tables import print_table
from video_repr.transfer.config import SYSTEMS
from video_repr.transfer.config import FinetuneConfig
from video_repr.transfer.config import LabelCurveConfig

Positional = tyro.conf.Positional
_PERCEPTS = configs.load("percepts")


@dataclasses.dataclass(frozen=True)
class _Pretraining:
    """How an encoder of percepts is pretrained.

    Attributes:
        skip_shorter: leave out videos that are shorter than a clip, rather than
            raise an error.
        model: the encoder and the decoders.
        training: the optimisation.
    """

    skip_shorter: bool = False
    model: configs.ModelConfig = _PERCEPTS.model
    training: configs.TrainingConfig = _PERCEPTS.training


@dataclasses.dataclass(frozen=True)
class Finetune:
    """Fit an action classifier on a pretrained encoder.

    Writes classifier.keras, the predictions for every video, evaluation.json
    and confusion matrices.

    Attributes:
        encoder: run directory, export, or an encoder's .keras file.
        dataset: dataset directory with labels.
        run: directory to make.
        config: how the classifier is fitted.
        per_class: number of labelled videos of each class, or "all".
        seed: random seed of the choice of these videos and of the fit.
        random: start from random weights instead of the encoder's.
        test: evaluate on the test split too; use --no-test while you choose
            settings.
    """

    encoder: Positional[pathlib.Path]
    dataset: pathlib.Path
    run: pathlib.Path
    config: Annotated[FinetuneConfig, tyro.conf.arg(name="")] = (
        dataclasses.field(default_factory=FinetuneConfig)
    )
    per_class: int | Literal["all"] = "all"
    seed: int = 0
    random: tyro.conf.FlagCreatePairsOff[bool] = False
    test: bool = True

    def __call__(self):
        import_tensorflow()
        from video_repr.transfer.finetune import finetune

        found = finetune(
            self.config,
            self.encoder,
            self.dataset,
            self.run,
            per_class=self.per_class,
            seed=self.seed,
            random=self.random,
            test=self.test,
            verbose=1 if sys.stdout.isatty() else 2,
        )
        for split, predictions in found.items():
            print_predictions(split, predictions)
        print(
            f"Written to {self.run}: classifier.keras, predictions-*.csv, "
            "evaluation.json, figures/"
        )


@dataclasses.dataclass(frozen=True)
class Fuse:
    """Average the predictions of fine-tuned runs, weighted by validation.

    Attributes:
        runs: directories of runs on the same videos, such as RGB and flow.
        output: directory to make.
    """

    runs: Positional[tuple[pathlib.Path, ...]]
    output: pathlib.Path

    def __call__(self):
        from video_repr.transfer.fuse import fuse

        weights, found = fuse(self.runs, self.output)
        for run, weight in zip(self.runs, weights, strict=True):
            print(f"{weight:>7.3f} of {run}")
        for split, predictions in found.items():
            print_predictions(split, predictions)
        print(
            f"Written to {self.output}: predictions-*.csv, evaluation.json, "
            "figures/"
        )


@dataclasses.dataclass(frozen=True)
class AverageSplits:
    """Average the test accuracy of runs on different official splits.

    Attributes:
        runs: directories of fine-tuned or fused runs, one for each split.
    """

    runs: Positional[tuple[pathlib.Path, ...]]

    def __call__(self):
        from video_repr.transfer.fuse import average_splits

        accuracies, mean = average_splits(self.runs)
        for run, accuracy in zip(self.runs, accuracies, strict=True):
            print(f"{accuracy:>7.1%} of the test videos: {run}")
        print(f"{mean:>7.1%} on average over {len(self.runs)} splits")


@dataclasses.dataclass(frozen=True)
class LabelCurve:
    """Measure how much pretraining helps, by the number of labels.

    Writes label_curve.json, .csv and .png. Called again with the same
    settings, it resumes with the missing fits.

    Attributes:
        encoder: run directory, export, or an encoder's .keras file.
        dataset: dataset directory with labels.
        run: directory to write.
        split: the held-out split; use "validation" while you choose settings.
        curve: numbers of labels, seeds, and how to fit.
    """

    encoder: Positional[pathlib.Path]
    dataset: pathlib.Path
    run: pathlib.Path
    curve: Annotated[LabelCurveConfig, tyro.conf.arg(name="")] = (
        dataclasses.field(default_factory=LabelCurveConfig)
    )
    split: Literal["test", "validation"] = "test"

    def __call__(self):
        import_tensorflow()
        from video_repr.transfer.label_curve import run_label_curve

        table = run_label_curve(
            self.curve, self.encoder, self.dataset, self.run, self.split
        )
        print_table(
            [row["k"] for row in table],
            {
                name: [row[system] for row in table]
                for system, name in SYSTEMS.items()
            },
        )
        for name, gains in (
            ("gain over random, 95 % interval", table),
            (
                "gain over linear, mean frame",
                [row["over_mean_percept_probe"] for row in table],
            ),
        ):
            print(f"{name:<36}", end="")
            for gain in gains:
                low, high = gain["ci95"]
                print(f"{f'{low:+.1%} {high:+.1%}':>15}", end="")
            print()
        print(f"Written to {self.run}: label_curve.json, .csv, .png")


@dataclasses.dataclass(frozen=True)
class ComparePretraining:
    """Pretrain with each kind of decoders, and compare the encoders.

    Writes comparison.json and .csv, and a run directory for each. Called
    again with the same settings, it resumes with what is missing.

    Attributes:
        dataset: dataset directory with labels.
        run: directory to write.
        pretraining: how each encoder is pretrained, apart from its decoders.
        curve: numbers of labels, seeds, and how to fit.
        split: the held-out split; use "validation" while you choose settings.
    """

    dataset: pathlib.Path
    run: pathlib.Path
    pretraining: _Pretraining = _Pretraining()
    curve: Annotated[LabelCurveConfig, tyro.conf.arg(name="")] = (
        dataclasses.field(default_factory=LabelCurveConfig)
    )
    split: Literal["test", "validation"] = "test"

    def __call__(self):
        import_tensorflow()
        from video_repr.transfer.comparison import DECODERS
        from video_repr.transfer.comparison import compare_pretraining

        data = dataclasses.replace(
            _PERCEPTS.data,
            path=str(self.dataset),
            skip_shorter=self.pretraining.skip_shorter,
        )
        table = compare_pretraining(
            self.curve,
            configs.Config(
                data, self.pretraining.model, self.pretraining.training
            ),
            self.run,
            self.split,
        )
        print_table(
            self.curve.per_class,
            {
                name: [row for row in table if row["pretraining"] == name]
                for name in DECODERS
            },
        )
        print(f"Written to {self.run}: comparison.json, .csv")
