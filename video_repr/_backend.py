"""TensorFlow is the one backend of Keras that this package works on."""

import json
import os
import pathlib
import sys


def check_backend():
    """Refuses another backend of Keras, imported or not.

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
    """The backend that Keras will take: of the environment, of keras.json."""
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    try:
        config = json.loads((pathlib.Path(home) / "keras.json").read_text())
        return config.get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        # As Keras does where there is no such file, or a broken one.
        return "tensorflow"
