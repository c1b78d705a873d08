"""Folders of pictures."""

import io
import os
import re

import numpy as np

from pipelines.hidden import hidden
from pipelines.storage import file_systems
from video_repr.data.film import PICTURE_ERRORS
from video_repr.data.film import Shown
from video_repr.data.film import UndecodableError
from video_repr.data.film import viewed
from video_repr.errors import extra

PICTURES = (".jpg", ".jpeg", ".png")


def read_pictures(folder, rate, decoded):
    """Yields the pictures of a folder in the order of their names.

    Args:
        folder: a folder in any of Beam's file systems.
        rate: pictures in a second.
        decoded: a `Decoded` to fill.

    Yields:
        `Shown`, its frames RGB.

    Raises:
        UndecodableError: if no picture can be read.
    """
    with extra("pipelines"):
        import av
        from PIL import Image
    for number, name in enumerate(list_pictures(folder)):
        decoded.promised += 1
        try:
            with (
                file_systems().open(name) as file,
                Image.open(io.BytesIO(file.read())) as image,
            ):
                pixels = np.asarray(viewed(image).convert("RGB"))
        except (*PICTURE_ERRORS, Image.DecompressionBombError):
            decoded.gaps += 1
            decoded.problems.append(
                f"{os.path.basename(name)} cannot be decoded"
            )
            continue
        seconds = number / rate
        frame = av.VideoFrame.from_ndarray(pixels)
        yield Shown(seconds, seconds, (number + 1) / rate, frame)
        decoded.frames += 1
    if not decoded.frames:
        raise UndecodableError(
            "; ".join(decoded.problems) or "it has no pictures"
        )


def list_pictures(folder):
    """Paths of the pictures in a folder, 2.jpg before 10.jpg."""
    if os.path.isdir(folder):
        # Beam would take a [ in its name for part of a pattern.
        paths = [os.path.join(folder, name) for name in os.listdir(folder)]
    else:
        (matched,) = file_systems().match([file_systems().join(folder, "*")])
        paths = [found.path for found in matched.metadata_list]

    def in_words_and_numbers(path):
        words = re.split(r"(\d+)", os.path.basename(path))
        # Every other part has digits; int() cannot read "²".
        words[1::2] = map(int, words[1::2])
        return words, path

    return sorted(
        (
            path
            for path in paths
            if path.lower().endswith(PICTURES)
            and not hidden(os.path.basename(path))
        ),
        key=in_words_and_numbers,
    )
