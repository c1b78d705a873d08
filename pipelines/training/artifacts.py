"""Artifacts: folders that are whole or absent, and record what made them.

On one machine an artifact lies in ARTIFACTS/COMPONENT/FINGERPRINT. If a
component makes the same content again, it is the same artifact, and the
following components come from the cache. On Kubeflow the engine chooses the
place.
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
from video_repr.files import checksums
from video_repr.files import fingerprint
from video_repr.files import only_writer
from video_repr.files import read_json
from video_repr.files import replace_directory
from video_repr.files import sha256
from video_repr.files import write_json
from video_repr.machine import made

# Environment variables of the local runner: the folder of artifacts, the folder
# of events, its process.
ARTIFACTS = "VIDEO_REPR_ARTIFACTS"
EVENTS = "VIDEO_REPR_EVENTS"
RUNNER = "VIDEO_REPR_RUNNER"
# Prefix of folders that killed components have left unfinished.
UNFINISHED = ".unfinished-"

_RECORD = "artifact.json"

ARTIFACT = Kind("an artifact", lambda folder: (folder / _RECORD).is_file())


class AnomaliesError(RuntimeError):
    """The records have anomalies."""


_REFUSED = (InputError, AnomaliesError, DivergedError, FailureRateError)


@contextlib.contextmanager
def component_events(component):
    """Tells the local runner that a component has started, or failed.

    Raises:
        SystemExit: for unusable input or anomalies, after printing the message.
    """
    send_event(component, "started")
    if "keras" in sys.modules:
        # Only the Trainer's config can say otherwise.
        from video_repr.precision import set_precision

        set_precision("float32")
    if RUNNER in os.environ:
        _end_with(int(os.environ[RUNNER]))
    try:
        yield
    except _REFUSED as error:
        send_event(component, "failed", error=str(error))
        print(f"{component}: {error}", flush=True)
        sys.exit(1)
    except BaseException as error:
        send_event(
            component, "failed", error=f"{type(error).__name__}: {error}"
        )
        raise


@contextlib.contextmanager
def write_artifact(
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
        parameters: the settings that it depends on, JSON-ready.
        inputs: dict from a name to the `kfp.dsl.Artifact`s it depends on.
        resumes: whether the component resumes from the files that a killed
            process with the same parameters and inputs has left in the folder.
        known_by: function that takes the folder and returns a string that
            identifies the artifact, if its files contain times; its bytes
            identify it when None.

    Yields:
        An existing folder, a `pathlib.Path`.

    Raises:
        SystemExit: as `component_events` does.
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
    with component_events(component):
        unfinished = beside / f"{UNFINISHED}{key}"
        if not resumes:
            shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, exist_ok=True)
        about = {**record, **made()}
        yield unfinished
        sums = checksums(unfinished)
        # Of a process that was killed before the folder was in its place.
        sums.pop(_RECORD, None)
        about["fingerprint"] = (
            _hash(known_by(unfinished)) if known_by else fingerprint(sums)
        )
        about["files"] = {
            name: _file(unfinished / name, digest)
            for name, digest in sums.items()
        }
        write_json(unfinished / _RECORD, about)
        place = folder / about["fingerprint"][:16] if folder else output.path
        with only_writer(place):
            # The folder there has the same content, or is damaged.
            replace_directory(unfinished, place, ARTIFACT)
        if folder:
            output.uri = str(place)
        output.metadata["fingerprint"] = about["fingerprint"]
        about = {name: record[name] for name in ("parameters", "inputs")}
        send_event(component, "finished", uri=output.uri, **about)


def _end_with(runner):
    """Ends this process when the runner has ended for any reason.

    Otherwise it would write to the same folder as the next run.
    """

    def watch():
        while True:
            try:
                os.kill(runner, 0)
            except ProcessLookupError:
                os._exit(1)
            time.sleep(0.5)

    threading.Thread(target=watch, daemon=True).start()


def send_event(component, event, **about):
    """Writes a line for the local runner, if there is one."""
    if EVENTS in os.environ:
        line = {"component": component, "event": event, "time": time.time()}
        with open(os.environ[EVENTS], "a") as file:
            file.write(json.dumps({**line, **about}) + "\n")


def dataset_of(path):
    """The dataset directory in the artifact of ExampleGen."""
    (info,) = pathlib.Path(path).glob("*/1/info.json")
    return info.parent


def read_record(folder):
    """An artifact's record of how it was made.

    Raises:
        InputError: if it is missing or broken.
    """
    return read_json(pathlib.Path(folder) / _RECORD, dict)


def is_whole(folder):
    """Whether the files of an artifact have not changed.

    Other files may have been added, such as a report.
    """
    try:
        files = read_record(folder)["files"]
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
    # A file with the same modification time is not read.
    return status.st_mtime_ns == file["time"] or sha256(path) == file["sha256"]


def _file(path, digest):
    status = path.stat()
    return {
        "bytes": status.st_size,
        "time": status.st_mtime_ns,
        "sha256": digest,
    }


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()
