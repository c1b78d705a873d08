"""Chooses the Beam runner."""

import dataclasses
import sys

from pipelines.storage import file_systems
from video_repr.errors import InputError
from video_repr.ranges import check_ranges

_DASK = (
    "DaskRunner loses data without an error in this version of Beam: only the "
    "last branch of a pipeline runs, and sinks leave empty files"
)


@dataclasses.dataclass(frozen=True)
class Engine:
    """Where a pipeline runs.

    Attributes:
        workers: processes on this machine.
        beam_options: Beam's options, which can choose another runner:
            ("--runner=DataflowRunner", "--project=...").
    """

    workers: int = 1
    beam_options: tuple[str, ...] = ()

    def __post_init__(self):
        check_ranges(self, workers="[1, inf)")
        if not self.beam_options:
            # Importing Beam takes seconds; other arguments are checked first.
            return
        # Listing files before the pipeline is made needs the options too.
        file_systems().set_options(self._options())
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
        if self.runner:
            from apache_beam.runners.runner import create_runner

            try:
                create_runner(self.runner)
            except (ImportError, ValueError) as error:
                raise InputError(
                    f"Expected a runner of Beam. Received: {error}"
                ) from error

    @property
    def runner(self):
        """The runner that Beam's options name; None for our own choice."""
        if not self.beam_options:
            return None
        return self._options().get_all_options(drop_default=True).get("runner")

    def pipeline(self, workers=None):
        """A `beam.Pipeline`, not yet run.

        Args:
            workers: processes on this machine, in place of `self.workers`, if
                it runs on this machine.
        """
        import apache_beam as beam
        from apache_beam.runners.portability.fn_api_runner import fn_runner
        from apache_beam.transforms import environments

        workers = workers or self.workers
        if self.runner:
            return beam.Pipeline(options=self._options())
        environment = None
        if workers > 1:
            environment = environments.SubprocessSDKEnvironment
            environment = environment.from_command_string(
                f"{sys.executable} -m pipelines.worker"
            )
        # Without a runner, Beam would first try to download one.
        return beam.Pipeline(
            runner=fn_runner.FnApiRunner(environment),
            options=self._options(f"--direct_num_workers={workers}"),
        )

    def _options(self, *more):
        from apache_beam.options.pipeline_options import PipelineOptions

        return PipelineOptions([*more, *self.beam_options])
