"""Watching kfp's local runner: what runs, what is taken from its cache."""

import contextlib
import json
import logging
import os
import pathlib
import re
import sys
import tempfile
import threading
import time
import warnings

from kfp import local

from pipelines.looking import looking
from pipelines.training import artifacts
from pipelines.training_pipeline import component_name
from video_repr.errors import PipelineError
from video_repr.files import read_json

_CACHED = re.compile(r"Task (\S+) cache hit \(key=(\w+)\)")
_SECONDS_BETWEEN_LOOKS = 0.3


class Watch:
    """The components of one run, in the order in which they came.

    Args:
        root: directory of the artifacts, a `pathlib.Path`.
        log: file for what the components print.
        changed: called without arguments when there is something new.
    """

    def __init__(self, root, log, changed):
        self._root, self._log, self._changed = root, log, changed
        self._tasks = {}
        self._read = 0
        # When what runs now began to start.
        self._since = time.time()
        self._events = None
        self._one_looks = threading.Lock()
        # The runner replaces `print`, and its output goes to the log.
        self._screen = sys.stdout

    @property
    def tasks(self):
        """JSON-ready: component, status "made", "cached" or "failed", ..."""
        return list(self._tasks.values())

    @contextlib.contextmanager
    def running(self):
        """Runs kfp's local runner inside.

        Raises:
            PipelineError: if a component fails.
        """
        with tempfile.TemporaryDirectory() as scratch:
            self._events = pathlib.Path(scratch) / "events.jsonl"
            self._events.touch()
            local.init(
                local.SubprocessRunner(use_venv=False),
                pipeline_root=scratch,
                enable_caching=True,
                cache_root=str(self._root / "cache"),
            )
            try:
                with (
                    _environment(
                        {
                            artifacts.ARTIFACTS: str(self._root / "artifacts"),
                            artifacts.EVENTS: str(self._events),
                            artifacts.RUNNER: str(os.getpid()),
                            # Of TensorFlow, about what it was built with.
                            "TF_CPP_MIN_LOG_LEVEL": "2",
                        }
                    ),
                    _Ears(self._hear),
                    looking(self._look, _SECONDS_BETWEEN_LOOKS),
                    open(self._log, "w", buffering=1) as log,
                    contextlib.redirect_stdout(log),
                    warnings.catch_warnings(),
                ):
                    # Resources and names are for clusters.
                    warnings.simplefilter("ignore")
                    yield
            except RuntimeError as error:
                raise PipelineError(
                    f"{self._failure(error)}\nWhat was done before is kept: "
                    "the same command goes on from there when this is mended."
                ) from error

    def _failure(self, error):
        for task in self.tasks:
            if task["status"] == "failed":
                why = task.get("error") or "it was killed"
                return f"{task['component']} failed: {why}"
        return re.sub(r"\x1b\[[\d;]*m", "", str(error))

    def _look(self):
        """Reads what components have told since the last look."""
        with self._one_looks, open(self._events) as file:
            file.seek(self._read)
            # A line may be half written.
            whole = file.read().rpartition("\n")
            self._read += len("".join(whole[:2]).encode())
            self._tell(map(json.loads, whole[0].splitlines()))

    def _tell(self, events):
        for told in events:
            component, event = told.pop("component"), told.pop("event")
            if event == "started":
                # What is killed tells no more.
                self._set(component, status="failed")
                self._say(f"{component:<18}")
            elif event == "finished":
                # The start of its process is most of what a small one takes.
                seconds = told.pop("time") - self._since
                self._since += seconds
                self._set(
                    component, status="made", seconds=round(seconds, 1), **told
                )
                self._say(f"{seconds:>8.1f} s\n")
            else:
                self._set(component, error=told["error"])
                self._say("  failed\n")

    def _hear(self, message):
        found = _CACHED.search(message)
        if not found:
            return
        # What was told before this.
        self._look()
        component = component_name(found[1].replace("-", "_"))
        self._set(component, status="cached", **self._cached(found[2]))
        self._since = time.time()
        self._say(f"{component:<18}  cached\n")

    def _cached(self, key):
        """What the artifact of a cached task says of itself."""
        for entry in (self._root / "cache").glob(f"{key}*.json"):
            for output in read_json(entry).values():
                if isinstance(output, dict):
                    made = artifacts.made_of(output["uri"])
                    told = ("parameters", "inputs")
                    return {
                        "uri": output["uri"],
                        **{name: made[name] for name in told},
                    }
        return {"uri": None}

    def _set(self, component, **values):
        task = self._tasks.setdefault(component, {"component": component})
        task.update(values)
        self._changed()

    def _say(self, text):
        self._screen.write(text)
        self._screen.flush()


class _Ears(logging.Handler):
    """Hears all that is logged, in place of whoever else would."""

    def __init__(self, hear):
        super().__init__()
        self._hear = hear

    def __enter__(self):
        logger = logging.getLogger()
        self._before = logger.level, logger.handlers[:]
        logger.setLevel(logging.INFO)
        logger.handlers[:] = [self]
        return self

    def __exit__(self, *_):
        logger = logging.getLogger()
        level, logger.handlers[:] = self._before
        logger.setLevel(level)

    def emit(self, record):
        self._hear(record.getMessage())


@contextlib.contextmanager
def _environment(values):
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
