"""What became of a run of the training pipeline, and what was made of what."""

import contextlib
import os
import pathlib

from pipelines.training import artifacts
from video_repr.errors import InputError
from video_repr.files import read_json


def read_run(path):
    """What became of a run.

    Args:
        path: its file, or a root, of which the last run is meant.

    Raises:
        InputError: if there is none, or it is broken.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        files = sorted(path.glob("runs/*.json"))
        if not files:
            raise InputError(
                f"Expected a pipeline's directory with runs. Received: {path}"
            )
        path = files[-1]
    return read_json(path)


def in_words(run):
    """The chain of a run: what was made of what, in how many seconds.

    Args:
        run: what `read_run` returns.

    Returns:
        Lines of text, without a final newline.
    """
    lines = [
        f"{run['name']}: {run['status']} after {run['seconds']:.0f} s, begun "
        f"{run['started']}"
    ]
    names = {}
    for task in run["tasks"]:
        uri, component = task.get("uri"), task["component"]
        about = {}
        with contextlib.suppress(InputError):
            about = artifacts.made_of(uri) if uri else {}
        seconds = about.get("seconds", task.get("seconds"))
        lines.append(
            f"{component:<18}{task['status']:<8}"
            + (f"{seconds:>8.1f} s" if seconds is not None else " " * 10)
            + f"  {_short(uri)}"
        )
        names[uri] = component
        for name, given in about.get("inputs", {}).items():
            of = names.get(given["uri"], "an earlier run")
            lines.append(f"    {name}: {_short(given['uri'])} of {of}")
        if "error" in task:
            lines += [f"    {line}" for line in task["error"].splitlines()]
    return "\n".join(lines)


def _short(uri):
    if uri is None or not os.path.isabs(uri):
        return uri or ""
    return min(uri, os.path.relpath(uri), key=len)
