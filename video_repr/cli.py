"""The command line: `video-repr`.

Arguments are read and checked before TensorFlow is imported: `--help` and what
is mistyped are answered at once.
"""

import dataclasses
import inspect
import pathlib
import sys
from typing import Annotated
from typing import Literal

import tyro

from video_repr import artefact
from video_repr import configs
from video_repr._quiet import import_tensorflow
from video_repr.errors import DivergedError
from video_repr.errors import InputError
from video_repr.errors import PipelineError
from video_repr.errors import extra
from video_repr.files import read_json
from video_repr.model_card import Terms
from video_repr.runs import Run
from video_repr.transfer.config import SYSTEMS
from video_repr.transfer.config import FinetuneConfig
from video_repr.transfer.config import LabelCurveConfig

Positional = tyro.conf.Positional
_PERCEPTS = configs.load("percepts")


@dataclasses.dataclass(frozen=True)
class _Pretraining:
    """How an encoder of percepts is pretrained.

    Attributes:
        skip_shorter: leave out videos that are shorter than a clip rather than
            refuse them.
        model: what learns.
        training: how.
    """

    skip_shorter: bool = False
    model: configs.ModelConfig = _PERCEPTS.model
    training: configs.TrainingConfig = _PERCEPTS.training


@dataclasses.dataclass(frozen=True)
class Training:
    """Train a config.

    Attributes:
        config: what to train.
        run: run directory to make.
        resume: go on with the run in the directory, if there is one.
        gate_images: show TensorBoard what the gates do, after every epoch.
    """

    config: Annotated[configs.Config, tyro.conf.arg(name="")]
    run: pathlib.Path
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    gate_images: tyro.conf.FlagCreatePairsOff[bool] = False


def _named_trainings():
    defaults, descriptions = {}, {}
    for name, make in configs.named().items():
        defaults[name] = Training(make(), pathlib.Path("runs") / name)
        descriptions[name] = inspect.getdoc(make)
    return tyro.extras.subcommand_type_from_defaults(defaults, descriptions)


@dataclasses.dataclass(frozen=True)
class Pretrain:
    """Train a named config into a run directory, and evaluate it."""

    training: Annotated[_named_trainings(), tyro.conf.arg(name="")]

    def __call__(self):
        import_tensorflow()
        from video_repr.training import pretrain

        training = self.training
        run = pretrain(
            training.config,
            training.run,
            resume=training.resume,
            gate_images=training.gate_images,
        )
        _print_evaluation(run)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate a run's best checkpoint; rewrite evaluation.json and figures.

    Of an export, print how well it predicts the future; nothing is written.

    Attributes:
        run: run directory, or export.
        test_file: mnist_test_seq.npy or bouncing_mnist_test.npy to test on
            instead of the config's test set, all of its sequences.
    """

    run: Positional[pathlib.Path]
    test_file: str | None = None

    def __call__(self):
        if artefact.is_export(self.run):
            import_tensorflow()
            from video_repr.evaluation.export import evaluate_export

            _print_scores(evaluate_export(self.run, self.test_file))
            return
        run = _run(self.run)
        from video_repr.evaluation import evaluate_run

        evaluate_run(run, self.test_file)
        _print_evaluation(run)


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predict the future of a clip.

    Attributes:
        run: run directory.
        input: clip to read: .npy, .gif or a film.
        output: .gif or .npy to write.
        steps: number of frames to predict; the run's own when left out.
    """

    run: Positional[pathlib.Path]
    input: pathlib.Path
    output: pathlib.Path
    steps: int | None = None

    def __call__(self):
        run = _run(self.run)
        from video_repr.prediction import predict_clip

        predict_clip(run, self.input, self.output, self.steps)
        print(f"{self.output} written.")


@dataclasses.dataclass(frozen=True)
class Report:
    """Write a page about a run: one HTML file to open in a browser.

    Attributes:
        run: directory of a pretraining run, a finetuned or fused one, or of a
            label curve.
        output: file to write; report.html in the run when left out.
    """

    run: Positional[pathlib.Path]
    output: pathlib.Path | None = None

    def __call__(self):
        import_tensorflow()
        from video_repr.report import write_report

        print(f"{write_report(self.run, self.output)} written.")


@dataclasses.dataclass(frozen=True)
class Compare:
    """Write a page about several pretraining runs, side by side.

    Attributes:
        runs: run directories.
        output: file to write.
    """

    runs: Positional[tuple[pathlib.Path, ...]]
    output: pathlib.Path = pathlib.Path("comparison.html")

    def __call__(self):
        import_tensorflow()
        from video_repr.report import compare_runs

        compare_runs(self.runs, self.output)
        print(f"{self.output} written.")


@dataclasses.dataclass(frozen=True)
class Export:
    """Export a run's encoder as a SavedModel and as .keras, with a card.

    Attributes:
        run: run directory.
        output: directory to write, .../NAME/VERSION; when left out the next
            version in saved_models/, by the run's name.
        terms: for the card.
    """

    run: Positional[pathlib.Path]
    output: pathlib.Path | None = None
    terms: Annotated[Terms, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=Terms
    )

    def __call__(self):
        run = _run(self.run)
        from video_repr.export import export_run

        directory = export_run(run, self.output, self.terms)
        print(f"{directory} written.")


@dataclasses.dataclass(frozen=True)
class Finetune:
    """Fit an action classifier around a pretrained encoder.

    Writes classifier.keras, the predictions of every video, evaluation.json
    and confusion matrices.

    Attributes:
        encoder: run directory, export, or an encoder's .keras file.
        dataset: dataset directory with labels.
        run: directory to make.
        config: how it is fitted.
        per_class: number of labelled videos of each class, or "all".
        seed: what these are drawn from, and what the fit depends on.
        random: start from random weights instead of the encoder's.
        test: read the test split too; --no-test while settings are chosen.
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
            _print_predictions(split, predictions)
        print(
            f"Written to {self.run}: classifier.keras, predictions-*.csv, "
            "evaluation.json, figures/"
        )


@dataclasses.dataclass(frozen=True)
class Fuse:
    """Average the predictions of finetuned runs, weighted by validation.

    Attributes:
        runs: directories of runs on the same videos: RGB and flow, or any.
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
            _print_predictions(split, predictions)
        print(
            f"Written to {self.output}: predictions-*.csv, evaluation.json, "
            "figures/"
        )


@dataclasses.dataclass(frozen=True)
class AverageSplits:
    """The mean test accuracy of runs on different official splits.

    Attributes:
        runs: directories of finetuned or fused runs, one a split.
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
    """What pretraining is worth, by the number of labels.

    Writes label_curve.json, .csv and .png. Called again with the same
    settings it goes on with the fits that are missing.

    Attributes:
        encoder: run directory, export, or an encoder's .keras file.
        dataset: dataset directory with labels.
        run: directory to write.
        split: the split to be right about; "validation" while settings are
            chosen.
        curve: what is fitted.
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
        _print_table(
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
    again with the same settings it goes on with what is missing.

    Attributes:
        dataset: dataset directory with labels.
        run: directory to write.
        pretraining: how each is pretrained, beside its decoders.
        curve: what is fitted.
        split: the split to be right about; "validation" while settings are
            chosen.
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
            configs.DatasetRun(
                data, self.pretraining.model, self.pretraining.training
            ),
            self.run,
            self.split,
        )
        _print_table(
            self.curve.per_class,
            {
                name: [row for row in table if row["pretraining"] == name]
                for name in DECODERS
            },
        )
        print(f"Written to {self.run}: comparison.json, .csv")


@dataclasses.dataclass(frozen=True)
class PipelineRun:
    """Run the training pipeline on this machine, from films to an encoder.

    What was made of the same films by the same settings is not made again.

    Attributes:
        config: TOML file, see docs/pipeline.md.
        films: folder of films, in place of the config's.
        root: directory of the pipeline's artifacts.
        saved_models: where blessed encoders go, in place of the config's.
        beam: Beam's own options for ExampleGen.
    """

    config: Positional[pathlib.Path]
    films: str | None = None
    root: pathlib.Path = pathlib.Path("pipeline")
    saved_models: str | None = None
    beam: tuple[str, ...] = ()

    def __call__(self):
        config = _pipeline_config(self)
        with extra("kfp"):
            from pipelines.training.local import run_pipeline

        from pipelines.training.lineage import in_words
        from pipelines.training.lineage import read_run

        print(in_words(read_run(run_pipeline(config, self.root, self.beam))))


@dataclasses.dataclass(frozen=True)
class PipelineCompile:
    """Write the training pipeline for Kubeflow or Vertex AI.

    Attributes:
        config: TOML file, see docs/pipeline.md.
        films: folder of films, in place of the config's.
        saved_models: where blessed encoders go, in place of the config's.
        output: YAML file to write.
    """

    config: Positional[pathlib.Path]
    films: str | None = None
    saved_models: str | None = None
    output: pathlib.Path = pathlib.Path("pipeline.yaml")

    def __call__(self):
        config = _pipeline_config(self)
        with extra("kfp"):
            from pipelines.training_pipeline import compile_pipeline

        compile_pipeline(config, self.output)
        print(f"{self.output} written.")


@dataclasses.dataclass(frozen=True)
class PipelineShow:
    """Print what a run of the training pipeline made of what.

    Attributes:
        run: directory of a pipeline's artifacts, of which the last run is
            meant, or the file of a run below it.
    """

    run: Positional[pathlib.Path]

    def __call__(self):
        with extra("pipelines"):
            from pipelines.training.lineage import in_words
            from pipelines.training.lineage import read_run

        print(in_words(read_run(self.run)))


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """The training pipeline: from a folder of films to a blessed encoder."""

    command: (
        Annotated[PipelineRun, tyro.conf.subcommand("run")]
        | Annotated[PipelineCompile, tyro.conf.subcommand("compile")]
        | Annotated[PipelineShow, tyro.conf.subcommand("show")]
    )

    def __call__(self):
        self.command()


def _run(path):
    """The run in a directory, which is refused before anything is loaded."""
    run = Run(path)
    run.config()
    import_tensorflow()
    return run


def _pipeline_config(command):
    with extra("pipelines"):
        from pipelines.training.config import load

    values = {"films": command.films, "saved_models": command.saved_models}
    given = {name: value for name, value in values.items() if value}
    return load(command.config, **given)


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: the command line; `sys.argv` without the program's name
            when None.

    Returns:
        The exit code: 0 for success, 1 for a run that failed, 2 for input
        that cannot be used.
    """
    try:
        # A config refuses wrong values while it is made.
        command = tyro.cli(
            Annotated[Pretrain, tyro.conf.subcommand("pretrain")]
            | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
            | Annotated[Predict, tyro.conf.subcommand("predict")]
            | Annotated[Report, tyro.conf.subcommand("report")]
            | Annotated[Compare, tyro.conf.subcommand("compare")]
            | Annotated[Export, tyro.conf.subcommand("export")]
            | Annotated[Finetune, tyro.conf.subcommand("finetune")]
            | Annotated[Fuse, tyro.conf.subcommand("fuse")]
            | Annotated[AverageSplits, tyro.conf.subcommand("average-splits")]
            | Annotated[LabelCurve, tyro.conf.subcommand("label-curve")]
            | Annotated[
                ComparePretraining, tyro.conf.subcommand("compare-pretraining")
            ]
            | Annotated[Pipeline, tyro.conf.subcommand("pipeline")],
            prog="video-repr",
            description="Unsupervised learning of video representations.",
            args=arguments,
            config=(tyro.conf.OmitSubcommandPrefixes,),
        )
        command()
    except InputError as error:
        print(f"video-repr: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        print(
            f"video-repr: Expected a path that can be used. Received: "
            f"{str(error.filename)!r}: {error.strerror}",
            file=sys.stderr,
        )
        return 2
    except (DivergedError, PipelineError) as error:
        print(f"video-repr: {error}", file=sys.stderr)
        return 1
    return 0


def _print_evaluation(run):
    _print_scores(read_json(run.evaluation_file, dict))
    print(f"Written to {run.path}: evaluation.json, figures/")


def _print_scores(evaluation):
    rows = {
        branch: evaluation[branch]
        for branch in ("reconstruction", "future")
        if branch in evaluation
    }
    of = evaluation["baselines_of"]
    rows[f"{of}, last frame repeated"] = evaluation["baselines"]["last_frame"]
    rows[f"{of}, mean frame"] = evaluation["baselines"]["mean_frame"]
    # Frames of less than 11 px have no SSIM.
    names = [
        name
        for name in ("bce_sum_per_frame", "mse_sum_per_frame", "ssim", "psnr")
        if name in evaluation[of]
    ]
    print(f"{evaluation['data']['sequences']:,} test sequences")
    print(" " * 28 + "".join(f"{name:>19}" for name in names))
    for label, scores in rows.items():
        values = "".join(f"{scores[name]:>19.3f}" for name in names)
        print(f"{label:<28}{values}")


def _print_predictions(split, predictions):
    print(
        f"{split}: {predictions.accuracy:.1%} of {len(predictions.ids):,} "
        "videos"
    )
    hits = predictions.found == predictions.labels
    for label, name in enumerate(predictions.classes):
        of = hits[predictions.labels == label]
        if len(of):
            print(f"{of.mean():>9.1%} of {len(of):>5,} {name}")
    print("  hardest:")
    for video in predictions.hardest(3):
        print(
            f"    {video['video']}: its class {video['probability']:.1%}, "
            f"most probable {video['most_probable']}"
        )


def _print_table(per_class, rows):
    print(f"{'labels a class':<36}", end="")
    for k in per_class:
        print(f"{k:>15}", end="")
    print()
    for name, cells in rows.items():
        print(f"{name:<36}", end="")
        for cell in cells:
            print(f"{cell['mean']:>8.1%} ±{cell['sd']:>5.1%}", end="")
        print()
