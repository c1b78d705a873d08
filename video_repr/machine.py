"""The machine and the software versions of a run."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys


def made():
    """A JSON-ready record: machine, versions, commit where there is one."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(
            timespec="seconds"
        ),
        # Without TensorFlow nothing ran on a GPU.
        "machine": machine() if "tensorflow" in sys.modules else processor(),
        **_precision(),
        "versions": ", ".join(
            f"{name} {_version(name)}"
            for name in ("video_repr", "tensorflow", "keras")
        ),
        **_commit(),
    }


def _precision():
    """Keras's dtype policy, and whether TensorFlow may use TF32."""
    if "keras" not in sys.modules:
        return {}
    import keras
    import tensorflow as tf

    return {
        "precision": keras.config.dtype_policy().name,
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def machine():
    """The processor, how many cores of it there are, and GPUs, in words."""
    import tensorflow as tf

    found = [processor()]
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        found.append(details.get("device_name", "GPU"))
    return ", ".join(found)


def processor():
    """The processor, and how many cores of it there are, in words."""
    name = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    # The cores that this process may use, if the system says so.
    tells = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if tells else os.cpu_count()
    return f"{name}, {cores} cores"


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        # A source tree that is not installed.
        return "unknown"


def _commit():
    """The commit of the checkout that this file belongs to, if any."""
    for command in (
        # A package installed inside another checkout is not part of it.
        ["git", "ls-files", "--error-unmatch", __file__],
        ["git", "describe", "--always", "--dirty"],
    ):
        try:
            done = subprocess.run(
                command,
                cwd=pathlib.Path(__file__).parent,
                capture_output=True,
                text=True,
                timeout=10,
            )
        except (OSError, subprocess.TimeoutExpired):
            return {}
        if done.returncode:
            return {}
    return {"commit": done.stdout.strip()}
