"""Frames side by side."""

import numpy as np

from video_repr.errors import extra


def strips(*blocks, title=None):
    """A figure of frames in rows, in blocks that are consecutive in time.

    >>> strips(
    ...     {"input": clip[:10], "reconstruction": reconstruction},
    ...     {"truth": clip[10:], "prediction": prediction},
    ... ).savefig("strips.png")

    Args:
        *blocks: one or two dicts from a row's label to its frames, in [0, 1]
            or uint8, `[time, height, width]` or `[time, height, width, 3]`.
            The labels of the second block are on the right.
        title: a line above the strips.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    lengths = [max(map(len, block.values())) for block in blocks]
    rows = max(map(len, blocks))
    figure = Figure(
        figsize=(2.2 + 0.55 * sum(lengths), 0.35 + 0.62 * rows),
        dpi=130,
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.02)
    columns = figure.subfigures(1, len(blocks), width_ratios=lengths)
    first = 1
    for subfigure, block, length in zip(
        np.atleast_1d(columns), blocks, lengths, strict=True
    ):
        axes = subfigure.subplots(rows, squeeze=False)[:, 0]
        for axis in axes:
            axis.set_axis_off()
        for axis, (label, frames) in zip(axes, block.items(), strict=False):
            # One axis for each frame would take a second for each figure.
            axis.imshow(_in_a_row(frames, length), interpolation="nearest")
            _label(axis, label, first == 1)
        _number(axes[0], first, length)
        first += length
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def _in_a_row(frames, length):
    """Frames side by side on white, `[height, width, 3]` uint8."""
    frames = as_uint8(frames)
    if frames.ndim == 3:
        frames = np.repeat(frames[..., None], 3, axis=-1)
    time, height, width, _ = frames.shape
    gap = _gap(width)
    row = np.full((height, length * (width + gap) - gap, 3), 255, np.uint8)
    for t in range(time):
        row[:, t * (width + gap) :][:, :width] = frames[t]
    return row


def _gap(width):
    return max(1, width // 16)


def _number(axis, first, length):
    """Numbers of the frames, above the first row."""
    (image,) = axis.images
    total = image.get_array().shape[1]
    for column in range(length):
        # Gaps are narrow, so a number appears above its frame.
        axis.text(
            (column + 0.5) * total / length - 0.5,
            1.04,
            str(first + column),
            transform=axis.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=7,
        )


def _label(axis, label, on_left):
    axis.annotate(
        label,
        (0 if on_left else 1, 0.5),
        (-4 if on_left else 4, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right" if on_left else "left",
        va="center",
        fontsize=8,
    )


def as_uint8(clips):
    """Pixels as uint8; floating point pixels are in [0, 1].

    Args:
        clips: frames, or clips `[clips, time, height, width]` or with 1 or 3
            channels.

    Returns:
        An array of the same shape, but without a channel axis of size 1.
    """
    clips = np.asarray(clips)
    if clips.dtype != np.uint8:
        clips = np.round(np.clip(clips, 0, 1) * 255).astype(np.uint8)
    if clips.ndim == 5 and clips.shape[-1] == 1:
        clips = clips[..., 0]
    return clips


def strip_arrays(clips, frames, input_frames):
    """Clips above a model's predictions, as arrays for TensorBoard.

    Args:
        clips: uint8 images, `[clips, time, height, width]`, or with 3
            channels.
        frames: the result of `VideoSeq2Seq.predict` for them. Times without a
            prediction are black.
        input_frames: number of frames that the model read.

    Returns:
        `[clips, 2 * height, time * width, 1 or 3]`, float32 in [0, 1].
    """
    predicted = np.zeros(clips.shape, np.float32)
    for branch, first in (("reconstruction", 0), ("future", input_frames)):
        if branch in frames:
            last = first + frames[branch].shape[1]
            predicted[:, first:last] = np.clip(frames[branch], 0, 1)
    rows = np.stack([clips.astype(np.float32) / 255, predicted], axis=1)
    n, _, time, height, width = rows.shape[:5]
    rows = rows.reshape(n, 2, time, height, width, -1)
    rows = rows.transpose(0, 1, 3, 2, 4, 5)
    return rows.reshape(n, 2 * height, time * width, -1)


def are_pictures(clips):
    """Whether the frames of clips can be shown, grey or RGB.

    Args:
        clips: `[clips, time, ...]`.
    """
    return clips.dtype == np.uint8 and (
        clips.ndim == 4 or (clips.ndim == 5 and clips.shape[-1] == 3)
    )
