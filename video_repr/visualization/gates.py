"""Images of the gates over time (paper, section 3.2)."""

import numpy as np

from video_repr.errors import extra

# Name, lowest and highest value, colours. Cells have no bounds.
_PANELS = {
    "input_gate": ("input gate", (0, 1), "gray"),
    "forget_gate": ("forget gate", (0, 1), "gray"),
    "output_gate": ("output gate", (0, 1), "gray"),
    "cell": ("cell", None, "RdBu_r"),
    "output": ("output", (-1, 1), "RdBu_r"),
}


def gate_images(activations, units=200, title=None):
    """A figure of gates, cells and outputs: a row a unit, a column a step.

    Args:
        activations: activations for one sequence: arrays `[time, units]`, with
            the names of `PeepholeLSTM.activations`; of maps, `[time, rows,
            columns, filters]`, those of the patch in the middle are shown.
        units: number of units to show, evenly spaced.
        title: a line above the images.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    shown_of = {key: _units(activations[key]) for key in _PANELS}
    time, available = shown_of["cell"].shape
    shown = np.linspace(0, available - 1, min(units, available)).astype(int)
    figure = Figure(figsize=(11, 4.2), dpi=130, layout="constrained")
    for axis, (key, (name, bounds, colors)) in zip(
        figure.subplots(1, len(_PANELS), sharey=True),
        _PANELS.items(),
        strict=True,
    ):
        image = shown_of[key][:, shown].T
        # A few units have values far from the others.
        bound = np.percentile(np.abs(image), 98) or 1.0
        low, high = bounds or (-bound, bound)
        picture = axis.imshow(
            image,
            aspect="auto",
            interpolation="nearest",
            cmap=colors,
            vmin=low,
            vmax=high,
            extent=(0.5, time + 0.5, len(shown), 0),
        )
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=7)
        figure.colorbar(
            picture, ax=axis, location="bottom", aspect=30
        ).ax.tick_params(labelsize=7)
    figure.axes[0].set_ylabel(f"{len(shown)} of {available} units", fontsize=8)
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def _units(values):
    if values.ndim == 2:
        return values
    _, rows, columns, _ = values.shape
    return values[:, rows // 2, columns // 2]


def as_array(figure):
    """A figure as an image array, as TensorBoard needs it.

    Args:
        figure: a `matplotlib.figure.Figure`.

    Returns:
        uint8, `[height, width, 4]`.
    """
    with extra("report"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
