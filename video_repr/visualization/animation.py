"""Animated GIFs."""

import numpy as np

from video_repr.errors import extra
from video_repr.files import whole_file


def write_gif(path, panels, milliseconds=150, zoom=3):
    """Writes rows of clips as an animation that repeats.

    Args:
        path: file to write.
        panels: dict from a row's label to its clips: frames in [0, 1] or
            uint8, `[clips, time, height, width]` or `[clips, time, height,
            width, 3]`. All rows have equal shapes; the clips of a row stand
            side by side.
        milliseconds: time that a frame is shown.
        zoom: whole number by which frames are enlarged.
    """
    with extra("report"):
        from PIL import Image
        from PIL import ImageDraw
    rows = [_as_uint8(clips) for clips in panels.values()]
    count, time, height, width = rows[0].shape[:4]
    gap, caption = 6, 16
    cell_width, cell_height = width * zoom + gap, height * zoom + gap + caption
    size = (count * cell_width - gap, len(rows) * cell_height - gap)
    images = []
    for t in range(time):
        image = Image.new("RGB", size, (48, 48, 48))
        draw = ImageDraw.Draw(image)
        for row, (label, clips) in enumerate(zip(panels, rows, strict=True)):
            top = row * cell_height
            draw.text((2, top + 2), label, fill=(255, 255, 255))
            for column, clip in enumerate(clips):
                frame = Image.fromarray(clip[t])
                image.paste(
                    frame.resize((width * zoom, height * zoom), Image.NEAREST),
                    (column * cell_width, top + caption),
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
