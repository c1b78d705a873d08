"""Calls a function at regular intervals."""

import contextlib
import threading


@contextlib.contextmanager
def polling(poll, seconds):
    """Calls a function every `seconds`, and once at the end.

    Args:
        poll: function without arguments; called in its own thread, except at
            the end.
        seconds: time between the calls.
    """
    ended = threading.Event()

    def watch():
        while not ended.wait(seconds):
            poll()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        poll()
