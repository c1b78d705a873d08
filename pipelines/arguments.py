"""Arguments that the pipelines share."""

import dataclasses
import logging
import pathlib
import re
import sys
from typing import Annotated
from typing import Literal

import tyro

from pipelines import copies
from pipelines import sources
from pipelines.flags import named
from video_repr.data import action_lists
from video_repr.errors import FailureRateError
from video_repr.errors import InputError
from video_repr.ranges import check_ranges


@dataclasses.dataclass(frozen=True)
class Input:
    """The films to read.

    Attributes:
        path: folder of films, or list of films, a path in each line.
        layout: "folder" for all films below the folder; "list"; "pictures"
            for folders of .jpg or .png below it; "ucf101" or "hmdb51" for
            their official layout.
        lists: folder of the official lists.
        split: number of the official split, 1 to 3.
        labels: whether the name of a film's folder is its class.
        group_pattern: regular expression whose first group finds the name of a
            film's group in its path; all films of a group are in one split.
    """

    path: Annotated[str, named("input")]
    layout: Literal["folder", "list", "pictures", "ucf101", "hmdb51"] = "folder"
    lists: str | None = None
    split: Literal[1, 2, 3] = 1
    labels: bool = False
    group_pattern: str | None = None

    def find(self):
        """The `Sources`, with copies of a film in one group.

        Raises:
            InputError: if there are none, or the lists cannot be used.
        """
        found = self._named()
        return copies.unite(found, copies.contents(found.sources))

    def _named(self):
        if self.layout not in ("folder", "pictures") and (
            self.labels or self.group_pattern is not None
        ):
            raise InputError(
                "Expected --labels and --group-pattern for the "
                f"layouts folder and pictures. Received: {self.layout}"
            )
        if self.lists is not None and self.layout not in ("ucf101", "hmdb51"):
            raise InputError(
                "Expected --lists with --layout ucf101 or hmdb51. Received: "
                f"--layout {self.layout}"
            )
        if self.layout == "list":
            return sources.listed(self.path)
        if self.layout in ("folder", "pictures"):
            return sources.folder(
                self.path,
                labels=self.labels,
                group_pattern=self.group_pattern,
                pictures=self.layout == "pictures",
            )
        if self.lists is None:
            raise InputError(
                f"Expected --lists, the folder of {self.layout}'s "
                "official lists. Received: none"
            )
        of = getattr(action_lists, self.layout)
        return sources.official(self.path, self.lists, self.split, of)


@dataclasses.dataclass(frozen=True)
class Output:
    """The dataset to write.

    Attributes:
        path: directory to write, <data_dir>/<name>/<version>.
        overwrite: replace the dataset that is there.
        max_failure_rate: share of the sources that may fail.
        validation: share of the groups for validation. With official lists of
            test videos, it is a share of the training groups.
        test: share of the groups for testing, without such lists.
        shard_mb: size of a shard, MB.
    """

    path: Annotated[str, named("output")]
    overwrite: bool = False
    max_failure_rate: float = 0.01
    validation: float = 0.1
    test: float = 0.1
    shard_mb: int = 64

    def __post_init__(self):
        parts = self.path.rstrip("/").split("/")
        # Beam would take a * for a pattern.
        if (
            len(parts) < 2
            or not all(re.fullmatch(r"[\w.-]+", part) for part in parts[-2:])
            or set(self.path) & set("*?[]")
        ):
            raise InputError(
                "Expected an output path <data_dir>/<name>/<version>, the "
                "last two of letters, digits, '.', '-' and '_'. Received: "
                f"{self.path!r}"
            )
        check_ranges(
            self,
            max_failure_rate="[0, 1]",
            validation="[0, 1]",
            test="[0, 1]",
            shard_mb="[1, inf)",
        )
        if self.validation + self.test >= 1:
            raise InputError(
                "Expected validation and test to leave groups to train on. "
                f"Received: {self.validation} + {self.test}"
            )

    @property
    def name(self):
        """Name of the dataset."""
        return self.path.rstrip("/").split("/")[-2]


def main(kind, program, arguments=None):
    """Runs a pipeline's command.

    Args:
        kind: dataclass of the arguments; it is called with Beam's options.
        program: name of the module, for messages.
        arguments: the command line, without the program's name.

    Returns:
        The exit code: 0 for success, 1 for a failed job, 2 for unusable input.
    """
    # Otherwise Beam logs about clouds that are not in use.
    package = pathlib.Path(next(iter(sys.modules["pipelines"].__path__)))
    if package != pathlib.Path(__file__).parent:
        # An editable install finds the module, and not the package around it.
        print(
            f"{program}: Expected video_repr's own package pipelines. "
            f"Received: another, {package}, which is found first: work in "
            "another directory, or rename it",
            file=sys.stderr,
        )
        return 2
    logging.getLogger().setLevel(logging.ERROR)
    ours, beams = split_arguments(arguments)
    try:
        command = tyro.cli(
            kind,
            prog=f"python -m {program}",
            args=ours,
        )
        command(beams)
    except OSError as error:
        if error.filename is None:
            raise
        print(
            f"{program}: Expected a path that can be used. Received: "
            f"{str(error.filename)!r}: {error.strerror}",
            file=sys.stderr,
        )
        return 2
    except InputError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except FailureRateError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    return 0


def split_arguments(arguments=None):
    """Our own arguments, and Beam's, which follow `--`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--" not in arguments:
        return arguments, ()
    at = arguments.index("--")
    return arguments[:at], tuple(arguments[at + 1 :])
