"""Files and directories that are either whole or absent."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import uuid

from video_repr.errors import InputError

_PARTIAL = ".partial-"


@contextlib.contextmanager
def whole_file(path):
    """A temporary path beside `path`, renamed to it when the block succeeds.

    >>> with whole_file("runs/demo/evaluation.json") as partial:
    ...     partial.write_text("{}")
    """
    path = pathlib.Path(path)
    partial = _beside(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_directory(path):
    """A temporary directory that replaces `path` when the block succeeds."""
    path = pathlib.Path(path)
    partial = _beside(path)
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_partials(directory):
    """Removes what processes that were killed left half-written."""
    for path in pathlib.Path(directory).rglob(f"{_PARTIAL}*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _beside(path):
    return path.with_name(f"{_PARTIAL}{uuid.uuid4().hex[:8]}-{path.name}")


def sha256(path):
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path, values):
    """Writes JSON for people: indented, with a final newline."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(values, indent=2) + "\n")


def read_json(path, kind=object):
    """What a JSON file holds.

    Args:
        path: of the file.
        kind: type that it has to be of.

    Raises:
        InputError: if it is missing, broken or of another type.
    """
    try:
        found = load_json(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected a readable {path}. Received: {error}"
        ) from error
    if not isinstance(found, kind):
        raise InputError(
            f"Expected a JSON object in {path}. Received: {found!r:.40}"
        )
    return found


def load_json(path):
    """What a JSON file holds.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON.
    """
    try:
        return json.loads(pathlib.Path(path).read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def within(directory, name):
    """The file of a name that another file gives, in a directory.

    Args:
        directory: that the file has to lie in.
        name: relative to it, its parts divided by `/`.

    Raises:
        InputError: if the name leads out of the directory, be it by a link.
    """
    path = pathlib.Path(directory, name)
    try:
        inside = path.resolve().is_relative_to(
            pathlib.Path(directory).resolve()
        )
    except (OSError, ValueError):
        # What no file system has for a name.
        inside = False
    parts = pathlib.PurePosixPath(name).parts
    if (
        not inside
        or not parts
        or parts[0] == "/"
        or ".." in parts
        or "\\" in name
        or "\0" in name
    ):
        raise InputError(
            f"Expected the name of a file in {str(directory)!r}. Received: "
            f"{name!r:.200}, which leads elsewhere"
        )
    return path
