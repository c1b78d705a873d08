"""Commands about pretraining runs."""

import dataclasses
import inspect
import pathlib
from typing import Annotated

import tyro

from video_repr import configs
from video_repr._quiet import import_tensorflow
from video_repr.cli.tables import print_evaluation
from video_repr.cli.tables import print_scores
from video_repr.export import layout
from video_repr.export.card import Terms
from video_repr.runs import Run

Positional = tyro.conf.Positional


@dataclasses.dataclass(frozen=True)
class _OnMovingMNIST:
    """Train a config.

    Attributes:
        data: the data to train on.
        model: the encoder and the decoders.
        training: the optimisation.
        run: run directory to make.
        resume: resume the run in the directory, if there is one.
        gate_images: write images of the gates to TensorBoard after every epoch.
    """

    data: configs.MovingMNISTConfig
    model: configs.ModelConfig
    training: configs.TrainingConfig
    run: pathlib.Path
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    gate_images: tyro.conf.FlagCreatePairsOff[bool] = False

    @property
    def config(self):
        return configs.Config(self.data, self.model, self.training)


@dataclasses.dataclass(frozen=True)
class _OnClips(_OnMovingMNIST):
    # Separate classes, so that each has only the options of its own data.
    data: configs.ClipDatasetConfig


def _named_trainings():
    kinds = {"moving_mnist": _OnMovingMNIST, "clip_dataset": _OnClips}
    defaults, descriptions = {}, {}
    for name, make in configs.named().items():
        config = make()
        defaults[name] = kinds[config.data.kind](
            config.data,
            config.model,
            config.training,
            pathlib.Path("runs") / name,
        )
        descriptions[name] = inspect.getdoc(make)
    return tyro.extras.subcommand_type_from_defaults(defaults, descriptions)


@dataclasses.dataclass(frozen=True)
class Pretrain:
    """Train a named config into a run directory, and evaluate it."""

    training: Annotated[_named_trainings(), tyro.conf.arg(name="")]

    def __call__(self):
        training = self.training
        # It refuses wrong values.
        config = training.config
        import_tensorflow()
        from video_repr.devices import Workers
        from video_repr.training import pretrain

        run = pretrain(
            config,
            training.run,
            resume=training.resume,
            gate_images=training.gate_images,
        )
        if Workers.from_environment().is_first:
            print_evaluation(run)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate a run's best checkpoint; rewrite evaluation.json and figures.

    For an export, print how well it predicts the future; write nothing.

    Attributes:
        run: run directory, or export.
        test_file: mnist_test_seq.npy or bouncing_mnist_test.npy to test on,
            with all of its sequences, instead of the config's test set.
    """

    run: Positional[pathlib.Path]
    test_file: str | None = None

    def __call__(self):
        if layout.is_export(self.run):
            import_tensorflow()
            from video_repr.export.evaluate import evaluate_export

            print_scores(evaluate_export(self.run, self.test_file))
            return
        run = _run(self.run)
        from video_repr.evaluation import evaluate_run

        evaluate_run(run, self.test_file)
        print_evaluation(run)


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predict the future of a clip.

    Attributes:
        run: run directory.
        input: clip to read: .npy, .gif or a film.
        output: .gif or .npy to write.
        steps: number of frames to predict; by default as many as the run's
            future_frames.
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
        run: directory of a pretraining, fine-tuned or fused run, or of a label
            curve.
        output: file to write; by default report.html in the run.
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
        output: directory to write, .../NAME/VERSION; by default the next
            version in saved_models/, under the run's name.
        terms: licence and limits, for the card.
    """

    run: Positional[pathlib.Path]
    output: pathlib.Path | None = None
    terms: Annotated[Terms, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=Terms
    )

    def __call__(self):
        run = _run(self.run)
        from video_repr.export.run import export_run

        directory = export_run(run, self.output, self.terms)
        print(f"{directory} written.")


def _run(path):
    """The run in a directory, checked before anything is loaded."""
    run = Run(path)
    run.config()
    import_tensorflow()
    return run
