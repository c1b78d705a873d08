"""Animated GIFs."""

from video_repr.errors import extra
from video_repr.files import whole_file
from video_repr.visualization.strips import as_uint8


def write_gif(path, panels, times=None, milliseconds=150, zoom=3):
    """Writes rows of clips as an animation that repeats.

    Args:
        path: file to write.
        panels: dict from a row's label to its clips: frames in [0, 1] or
            uint8, `[clips, time, height, width]` or `[clips, time, height,
            width, 3]`. All rows have equal shapes; the clips of a row are side
            by side.
        times: a label for each frame, shown beside the rows' labels; numbers
            when None.
        milliseconds: duration of a frame.
        zoom: whole number by which frames are enlarged.
    """
    with extra("report"):
        from PIL import Image
        from PIL import ImageDraw
    rows = [as_uint8(clips) for clips in panels.values()]
    count, time, height, width = rows[0].shape[:4]
    gap, caption = 6, 16
    cell_width, cell_height = width * zoom + gap, height * zoom + gap + caption
    size = (count * cell_width - gap, len(rows) * cell_height - gap)
    times = range(1, time + 1) if times is None else times
    images = []
    for t, word in zip(range(time), times, strict=True):
        image = Image.new("RGB", size, (48, 48, 48))
        draw = ImageDraw.Draw(image)
        for row, (label, clips) in enumerate(zip(panels, rows, strict=True)):
            top = row * cell_height
            words = ", ".join(filter(None, (label, str(word))))
            draw.text((2, top + 2), words, fill=(255, 255, 255))
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


def input_and_future(input_frames, future_frames):
    """Labels for `write_gif`, for input frames followed by future frames."""
    end = input_frames + future_frames
    return [
        f"frame {t}, {'input' if t <= input_frames else 'future'}"
        for t in range(1, end + 1)
    ]
