"""Watches kfp's local runner: which components run or come from the cache."""

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

from pipelines.polling import polling
from pipelines.training import artifacts
from pipelines.training.pipeline import component_name
from video_repr.errors import PipelineError
from video_repr.files import read_json

_CACHED = re.compile(r"Task (\S+) cache hit \(key=(\w+)\)")
_SECONDS_BETWEEN_POLLS = 0.3


class Watch:
    """The components of one run, in the order in which they started.

    Args:
        root: directory of the artifacts, a `pathlib.Path`.
        log: file for the output of the components.
        changed: function without arguments, called at each change.
    """

    def __init__(self, root, log, changed):
        self._root, self._log, self._changed = root, log, changed
        self._tasks = {}
        self._read = 0
        # Time at which the present component was started.
        self._since = time.time()
        self._events = None
        self._one_polls = threading.Lock()
        # The runner replaces `print`, and its output goes to the log.
        self._screen = sys.stdout

    @property
    def tasks(self):
        """Dicts: component, status "made", "cached" or "failed", ..."""
        return list(self._tasks.values())

    @contextlib.contextmanager
    def running(self):
        """Watches kfp's local runner inside the block.

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
                            # Silences TensorFlow's lines about its build.
                            "TF_CPP_MIN_LOG_LEVEL": "2",
                        }
                    ),
                    _LogHandler(self._on_log),
                    polling(self._poll, _SECONDS_BETWEEN_POLLS),
                    open(self._log, "w", buffering=1) as log,
                    contextlib.redirect_stdout(log),
                    warnings.catch_warnings(),
                ):
                    # kfp warns about resources and names, which are for
                    # clusters.
                    warnings.simplefilter("ignore")
                    yield
            except RuntimeError as error:
                raise PipelineError(
                    f"{self._failure(error)}\nFinished components are kept: "
                    "solve this and give the same command again to resume."
                ) from error

    def _failure(self, error):
        for task in self.tasks:
            if task["status"] == "failed":
                why = task.get("error") or "it was killed"
                return f"{task['component']} failed: {why}"
        return re.sub(r"\x1b\[[\d;]*m", "", str(error))

    def _poll(self):
        """Reads the events of components since the last poll."""
        with self._one_polls, open(self._events) as file:
            file.seek(self._read)
            # A line may be half written.
            whole = file.read().rpartition("\n")
            self._read += len("".join(whole[:2]).encode())
            self._handle(map(json.loads, whole[0].splitlines()))

    def _handle(self, events):
        for record in events:
            component, event = record.pop("component"), record.pop("event")
            if event == "started":
                # Failed until it has finished: a killed one sends no event.
                self._set(component, status="failed")
                self._print(f"{component:<18}")
            elif event == "finished":
                # Includes the start of its process, most of the time of a small
                # component.
                seconds = record.pop("time") - self._since
                self._since += seconds
                self._set(
                    component,
                    status="made",
                    seconds=round(seconds, 1),
                    **record,
                )
                self._print(f"{seconds:>8.1f} s\n")
            else:
                self._set(component, error=record["error"])
                self._print("  failed\n")

    def _on_log(self, message):
        found = _CACHED.search(message)
        if not found:
            return
        # First read the events written before this.
        self._poll()
        component = component_name(found[1].replace("-", "_"))
        self._set(component, status="cached", **self._cached(found[2]))
        self._since = time.time()
        self._print(f"{component:<18}  cached\n")

    def _cached(self, key):
        """The record of a cached task's artifact."""
        for entry in (self._root / "cache").glob(f"{key}*.json"):
            for output in read_json(entry).values():
                if isinstance(output, dict):
                    made = artifacts.read_record(output["uri"])
                    names = ("parameters", "inputs")
                    return {
                        "uri": output["uri"],
                        **{name: made[name] for name in names},
                    }
        return {"uri": None}

    def _set(self, component, **values):
        task = self._tasks.setdefault(component, {"component": component})
        task.update(values)
        self._changed()

    def _print(self, text):
        self._screen.write(text)
        self._screen.flush()


class _LogHandler(logging.Handler):
    """Receives all log messages, in place of other handlers."""

    def __init__(self, hear):
        super().__init__()
        self._on_log = hear

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
        self._on_log(record.getMessage())


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
