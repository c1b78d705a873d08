"""The directory of an exported encoder, and whether it is whole.

In it are

    saved_model.pb, variables/   Reusable SavedModel
    encoder.keras                for keras.models.load_model
    config.json                  format, encoder, what made it, versions
    videos.json                  the videos that it has learned from, by split
    metrics.json                 how well it predicts, beside baselines
    README.md                    model card
    SHA256SUMS                   of all but the card, for sha256sum --check
"""

import importlib.metadata
import pathlib

from video_repr import text
from video_repr.errors import InputError
from video_repr.files import Kind
from video_repr.files import contents
from video_repr.files import load_json
from video_repr.files import moved_aside
from video_repr.files import restore
from video_repr.files import sha256
from video_repr.files import within
from video_repr.files import write_json

# Increased when older versions of the package can no longer read exports.
FORMAT_VERSION = 1

CARD = "README.md"
SUMS = "SHA256SUMS"

# All files of an export.
_NAMES = {
    "assets",
    "config.json",
    "encoder.keras",
    "fingerprint.pb",
    "metrics.json",
    "saved_model.pb",
    "variables",
    "videos.json",
    CARD,
    SUMS,
}


def write_config(directory, encoder, **about):
    """Writes config.json."""
    write_json(
        directory / "config.json",
        {
            "format_version": FORMAT_VERSION,
            "encoder": encoder,
            **about,
            "versions": {
                name: importlib.metadata.version(name)
                for name in ("video_repr", "tensorflow", "keras")
            },
        },
    )


def seal(directory):
    """Writes the checksums of the files in a directory."""
    lines = [
        f"{sha256(directory / name)}  {name}\n"
        for name in sorted(_sealed(directory))
    ]
    (directory / SUMS).write_text("".join(lines))


def sums_of(data):
    """Checksums by file name, from the bytes of a SHA256SUMS.

    Raises:
        ValueError: if the bytes are not such a file.
    """
    lines = [line.split("  ", 1) for line in text.lines(data) if line]
    return {name: digest for digest, name in lines}


def is_export(directory):
    """Whether a directory looks like an export, damaged or not."""
    return all(
        (pathlib.Path(directory) / name).is_file()
        for name in ("saved_model.pb", "encoder.keras", "config.json")
    )


def versions_of(directory):
    """The directories of an encoder's versions, the oldest first."""
    versions = [
        p for p in directory.glob("*") if p.name.isdecimal() and p.is_dir()
    ]
    return sorted(versions, key=lambda path: int(path.name))


def next_version(directory):
    """The directory of an encoder's next version."""
    taken = [path.name for path in versions_of(directory)]
    taken += [name for name in moved_aside(directory) if name.isdecimal()]
    return directory / str(max(map(int, taken), default=0) + 1)


def _is_only_an_export(directory):
    return is_export(directory) and all(
        path.name in _NAMES for path in contents(directory)
    )


EXPORT = Kind("an export", _is_only_an_export)


def check(directory):
    """Verifies an export's checksums, and reads its config.json.

    Returns:
        A dict.

    Raises:
        InputError: if there is no export, a file is missing or altered, or
            the format is newer than this package.
    """
    directory = pathlib.Path(directory)
    restore(directory, EXPORT)
    if not directory.is_dir():
        raise InputError(
            "Expected the directory of an export. Received: "
            f"{str(directory.absolute())!r}, which does not exist"
        )
    if not (directory / "saved_model.pb").is_file():
        raise InputError(
            "Expected an export with saved_model.pb. Received: "
            f"{str(directory)!r}"
        )
    try:
        config = load_json(directory / "config.json")
        version = config["format_version"]
        expected = sums_of((directory / SUMS).read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "Expected an encoder that video_repr exported, with a readable "
            f"config.json and {SUMS}. Received: {str(directory)!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if version != FORMAT_VERSION:
        raise InputError(
            f"Expected an export of format version {FORMAT_VERSION}. "
            f"Received: version {version!r} in {str(directory)!r}"
            + (
                ", of a newer video_repr than this"
                if isinstance(version, int) and version > FORMAT_VERSION
                else ""
            )
        )
    unlisted = sorted(_sealed(directory) - set(expected))
    if unlisted:
        raise InputError(
            f"Expected an export as it was written, with the sum of every "
            f"file in {SUMS}. Received: {str(directory)!r}, where "
            f"{unlisted[0]} has none"
        )
    for name, digest in expected.items():
        file = within(directory, name)
        try:
            found = sha256(file)
        except OSError as error:
            raise InputError(
                f"Expected a whole export. Received: {str(directory)!r} "
                f"without {name}: {error.strerror}"
            ) from error
        if found != digest:
            raise InputError(
                f"Expected an export as it was written. Received: "
                f"{str(directory)!r}, whose {name} has been altered or cut "
                "short"
            )
    return config


def _sealed(directory):
    """Names of the files in a directory that have checksums."""
    return {
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file()
        and path.name not in (CARD, SUMS)
        # Files that file managers leave.
        and not path.name.startswith(".")
    }
