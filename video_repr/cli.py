"""The command line: `video-repr`."""

import dataclasses
import inspect
import json
import pathlib
import sys
from typing import Annotated
from typing import Literal

import tyro

from video_repr import configs
from video_repr.errors import InputError
from video_repr.transfer import label_curve

Positional = tyro.conf.Positional


@dataclasses.dataclass(frozen=True)
class Training:
    """Train a config.

    Attributes:
        config: what to train.
        run: run directory to make.
        resume: go on with the run in the directory, if there is one.
    """

    config: Annotated[configs.Config, tyro.conf.arg(name="")]
    run: pathlib.Path
    resume: tyro.conf.FlagCreatePairsOff[bool] = False


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
        from video_repr.training import pretrain

        training = self.training
        run = pretrain(training.config, training.run, resume=training.resume)
        _print_evaluation(run)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate a run's best checkpoint; rewrite evaluation.json and figures.

    Attributes:
        run: run directory.
        test_file: mnist_test_seq.npy or bouncing_mnist_test.npy to test on
            instead of the config's test set, all of its sequences.
    """

    run: Positional[pathlib.Path]
    test_file: str | None = None

    def __call__(self):
        from video_repr.evaluation import evaluate_run
        from video_repr.runs import Run

        run = Run(self.run)
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
        from video_repr.prediction import predict_clip
        from video_repr.runs import Run

        predict_clip(Run(self.run), self.input, self.output, self.steps)
        print(f"{self.output} written.")


@dataclasses.dataclass(frozen=True)
class Export:
    """Export a run's encoder as a SavedModel and as .keras.

    Attributes:
        run: run directory.
        output: directory to write; RUN/export when left out.
    """

    run: Positional[pathlib.Path]
    output: pathlib.Path | None = None

    def __call__(self):
        from video_repr.runs import Run
        from video_repr.saved_model import export_run

        print(f"{export_run(Run(self.run), self.output)} written.")


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
    curve: Annotated[label_curve.LabelCurve, tyro.conf.arg(name="")] = (
        dataclasses.field(default_factory=label_curve.LabelCurve)
    )
    split: Literal["test", "validation"] = "test"

    def __call__(self):
        table = label_curve.run_label_curve(
            self.curve, self.encoder, self.dataset, self.run, self.split
        )
        print(f"{'labels a class':<36}", end="")
        for row in table:
            print(f"{'all' if row['k'] is None else row['k']:>15}", end="")
        for system, name in label_curve.SYSTEMS.items():
            print(f"\n{name:<36}", end="")
            for row in table:
                mean, sd = row[system]["mean"], row[system]["sd"]
                print(f"{mean:>8.1%} ±{sd:>5.1%}", end="")
        print(f"\n{'gain of pretraining, 95 % interval':<36}", end="")
        for row in table:
            low, high = row["ci95"]
            print(f"{f'{low:+.1%} {high:+.1%}':>15}", end="")
        print(f"\nWritten to {self.run}: label_curve.json, .csv, .png")


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: the command line; `sys.argv` without the program's name
            when None.

    Returns:
        The exit code: 0 for success, 1 for a run that failed, 2 for input
        that cannot be used.
    """
    from video_repr.training import DivergedError

    try:
        # A config refuses wrong values while it is made.
        command = tyro.cli(
            Annotated[Pretrain, tyro.conf.subcommand("pretrain")]
            | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
            | Annotated[Predict, tyro.conf.subcommand("predict")]
            | Annotated[Export, tyro.conf.subcommand("export")]
            | Annotated[LabelCurve, tyro.conf.subcommand("label-curve")],
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
    except DivergedError as error:
        print(f"video-repr: {error}", file=sys.stderr)
        return 1
    return 0


def _print_evaluation(run):
    evaluation = json.loads(run.evaluation_file.read_text())
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
    print(f"Written to {run.path}: evaluation.json, figures/")
