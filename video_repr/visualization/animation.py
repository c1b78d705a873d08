"""Animated GIFs."""

import numpy as np

from video_repr.errors import extra
from video_repr.files import whole_file


def write_gif(path, panels, milliseconds=150, zoom=3):
    """Writes clips side by side as an animation that repeats.

    Args:
        path: file to write.
        panels: dict from a panel's label to its clips: frames in [0, 1] or
            uint8, `[rows, time, height, width]` or `[rows, time, height,
            width, 3]`. All panels have equal shapes; rows stand below each
            other.
        milliseconds: time that a frame is shown.
        zoom: whole number by which frames are enlarged.
    """
    with extra("report"):
        from PIL import Image
        from PIL import ImageDraw
    columns = [_as_uint8(clips) for clips in panels.values()]
    rows, time, height, width = columns[0].shape[:4]
    cell_height, cell_width = height * zoom, width * zoom
    gap, caption = 6, 16
    size = (
        len(columns) * (cell_width + gap) - gap,
        caption + rows * (cell_height + gap) - gap,
    )
    images = []
    for t in range(time):
        image = Image.new("RGB", size, (48, 48, 48))
        draw = ImageDraw.Draw(image)
        for column, (label, clips) in enumerate(
            zip(panels, columns, strict=True)
        ):
            left = column * (cell_width + gap)
            draw.text((left + 2, 2), label, fill=(255, 255, 255))
            for row in range(rows):
                frame = Image.fromarray(clips[row, t])
                image.paste(
                    frame.resize((cell_width, cell_height), Image.NEAREST),
                    (left, caption + row * (cell_height + gap)),
                )
        images.append(image)
    with whole_file(path) as partial:
        images[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=milliseconds,
            loop=0,
        )


def _as_uint8(clips):
    clips = np.asarray(clips)
    if clips.dtype != np.uint8:
        clips = np.round(np.clip(clips, 0, 1) * 255).astype(np.uint8)
    if clips.ndim == 5 and clips.shape[-1] == 1:
        clips = clips[..., 0]
    return clips
