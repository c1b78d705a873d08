"""Files and directories that are either whole or absent."""

import contextlib
import json
import os
import pathlib
import shutil


@contextlib.contextmanager
def whole_file(path):
    """A temporary path beside `path`, renamed to it when the block succeeds.

    >>> with whole_file("runs/demo/evaluation.json") as partial:
    ...     partial.write_text("{}")
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_directory(path):
    """A temporary directory that replaces `path` when the block succeeds."""
    path = pathlib.Path(path)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_json(path, values):
    """Writes JSON for people: indented, with a final newline."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(values, indent=2) + "\n")
