"""Reads and shows the record of a run of the training pipeline."""

import os
import pathlib

from video_repr.errors import InputError
from video_repr.files import read_json


def read_run(path):
    """The record of a run.

    Args:
        path: its file, or a root, for the last run in it.

    Raises:
        InputError: if there is none, or it is broken.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise InputError(
            "Expected a pipeline's directory with runs, or the file of a run. "
            f"Received: {path}, which does not exist"
        )
    if path.is_dir():
        files = sorted(path.glob("runs/*.json"))
        if not files:
            raise InputError(
                f"Expected a pipeline's directory with runs. Received: {path}"
            )
        path = files[-1]
    run = read_json(path, dict)
    if not {"name", "status", "started", "seconds", "tasks"} <= set(run):
        raise InputError(
            f"Expected the file of a pipeline's run. Received: {path}"
        )
    return run


def in_words(run):
    """The artifacts of a run, with their inputs and durations, as text.

    Args:
        run: the result of `read_run`.

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
        seconds = f"{task['seconds']:.1f} s" if "seconds" in task else ""
        line = f"{component:<18}{task['status']:<8}{seconds:>10}  {_short(uri)}"
        lines.append(line.rstrip())
        names[uri] = component
        if "films" in task.get("parameters", {}):
            lines.append(f"    films: {_short(task['parameters']['films'])}")
        for name, given in task.get("inputs", {}).items():
            of = names.get(given["uri"], "an earlier run")
            lines.append(f"    {name}: {_short(given['uri'])} of {of}")
        lines += [f"    {e}" for e in task.get("error", "").splitlines()]
    return "\n".join(lines)


def _short(uri):
    if uri is None or not os.path.isabs(uri):
        return uri or ""
    return min(uri, os.path.relpath(uri), key=len)
