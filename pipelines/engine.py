"""Which Beam runner does the work."""

import dataclasses
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from video_repr.errors import InputError

_DASK = (
    "DaskRunner loses data without an error in this version of Beam: only the "
    "last branch of a pipeline runs, and sinks leave empty files"
)


@dataclasses.dataclass(frozen=True)
class Engine:
    """Where a pipeline runs.

    Attributes:
        workers: processes on this machine.
        beam_options: Beam's own options, which choose any other runner:
            ("--runner=DataflowRunner", "--project=...").
    """

    workers: int = 1
    beam_options: tuple[str, ...] = ()

    def __post_init__(self):
        if self.workers < 1:
            raise InputError(
                f"Expected at least one worker. Received: {self.workers}"
            )
        if "dask" in (self.runner or "").lower():
            raise InputError(
                f"Expected a runner that keeps the data. Received: "
                f"{self.runner}. {_DASK}"
            )
        if self.workers > 1 and self.runner:
            raise InputError(
                "Expected --workers for processes on this machine, or a "
                f"runner. Received: {self.workers} workers and {self.runner}"
            )

    @property
    def runner(self):
        """The runner that Beam's options name, None for our own choice."""
        options = PipelineOptions(list(self.beam_options))
        return options.get_all_options(drop_default=True).get("runner")

    def pipeline(self):
        """A `beam.Pipeline`, not yet run."""
        if self.runner:
            return beam.Pipeline(
                options=PipelineOptions(list(self.beam_options))
            )
        # A pipeline without a runner would first try to download one.
        options = [*self.beam_options, f"--direct_num_workers={self.workers}"]
        if self.workers > 1:
            options.append("--direct_running_mode=multi_processing")
        return beam.Pipeline(
            runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner",
            options=PipelineOptions(options),
        )


def split_arguments(arguments=None):
    """Our own arguments, and those after `--` that are Beam's."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--" not in arguments:
        return arguments, ()
    at = arguments.index("--")
    return arguments[:at], tuple(arguments[at + 1 :])
