"""Commands that are killed at random moments, and given again."""

import random
import signal
import time


class Killer:
    """Kills a program as no process can prevent.

    Args:
        start: function that starts it as a `forks.Fork`.
        seed: of the moments.
    """

    def __init__(self, start, seed=0):
        self._start = start
        self._random = random.Random(seed)

    def finish(self):
        """Lets the program end; returns its seconds."""
        began = time.monotonic()
        done = self._start().wait()
        assert done.returncode == 0, done.stdout + done.stderr
        return time.monotonic() - began

    def kill(self, earliest, latest, once=None):
        """Starts the program and kills it.

        Args:
            earliest: seconds after which it may be killed.
            latest: seconds until which it is.
            once: function that says from when on the seconds count; from the
                start when None.

        Returns:
            Whether it was killed before it ended.
        """
        process = self._start()
        while once and not once() and not process.ends_within(0.02):
            pass
        ended = process.ends_within(self._random.uniform(earliest, latest))
        if not ended:
            process.kill(signal.SIGKILL)
        process.wait()
        return not ended
