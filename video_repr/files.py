"""Files and directories that are either whole or absent.

A new directory is written beside its place, and then renamed; before that, the
old one is moved aside. Beside NAME there may be

    .partial-ID-NAME   the directory being written, or its rest after a kill
    .NAME.replaced     the whole old one, until the new one is in its place
    .NAME.lock         says which process writes NAME

After a kill, the old or the new directory is in its place, or the old one is
aside; the next process that writes or reads NAME puts it back.
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
    # Windows has no fcntl; a second writer is not refused there.
    fcntl = None

_PARTIAL = ".partial-"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of directory, of which a new one may replace an old one.

    Attributes:
        name: its name with the article: "an export".
        holds: function that takes a directory, a `pathlib.Path`, and returns
            whether it is of this kind and has no other files, which would be
            lost.
    """

    name: str
    holds: Callable


def contents(directory):
    """The files in a directory, without the hidden files of file managers."""
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
        kind: `Kind` of directory that may be replaced there; none when None.

    Yields:
        An empty directory, a `pathlib.Path`.

    Raises:
        InputError: before the block and after it, if something at `path` must
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
    """Moves a directory to its place; call it within `only_writer`.

    Args:
        new: a directory in the file system of `path`.
        path: its new place.
        kind: `Kind` of directory that may be replaced there; none when None.

    Raises:
        InputError: if something at `path` must not be replaced.
    """
    path = _place(path)
    put_back(path, kind)
    _check(path, kind)
    replaced = _is_taken(path)
    if replaced:
        os.rename(path, _aside(path))
    try:
        # This also replaces an empty directory.
        os.rename(new, path)
    except BaseException:
        put_back(path, kind)
        raise
    if replaced:
        _discard(_aside(path))


def restore(path, kind):
    """Puts back a directory that a killed replacement had moved aside.

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
    """Does what `restore` does; call it within `only_writer`.

    Args:
        path: of the directory.
        kind: its `Kind`.

    Raises:
        InputError: if the directory that was moved aside is of another kind.
    """
    path = _place(path)
    aside = _aside(path)
    # The rest, after a kill, of a directory that was replaced before.
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
        path: of the directory, which need not exist; its parent is made.
        wait: whether to wait for the other writer instead.

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
                    # The system releases it when the process ends for any
                    # reason.
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
            # The previous writer may have removed it after we opened it.
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
    """Names of the directories that killed replacements have left aside."""
    for path in pathlib.Path(directory).glob(".*.replaced"):
        yield path.name[1:].removesuffix(".replaced")


def _is_taken(path):
    """Whether something other than an empty directory is there."""
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
    # Renamed first: a half-deleted directory could look like other files.
    rubbish = _beside(path)
    os.rename(path, rubbish)
    shutil.rmtree(rubbish, ignore_errors=True)


def _remove_partials_of(path):
    pattern = rf"{re.escape(_PARTIAL)}[0-9a-f]{{8}}-{re.escape(path.name)}"
    for found in path.parent.iterdir():
        if re.fullmatch(pattern, found.name) and found.is_dir():
            shutil.rmtree(found, ignore_errors=True)


def remove_partials(directory):
    """Removes the half-written directories of killed processes."""
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


def checksums(directory):
    """The SHA-256 of each file below a directory, a dict by their names."""
    directory = pathlib.Path(directory)
    return {
        path.relative_to(directory).as_posix(): sha256(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def fingerprint(sums):
    """Hexadecimal SHA-256 of files' names and contents, their `checksums`."""
    lines = [f"{name} {digest}" for name, digest in sums.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write_json(path, values):
    """Writes readable JSON: indented, with a final newline."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(values, indent=2) + "\n")


def read_json(path, kind=object):
    """The content of a JSON file.

    Args:
        path: of the file.
        kind: type that the content must have.

    Raises:
        InputError: if it is missing, broken or of another type.
    """
    try:
        found = load_json(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected a readable JSON file. Received: {path}: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from error
    if not isinstance(found, kind):
        raise InputError(
            f"Expected a JSON object in {path}. Received: {found!r:.40}"
        )
    return found


def load_json(path):
    """The content of a JSON file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not JSON.
    """
    try:
        return json.loads(pathlib.Path(path).read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def within(directory, name):
    """The path of a file in a directory, by a name that another file states.

    Args:
        directory: directory that must contain the file.
        name: path relative to it, with parts separated by `/`.

    Raises:
        InputError: if the name leads out of the directory, also by a link.
    """
    path = pathlib.Path(directory, name)
    try:
        inside = path.resolve().is_relative_to(
            pathlib.Path(directory).resolve()
        )
    except (OSError, ValueError):
        # A name that no file system allows.
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
