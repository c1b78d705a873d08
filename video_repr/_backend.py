"""TensorFlow is the only Keras backend that this package works with."""

import json
import os
import pathlib
import sys


def check_backend():
    """Refuses other Keras backends, whether Keras is imported yet or not.

    Raises:
        ImportError: if Keras runs, or will run, on another backend.
    """
    keras = sys.modules.get("keras")
    backend = keras.backend.backend() if keras else _configured()
    if backend != "tensorflow":
        raise ImportError(
            "video_repr needs Keras on its TensorFlow backend. Received: "
            f"backend {backend!r}. Set KERAS_BACKEND=tensorflow before keras "
            "is imported.",
            name="video_repr",
        )


def _configured():
    """The backend that Keras will use, from the environment or keras.json."""
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    try:
        config = json.loads((pathlib.Path(home) / "keras.json").read_text())
        return config.get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        # Keras does the same if the file is missing or broken.
        return "tensorflow"
