"""The command line: `video-repr`.

Arguments are read and checked before TensorFlow is imported, so that `--help`
and mistyped arguments answer at once.
"""

import sys
from typing import Annotated

import tyro

from video_repr.cli.pipeline import Pipeline
from video_repr.cli.runs import Compare
from video_repr.cli.runs import Evaluate
from video_repr.cli.runs import Export
from video_repr.cli.runs import Predict
from video_repr.cli.runs import Pretrain
from video_repr.cli.runs import Report
from video_repr.cli.transfer import AverageSplits
from video_repr.cli.transfer import ComparePretraining
from video_repr.cli.transfer import Finetune
from video_repr.cli.transfer import Fuse
from video_repr.cli.transfer import LabelCurve
from video_repr.errors import DivergedError
from video_repr.errors import InputError
from video_repr.errors import PipelineError
from video_repr.errors import WorkerLostError


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: the command line; `sys.argv` without the program's name
            when None.

    Returns:
        The exit code: 0 for success, 1 for a failed run, 2 for unusable input,
        3 for a run to go on with, as another machine has stopped.
    """
    try:
        # Constructing a config checks its values.
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
            config=(
                tyro.conf.OmitSubcommandPrefixes,
                tyro.conf.HelptextFromCommentsOff,
            ),
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
    except WorkerLostError as error:
        print(f"video-repr: {error}", file=sys.stderr)
        return 3
    return 0
