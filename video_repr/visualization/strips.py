"""Frames side by side."""

import numpy as np

from video_repr.errors import extra


def strips(rows, title=None):
    """A figure with one strip of frames per row.

    Args:
        rows: dict from a row's label to `(first, frames)`: the time step of
            the row's first frame, and frames in [0, 1] or uint8, `[time,
            height, width]` or `[time, height, width, channels]`. Frames of
            one time step stand below each other.
        title: a line above the strips.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    first = min(start for start, _ in rows.values())
    last = max(start + len(frames) for start, frames in rows.values())
    columns = last - first
    figure = Figure(
        figsize=(1.2 + 0.55 * columns, 0.45 + 0.6 * len(rows)),
        dpi=130,
        layout="compressed",
    )
    axes = figure.subplots(
        len(rows), columns, squeeze=False, gridspec_kw={"wspace": 0.04}
    )
    for row, (label, (start, frames)) in zip(axes, rows.items(), strict=True):
        for axis in row:
            axis.set_axis_off()
        for offset, frame in enumerate(frames):
            axis = row[start - first + offset]
            axis.imshow(
                frame,
                cmap="gray",
                vmin=0,
                vmax=255 if np.asarray(frame).dtype == np.uint8 else 1,
                interpolation="nearest",
            )
        row[0].text(
            -0.15,
            0.5,
            label,
            transform=row[0].transAxes,
            ha="right",
            va="center",
            fontsize=8,
        )
    for column, axis in enumerate(axes[0]):
        axis.set_title(str(first + column + 1), fontsize=7, pad=2)
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def strip_arrays(clips, frames, input_frames):
    """Clips above what a model made of them, as arrays for TensorBoard.

    Args:
        clips: uint8 images, `[clips, time, height, width]`.
        frames: what `VideoSeq2Seq.predict` returns for them. Times of which
            there is no prediction stay black.
        input_frames: number of frames that the model read.

    Returns:
        `[clips, 2 * height, time * width, 1]`, float32 in [0, 1].
    """
    predicted = np.zeros(clips.shape, np.float32)
    for branch, first in (("reconstruction", 0), ("future", input_frames)):
        if branch in frames:
            last = first + frames[branch].shape[1]
            predicted[:, first:last] = frames[branch]
    rows = np.stack([clips.astype(np.float32) / 255, predicted], axis=1)
    n, _, time, height, width = rows.shape
    return rows.transpose(0, 1, 3, 2, 4).reshape(n, 2 * height, time * width, 1)
