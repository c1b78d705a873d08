"""Errors whose message is one sentence for the user."""

import contextlib
import importlib
import sys


class InputError(ValueError):
    """An input that cannot be used; says what was expected and received.

    The command line prints its message and exits with code 2.
    """


class DivergedError(RuntimeError):
    """The loss became NaN or infinite.

    The command line prints its message and exits with code 1.
    """


class WorkerLostError(RuntimeError):
    """Another machine of a training has stopped.

    The command line prints its message and exits with code 3.
    """


class FailureRateError(RuntimeError):
    """More sources of a pipeline's job failed than `max_failure_rate`."""


class PipelineError(RuntimeError):
    """A component of the training pipeline failed.

    The command line prints its message and exits with code 1.
    """


class MissingExtraError(InputError, ImportError):
    """A package that one of video_repr's extras installs is missing."""


@contextlib.contextmanager
def extra(name):
    """Names the extra to install when an import inside the block fails.

    >>> with extra("report"):
    ...     import matplotlib

    Raises:
        MissingExtraError: if a package is missing.
        InputError: if another package is found for `pipelines`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        others = sys.modules.get("pipelines")
        if others and (error.name or "").startswith("pipelines."):
            # A folder of this name in the working directory comes first.
            raise InputError(
                "Expected video_repr's own package pipelines. Received: "
                f"another, {', '.join(map(str, others.__path__))}, which is "
                "found first: work in another directory, or rename it"
            ) from error
        raise MissingExtraError(
            f"This needs the package {error.name!r}, which is not installed: "
            f"pip install 'video_repr[{name}]'"
        ) from error


def need(name, *packages):
    """Checks for an extra's packages before long work that needs them later.

    >>> need("report", "matplotlib")

    Args:
        name: the extra.
        *packages: as they are imported.

    Raises:
        MissingExtraError: if one is missing.
    """
    with extra(name):
        for package in packages:
            importlib.import_module(package)
