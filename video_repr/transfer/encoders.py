"""Encoders from where training and exporting leave them."""

import pathlib

import keras

from video_repr.errors import InputError
from video_repr.models import Encoder
from video_repr.runs import Run


def load_encoder(path):
    """A pretrained encoder.

    Args:
        path: a run directory, an export, or an encoder's .keras file.

    Returns:
        An `Encoder`.

    Raises:
        InputError: if there is none, or it is broken.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise InputError(
            "Expected a run, an export or an encoder's .keras file. Received: "
            f"{str(path)!r}, which does not exist"
        )
    exported = path / "encoder.keras"
    if path.is_dir() and not exported.is_file():
        return Run(path).model().encoder
    file = exported if path.is_dir() else path
    try:
        found = keras.models.load_model(file)
    except Exception as error:
        # Keras has no type of its own for what a broken archive raises.
        raise InputError(
            "Expected a run, an export or an encoder's .keras file. Received: "
            f"{str(path)!r}: {error}"
        ) from error
    if not isinstance(found, Encoder):
        raise InputError(
            f"Expected an encoder in {file}. Received: a {type(found).__name__}"
        )
    return found


def check_fits(encoder, videos):
    """Refuses an encoder of other frames than the videos'.

    Raises:
        InputError: naming both.
    """
    if encoder.features != videos.features:
        raise InputError(
            f"Expected an encoder of frames of {videos.features} values, as "
            f"the videos have. Received: one of {encoder.features}"
        )
