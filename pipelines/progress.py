"""Shows the progress of a job."""

import contextlib
import sys
import time

from pipelines.polling import polling
from pipelines.staging import names_in
from pipelines.storage import file_systems
from pipelines.storage import read_json

FileSystems = file_systems()

_SECONDS_BETWEEN_LINES = 2.0


@contextlib.contextmanager
def progress(staging, done, total):
    """Prints a live line of progress; without a terminal, some lines."""
    seen, frames, failed = set(done), 0, 0
    started = time.monotonic()
    live = sys.stderr.isatty()

    def poll():
        nonlocal frames, failed
        parts = FileSystems.join(staging, "parts")
        for name in names_in(parts, ".json") - seen:
            seen.add(name)
            summary = read_json(FileSystems.join(parts, f"{name}.json"))
            frames += summary["frames"]
            failed += summary["failure"] is not None
        seconds = time.monotonic() - started
        line = (
            f"{len(seen):,} of {total:,} videos   {frames:,} frames   "
            f"{failed:,} failed   {frames / seconds:,.0f} frames/s"
        )
        end = "\r" if live else "\n"
        print(line, end=end, file=sys.stderr, flush=True)

    try:
        with polling(poll, _SECONDS_BETWEEN_LINES * (1 if live else 15)):
            yield
    finally:
        if live:
            # The last line stays.
            print(file=sys.stderr)
