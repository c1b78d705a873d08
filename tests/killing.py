"""Commands that are killed at random moments, and given again."""

import os
import random
import signal
import subprocess
import time


class Killer:
    """Kills a command as no process can prevent.

    Args:
        command: of a process, in a session of its own.
        seed: of the moments.
        **environment: of the process.
    """

    def __init__(self, command, seed=0, **environment):
        self._command = list(map(str, command))
        self._random = random.Random(seed)
        self._environment = {**os.environ, **environment}

    def finish(self):
        """Lets the command end; returns its seconds and what it printed."""
        began = time.monotonic()
        done = subprocess.run(
            self._command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return time.monotonic() - began, done.stdout

    def kill(self, earliest, latest, once=None):
        """Starts the command and kills it, its children too.

        Args:
            earliest: seconds after which it may be killed.
            latest: seconds until which it is.
            once: function that says from when on the seconds count; from the
                start when None.

        Returns:
            Whether it was killed before it ended.
        """
        process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while once and process.poll() is None and not once():
            time.sleep(0.02)
        try:
            process.wait(self._random.uniform(earliest, latest))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        return False
