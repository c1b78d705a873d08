"""Encoders from where training and exporting leave them."""

import json
import pathlib

import keras

from video_repr.data import ClipDataset
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


def check_unseen(path, videos, split):
    """Refuses an encoder whose pretraining has seen videos.

    Says so where it is not known what it has seen.

    Args:
        path: as for `load_encoder`.
        videos: `Videos` that are to be held out.
        split: theirs, "validation" or "test".

    Raises:
        InputError: naming one of them.
    """
    path = pathlib.Path(path)
    try:
        config = json.loads((path / "config.json").read_text())
        dataset = config["data"].get("path")
        if dataset is None:
            # Moving MNIST.
            return
        sources = ClipDataset(dataset).info["sources"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        print(
            f"{path} does not say what it was pretrained on, or that is gone: "
            "not checked for videos of the splits that are held out.",
            flush=True,
        )
        return
    # Validation chooses the checkpoint: before the test it has been seen.
    held_out = (split, "test")
    seen = {s["media_id"] for s in sources if s["split"] not in held_out}
    seen &= set(videos.ids)
    if seen:
        raise InputError(
            "Expected an encoder that has not seen the videos that are held "
            f"out. Received: {path}, pretrained on {len(seen)} of the "
            f"{len(videos)}, as {min(seen)!r}, in {dataset}"
        )
