"""Looking now and then at what goes on elsewhere."""

import contextlib
import threading


@contextlib.contextmanager
def looking(look, seconds):
    """Calls a function every so many seconds, and once at the end.

    Args:
        look: called without arguments, in a thread of its own but for the end.
        seconds: between the calls.
    """
    ended = threading.Event()

    def watch():
        while not ended.wait(seconds):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look()
