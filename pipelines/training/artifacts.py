"""Artifacts: folders that are whole or absent, and say what made them.

On one machine an artifact lies in ARTIFACTS/COMPONENT/FINGERPRINT: what is
made again and is the same is the same artifact, and what follows need not be
made again. On Kubeflow it lies where the engine says.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import sys
import threading
import time

from video_repr.errors import DivergedError
from video_repr.errors import FailureRateError
from video_repr.errors import InputError
from video_repr.files import Kind
from video_repr.files import only_writer
from video_repr.files import read_json
from video_repr.files import replace_directory
from video_repr.files import sha256
from video_repr.files import write_json
from video_repr.machine import made

# Where the local runner wants artifacts, what it wants to be told, its
# process.
ARTIFACTS = "VIDEO_REPR_ARTIFACTS"
EVENTS = "VIDEO_REPR_EVENTS"
RUNNER = "VIDEO_REPR_RUNNER"
# What killed components have begun.
UNFINISHED = ".unfinished-"

_RECORD = "artifact.json"

ARTIFACT = Kind("an artifact", lambda folder: (folder / _RECORD).is_file())


class AnomaliesError(RuntimeError):
    """The records are not what they have to be."""


_REFUSED = (InputError, AnomaliesError, DivergedError, FailureRateError)


@contextlib.contextmanager
def telling(component):
    """Tells the local runner that a component has started, or failed.

    Raises:
        SystemExit: for what is refused, after saying so in a sentence.
    """
    tell(component, "started")
    if RUNNER in os.environ:
        _end_with(int(os.environ[RUNNER]))
    try:
        yield
    except _REFUSED as error:
        tell(component, "failed", error=str(error))
        print(f"{component}: {error}", flush=True)
        sys.exit(1)
    except BaseException as error:
        tell(component, "failed", error=f"{type(error).__name__}: {error}")
        raise


@contextlib.contextmanager
def making(
    component,
    output,
    parameters=None,
    inputs=None,
    resumes=False,
    known_by=None,
):
    """A folder to write an artifact to.

    Args:
        component: name of the component.
        output: its `kfp.dsl.Artifact`, which gets its place and fingerprint.
        parameters: what it depends on, JSON-ready.
        inputs: dict from a name to the `kfp.dsl.Artifact`s it depends on.
        resumes: whether what writes to the folder goes on with what it finds
            there, of a process that was killed with the same parameters and
            inputs.
        known_by: function of the folder that returns a string by which the
            artifact is known, where its bytes hold times; by its bytes when
            None.

    Yields:
        An existing folder, a `pathlib.Path`.

    Raises:
        SystemExit: as `telling` does.
    """
    record = {
        "component": component,
        "parameters": parameters or {},
        "inputs": {
            name: {
                "uri": artifact.uri,
                "fingerprint": artifact.metadata.get("fingerprint"),
            }
            for name, artifact in (inputs or {}).items()
        },
    }
    root = os.environ.get(ARTIFACTS)
    folder = pathlib.Path(root, component) if root else None
    beside = folder or pathlib.Path(output.path).parent
    key = _hash(json.dumps(record, sort_keys=True))[:16]
    with telling(component):
        unfinished = beside / f"{UNFINISHED}{key}"
        if not resumes:
            shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, exist_ok=True)
        about = {**record, **made()}
        yield unfinished
        files = _files(unfinished)
        about["fingerprint"] = (
            _hash(known_by(unfinished)) if known_by else _of_files(files)
        )
        about["files"] = files
        write_json(unfinished / _RECORD, about)
        place = folder / about["fingerprint"][:16] if folder else output.path
        with only_writer(place):
            # What is there is the same, or what is left of it.
            replace_directory(unfinished, place, ARTIFACT)
        if folder:
            output.uri = str(place)
        output.metadata["fingerprint"] = about["fingerprint"]
        told = {name: record[name] for name in ("parameters", "inputs")}
        tell(component, "finished", uri=output.uri, **told)


def _end_with(runner):
    """Ends this process when the runner has ended, however it did.

    Otherwise the next run would write to the same folder.
    """

    def watch():
        while True:
            try:
                os.kill(runner, 0)
            except ProcessLookupError:
                os._exit(1)
            time.sleep(0.5)

    threading.Thread(target=watch, daemon=True).start()


def tell(component, event, **about):
    """A line for the local runner, if it wants one."""
    if EVENTS in os.environ:
        line = {"component": component, "event": event, "time": time.time()}
        with open(os.environ[EVENTS], "a") as file:
            file.write(json.dumps({**line, **about}) + "\n")


def fingerprint(folder):
    """SHA-256 of the names and bytes of a folder's files."""
    return _of_files(_files(pathlib.Path(folder)))


def made_of(folder):
    """What an artifact says of how it was made.

    Raises:
        InputError: if it is missing or broken.
    """
    return read_json(pathlib.Path(folder) / _RECORD, dict)


def is_whole(folder):
    """Whether the files of an artifact are as they were written.

    Others may have come, such as a page about a model.
    """
    try:
        files = made_of(folder)["files"]
        return all(
            _is_as_written(pathlib.Path(folder, name), file)
            for name, file in files.items()
        )
    except (InputError, KeyError, OSError):
        return False


def _is_as_written(path, file):
    status = path.stat()
    if status.st_size != file["bytes"]:
        return False
    # What was not touched need not be read.
    return status.st_mtime_ns == file["time"] or sha256(path) == file["sha256"]


def _files(folder):
    return {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "time": path.stat().st_mtime_ns,
            "sha256": sha256(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / _RECORD
    }


def _of_files(files):
    return _hash("\n".join(f"{n} {f['sha256']}" for n, f in files.items()))


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()
