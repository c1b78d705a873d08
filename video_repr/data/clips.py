"""Clips from files."""

import collections
import pathlib
import struct
import sys

import numpy as np

from video_repr.data.moving_mnist import read_npy
from video_repr.errors import InputError
from video_repr.errors import extra

# What Pillow raises for files that are no GIFs, or broken ones.
_GIF_ERRORS = (OSError, EOFError, SyntaxError, ValueError, struct.error)


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

    A GIF's frames come as they are stored, however long each is shown. A film
    that holds fewer frames than its header promises is read, and that is
    said.

    Returns:
        The array as stored, or uint8 `[time, height, width]` if grey and
        `[time, height, width, 3]` if not.

    Raises:
        InputError: if the file is missing, broken or of another form.
        MissingExtraError: if the decoder is not installed.
    """
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
    # A film's frames in their own size would not fit into memory.
    frames = collections.deque(
        (
            np.asarray(_scale_and_crop(image.convert(mode), size, Image))
            for image in read(path)
        ),
        maxlen=last,
    )
    if not frames:
        raise InputError(f"Expected frames. Received: {path} without any")
    return np.stack(frames)


def _read_gif(path):
    from PIL import Image
    from PIL import ImageSequence

    try:
        with Image.open(path) as animation:
            for frame in ImageSequence.Iterator(animation):
                # Pillow would wait until somebody looked at it.
                frame.load()
                yield frame
    except _GIF_ERRORS as error:
        raise InputError(
            f"Expected an animated GIF. Received: {path}, which cannot be "
            f"read: {error}"
        ) from error


def _read_film(path):
    with extra("report"):
        import av
    try:
        with av.open(str(path)) as film:
            if not film.streams.video:
                raise InputError(
                    f"Expected a film. Received: {path}, which has no video"
                )
            count = 0
            for frame in film.decode(video=0):
                count += 1
                yield frame.to_image()
            promised = film.streams.video[0].frames
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"Expected a clip: .npy, .gif or a film. Received: {path}, which "
            f"cannot be decoded: {error}"
        ) from error
    if count < promised:
        print(
            f"{path} holds {count} of the {promised} frames that its header "
            "promises.",
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
