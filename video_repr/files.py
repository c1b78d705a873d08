"""Files and directories that are either whole or absent.

A directory is written beside its place and put there by a rename; the one
that it replaces is moved aside before. Beside NAME there may be

    .partial-ID-NAME   what is being written, or what a kill has left of it
    .NAME.replaced     the old one, whole, until the new one is in its place
    .NAME.lock         says who writes NAME

A kill leaves the old one or the new one in its place, or the old one aside:
whoever writes or reads NAME next puts it back.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import uuid
from collections.abc import Callable

from video_repr.errors import InputError

try:
    import fcntl
except ImportError:
    # On Windows a second writer is not refused.
    fcntl = None

_PARTIAL = ".partial-"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of directory, of which a newer one may replace an older.

    Attributes:
        name: with its article: "an export".
        holds: function that says of a directory, a `pathlib.Path`, whether it
            is of the kind and has nothing in it that would be a loss.
    """

    name: str
    holds: Callable


def contents(directory):
    """What is in a directory, but for the hidden files of file managers."""
    return [
        path
        for path in pathlib.Path(directory).iterdir()
        if path.is_dir() or not path.name.startswith(".")
    ]


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
def whole_directory(path, kind=None):
    """A temporary directory that is put at `path` when the block succeeds.

    Args:
        path: directory to write.
        kind: `Kind` of what may be replaced there; nothing when None.

    Yields:
        An empty directory, a `pathlib.Path`.

    Raises:
        InputError: before the block and after it, if what is at `path` must
            not be replaced; before it, if another process writes there.
    """
    path = _place(path)
    with only_writer(path):
        put_back(path, kind)
        _check(path, kind)
        _remove_partials_of(path)
        partial = _beside(path)
        partial.mkdir()
        try:
            yield partial
            replace_directory(partial, path, kind)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def replace_directory(new, path, kind=None):
    """Puts a directory at a place; for the `only_writer` there.

    Args:
        new: a directory in the file system of `path`.
        path: where it goes.
        kind: `Kind` of what may be replaced there; nothing when None.

    Raises:
        InputError: if what is at `path` must not be replaced.
    """
    path = _place(path)
    put_back(path, kind)
    _check(path, kind)
    replaced = _is_taken(path)
    if replaced:
        os.rename(path, _aside(path))
    try:
        # Also over an empty directory.
        os.rename(new, path)
    except BaseException:
        put_back(path, kind)
        raise
    if replaced:
        _discard(_aside(path))


def restore(path, kind):
    """Puts back what a replacement that was killed had moved aside.

    Args:
        path: of the directory.
        kind: its `Kind`.

    Raises:
        InputError: if another process writes there.
    """
    path = _place(path)
    if not _is_taken(path) and os.path.lexists(_aside(path)):
        with only_writer(path):
            put_back(path, kind)


def put_back(path, kind):
    """Does what `restore` does, for the `only_writer` there.

    Args:
        path: of the directory.
        kind: its `Kind`.

    Raises:
        InputError: if what was moved aside is of another kind.
    """
    path = _place(path)
    aside = _aside(path)
    # What a kill has left of one that was replaced before.
    _remove_partials_of(aside)
    if not os.path.lexists(aside):
        return
    if kind is None or not kind.holds(aside):
        raise InputError(
            f"Expected to put {str(aside)!r} back, which was moved aside to "
            "be replaced. Received: something else to write; move it elsewhere"
        )
    if not _is_taken(path):
        os.rename(aside, path)
    elif kind.holds(path):
        _discard(aside)


@contextlib.contextmanager
def only_writer(path, wait=False):
    """Refuses a second writer of a directory while there is one.

    Args:
        path: of the directory, which need not exist; the one that it lies in
            is made.
        wait: whether it waits for its turn instead.

    Raises:
        InputError: if another process, or thread, writes there.
    """
    path = _place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with _locked(lock, path, wait) as file:
        file.truncate(0)
        now = datetime.datetime.now().astimezone()
        file.write(
            f"process {os.getpid()} on {socket.gethostname()}, which began at "
            f"{now:%Y-%m-%d %H:%M:%S %Z}"
        )
        file.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(lock, path, wait):
    while True:
        with open(lock, "a+") as file:
            if fcntl is not None:
                try:
                    # Given back by the system when the process ends, however
                    # it does.
                    at_once = 0 if wait else fcntl.LOCK_NB
                    fcntl.flock(file, fcntl.LOCK_EX | at_once)
                except BlockingIOError as error:
                    file.seek(0)
                    raise InputError(
                        "Expected a directory that nobody writes. Received: "
                        f"{str(path)!r}, which is being written by "
                        f"{file.read() or 'another process'}. Wait until it "
                        "has ended, or end it, and give the same command "
                        "again"
                    ) from error
            # The writer before may have removed it after it was opened here.
            if _is_file(file, lock):
                yield file
                return


def _is_file(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _place(path):
    path = pathlib.Path(path)
    if path.name in ("", ".."):
        path = path.resolve()
    if not path.name:
        raise InputError(
            f"Expected a directory to write. Received: {str(path)!r}"
        )
    return path


def _aside(path):
    return path.with_name(f".{path.name}.replaced")


def moved_aside(directory):
    """Names of the directories that killed replacements have moved aside."""
    for path in pathlib.Path(directory).glob(".*.replaced"):
        yield path.name[1:].removesuffix(".replaced")


def _is_taken(path):
    """Whether there is more than an empty directory."""
    if path.is_dir() and not path.is_symlink():
        return any(path.iterdir())
    return os.path.lexists(path)


def _check(path, kind):
    if not _is_taken(path):
        return
    wanted = "a new directory"
    if kind is not None:
        wanted += f", or {kind.name} to replace"
    if path.is_symlink():
        found = "a link"
    elif not path.is_dir():
        found = "a file"
    elif kind is None:
        found = "which exists"
    elif not kind.holds(path):
        found = "which has other files"
    else:
        return
    raise InputError(f"Expected {wanted}. Received: {str(path)!r}, {found}")


def _discard(path):
    # By one rename: half of it could not be told from other files.
    rubbish = _beside(path)
    os.rename(path, rubbish)
    shutil.rmtree(rubbish, ignore_errors=True)


def _remove_partials_of(path):
    pattern = rf"{re.escape(_PARTIAL)}[0-9a-f]{{8}}-{re.escape(path.name)}"
    for found in path.parent.iterdir():
        if re.fullmatch(pattern, found.name) and found.is_dir():
            shutil.rmtree(found, ignore_errors=True)


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
