"""What goes wrong by what a user gave, said in one sentence."""

import contextlib
import importlib


class InputError(ValueError):
    """An input that cannot be used: what was expected, and what came.

    The command line prints its message and exits with code 2.
    """


class DivergedError(RuntimeError):
    """The loss became NaN or infinite.

    The command line prints its message and exits with code 1.
    """


class FailureRateError(RuntimeError):
    """More sources failed than a pipeline's job may lose."""


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
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"This needs the package {error.name!r}, which is not installed: "
            f"pip install 'video_repr[{name}]'"
        ) from error


def need(name, *packages):
    """Refuses to begin what will need packages of an extra later on.

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
