"""What a run was made on, and by."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess


def made():
    """A JSON-ready record: machine, versions, commit where there is one."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(
            timespec="seconds"
        ),
        "machine": machine(),
        "versions": ", ".join(
            f"{name} {importlib.metadata.version(name)}"
            for name in ("video_repr", "tensorflow", "keras")
        ),
        **_commit(),
    }


def machine():
    """The processor and how many cores of it there are, in words."""
    processor = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return f"{processor}, {len(os.sched_getaffinity(0))} cores"


def _commit():
    """Of the checkout that this file is in, if it is one."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return {"commit": done.stdout.strip()} if done.returncode == 0 else {}
