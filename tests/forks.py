"""Fresh processes that are forked from one that has imported Keras.

To import it takes longer than most of what they do. Of this package they know
nothing, as after the start of Python.
"""

import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile

_SERVER = """
import json, os, sys, traceback

import keras
import tensorflow


def run(source, arguments, folder, environment, logs):
    for stream, log in enumerate(logs, start=1):
        os.dup2(os.open(log, os.O_WRONLY), stream)
    os.setsid()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["-c", *arguments]
    try:
        # As the interpreter would: names are looked up in this module.
        names = sys.modules["__main__"].__dict__
        exec(compile(source, "<source>", "exec"), names)
        return 0
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            return 1
        return error.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


for line in sys.stdin:
    what, *given = json.loads(line)
    if what == "wait":
        _, status = os.waitpid(given[0], 0)
        answer = os.waitstatus_to_exitcode(status)
    else:
        answer = os.fork()
        if not answer:
            os._exit(run(*given))
    print(json.dumps(answer), file=sys.__stdout__, flush=True)
"""


class Forks:
    """Starts sources in processes of their own."""

    def __init__(self):
        self._server = None

    def start(self, source, *arguments, folder, **environment):
        """Starts a `Fork`.

        Args:
            source: Python source.
            *arguments: its `sys.argv[1:]`.
            folder: its working directory.
            **environment: variables beside those of the tests.
        """
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-c", _SERVER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        logs = []
        for _ in ("stdout", "stderr"):
            with tempfile.NamedTemporaryFile(delete=False) as log:
                logs.append(log.name)
        given = [*map(str, arguments)]
        pid = self._ask("run", source, given, str(folder), environment, logs)
        return Fork(self, pid, logs)

    def wait_for(self, pid):
        return self._ask("wait", pid)

    def close(self):
        if self._server is not None:
            self._server.communicate()

    def _ask(self, *request):
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())


class Fork:
    """A process.

    Attributes:
        pid: its id.
    """

    def __init__(self, forks, pid, logs):
        self.pid = pid
        self._forks, self._logs = forks, [pathlib.Path(log) for log in logs]

    def kill(self, signal):
        try:
            os.killpg(self.pid, signal)
        except ProcessLookupError:
            # It has no group of its own yet.
            os.kill(self.pid, signal)

    def ends_within(self, seconds):
        """Waits for so long at most; returns whether it has ended."""
        file = os.pidfd_open(self.pid)
        try:
            ready, _, _ = select.select([file], [], [], seconds)
        finally:
            os.close(file)
        return bool(ready)

    def errors(self):
        """What it has printed as errors so far."""
        return self._logs[1].read_text()

    def wait(self):
        """Waits for its end; returns a `subprocess.CompletedProcess`."""
        code = self._forks.wait_for(self.pid)
        printed = [log.read_text() for log in self._logs]
        for log in self._logs:
            log.unlink()
        return subprocess.CompletedProcess(self.pid, code, *printed)
