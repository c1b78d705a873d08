"""Weights to and from pixels, as pictures (paper, section 3.2)."""

import numpy as np

from video_repr.errors import extra


def feature_grids(weights, frame_shape, count=200, columns=20, title=None):
    """A figure of the features of largest norm, for several sets of weights.

    Args:
        weights: dict from a label to features, `[values of a frame, units]`:
            the input weights of a gate, or the output layer's, transposed.
        frame_shape: (height, width) or (height, width, 3).
        count: number of features of each set.
        columns: features in a row.
        title: a line above the grids.

    Returns:
        A `matplotlib.figure.Figure`. Zero is grey; every feature is scaled by
        its largest weight.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    grids = {
        label: feature_grid(values, frame_shape, count, columns)
        for label, values in weights.items()
    }
    height, width = next(iter(grids.values())).shape[:2]
    across = min(2, len(grids))
    down = -(-len(grids) // across)
    panel = 6.0
    figure = Figure(
        figsize=(across * panel, down * (panel * height / width + 0.3)),
        dpi=130,
        layout="constrained",
    )
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis, (label, grid) in zip(axes, grids.items(), strict=False):
        axis.imshow(grid, cmap="gray", vmin=0, vmax=1)
        axis.set_title(label, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def feature_grid(weights, frame_shape, count=200, columns=20):
    """The features of largest norm, side by side, the largest first.

    Args:
        weights: `[values of a frame, units]`.
        frame_shape: as for `feature_grids`.
        count: number of features, at most.
        columns: features in a row.

    Returns:
        An image in [0, 1], `[height, width]` or `[height, width, 3]`, with a
        border of a pixel.
    """
    weights = np.asarray(weights, np.float32)
    largest = np.argsort(-np.linalg.norm(weights, axis=0))[:count]
    features = weights[:, largest].T
    peaks = np.abs(features).max(axis=1, keepdims=True)
    features = 0.5 + 0.5 * features / np.where(peaks, peaks, 1)
    height, width, *channels = frame_shape
    columns = min(columns, len(features))
    rows = -(-len(features) // columns)
    grid = np.ones((rows, height + 1, columns, width + 1, *channels))
    for number, feature in enumerate(features):
        row, column = divmod(number, columns)
        grid[row, :height, column, :width] = feature.reshape(frame_shape)
    return grid.reshape(rows * (height + 1), columns * (width + 1), *channels)[
        :-1, :-1
    ]
