"""Clips from files, and blocks of videos."""

import collections
import os
import pathlib
import sys

import numpy as np

from video_repr.arrays import read_npy
from video_repr.data import film
from video_repr.errors import InputError
from video_repr.errors import extra


def read_clip(path, *, size=None, grey=True, last=None):
    """Reads one clip.

    Args:
        path: an .npy array `[time, height, width]` or `[time, height, width,
            channels]`, an animated .gif, or a film that FFmpeg can decode.
        size: height and width to scale and crop the frames of a .gif or film
            to: the shorter side is scaled to it, the centre kept. None keeps
            the frames as they are.
        grey: whether the frames of a .gif or film are read as grey.
        last: number of frames to keep from the end of a .gif or film; None
            keeps all of them.

    Frames are those that a viewer would show (`video_repr.data.film`): turned
    and mirrored, with square pixels, on black where they are transparent. Each
    stored frame is read once, however long it is shown. A film that is broken
    in part, or has fewer frames than its header promises, is read with a
    warning.

    Returns:
        The array as stored, or uint8 `[time, height, width]` if grey and
        `[time, height, width, 3]` if not.

    Raises:
        InputError: if the file is missing, broken or of another form, or
            its frames are of several sizes and `size` is None.
        MissingExtraError: if the decoder is not installed.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            "Expected the path of one clip. Received: "
            f"{type(path).__name__}, {path!r:.80}"
        )
    for name, value in (("size", size), ("last", last)):
        if value is not None and value < 1:
            raise InputError(
                f"Expected {name} of at least 1. Received: {value}"
            )
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(
            "Expected a clip: .npy, .gif or a film. Received: "
            f"{str(path)!r}, which does not exist"
        )
    if path.suffix.lower() == ".npy":
        clip = read_npy(path)
        if clip.ndim not in (2, 3, 4):
            raise InputError(
                "Expected a clip of shape [time, features], [time, height, "
                "width] or [time, height, width, channels]. Received: shape "
                f"{clip.shape} in {path}"
            )
        return clip
    with extra("report"):
        from PIL import Image
    read = _read_gif if path.suffix.lower() == ".gif" else _read_film
    mode = "L" if grey else "RGB"
    # All frames of a film in their own size would not fit into memory.
    frames = collections.deque(
        (
            np.asarray(_scale_and_crop(image.convert(mode), size, Image))
            for image in read(path)
        ),
        maxlen=last,
    )
    if not frames:
        raise InputError(f"Expected frames. Received: {path} without any")
    sizes = list(dict.fromkeys(frame.shape[:2] for frame in frames))
    if len(sizes) > 1:
        raise InputError(
            "Expected frames of one size, or the size to bring them to. "
            f"Received: {path} with frames of "
            + " and ".join(f"{height} x {width} px" for height, width in sizes)
        )
    return np.stack(frames)


def _read_gif(path):
    from PIL import Image
    from PIL import ImageSequence

    try:
        with Image.open(path) as animation:
            for frame in ImageSequence.Iterator(animation):
                # Pillow would wait until somebody looked at it.
                frame.load()
                yield film.viewed(frame)
    except (*film.PICTURE_ERRORS, Image.DecompressionBombError) as error:
        raise InputError(
            f"Expected an animated GIF. Received: {path}, which cannot be "
            f"read: {error}"
        ) from error


def _read_film(path):
    decoded = film.Decoded()
    try:
        for shown in film.read(path, decoded):
            yield shown.frame.to_image()
    except film.UndecodableError as error:
        raise InputError(
            f"Expected a clip: .npy, .gif or a film. Received: {path}, which "
            f"cannot be decoded: {error}"
        ) from error
    if decoded.problems:
        print(
            f"{path} was read in part or with problems: "
            + "; ".join(decoded.problems),
            file=sys.stderr,
        )


def _scale_and_crop(image, size, Image):
    if size is None or image.size == (size, size):
        return image
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


def hold(frames, length):
    """At least `length` frames; the last frame is repeated if necessary."""
    return np.concatenate(
        [frames, np.repeat(frames[-1:], max(0, length - len(frames)), axis=0)]
    )


def block_starts(frames, block, stride):
    """The first frame of each block of a video of `frames` frames.

    Raises:
        InputError: for a video without frames.
    """
    if frames < 1:
        raise InputError("Expected videos with frames. Received: 0 frames")
    return range(0, max(1, frames - block + 1), stride)
