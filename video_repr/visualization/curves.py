"""Figures of errors over time, accuracy over labels, and confusions."""

import numpy as np

from video_repr.errors import extra
from video_repr.metric_names import IN_WORDS


def error_curves(curves, metric, title=None):
    """A figure of a metric over predicted frames.

    Args:
        curves: dict from label to a list with one number a frame.
        metric: name of the metric.
        title: a line above the curves.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    with extra("report"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import ScalarFormatter
    figure = Figure(figsize=(5.6, 3.4), dpi=130, layout="constrained")
    axis = figure.subplots()
    for label, curve in curves.items():
        axis.plot(
            range(1, len(curve) + 1), curve, marker="o", ms=3, label=label
        )
    # The baselines can be many times worse than the model.
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(ScalarFormatter())
    axis.yaxis.set_minor_formatter(ScalarFormatter())
    axis.tick_params(axis="y", which="both", labelsize=8)
    axis.set_xlabel("predicted frame")
    axis.set_ylabel(IN_WORDS.get(metric, metric))
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=8)
    if title:
        axis.set_title(title, fontsize=9)
    return figure


def curves_over(curves, x, y, log=False):
    """A figure of curves.

    Args:
        curves: dict from a label to pairs of numbers.
        x: label of the horizontal axis, for the first number of a pair.
        y: label of the vertical axis, for the second.
        log: whether the vertical axis is logarithmic.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(6.4, 3.6), dpi=130, layout="constrained")
    axis = figure.subplots()
    for label, pairs in curves.items():
        axis.plot(*zip(*pairs, strict=True), marker="o", ms=2, label=label)
    if log:
        axis.set_yscale("log")
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def loss_curves(lines):
    """A figure of losses over epochs.

    Args:
        lines: dicts as `Run.metrics` returns them.

    Returns:
        A `matplotlib.figure.Figure`: a panel for the loss and each of its
        parts, training and validation.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    names = [n for n in lines[-1] if f"val_{n}" in lines[-1]]
    figure = Figure(
        figsize=(0.6 + 3.4 * len(names), 3.2), dpi=130, layout="constrained"
    )
    for axis, name in zip(
        figure.subplots(1, len(names), squeeze=False)[0], names, strict=True
    ):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            axis.plot(
                [line["epoch"] for line in lines],
                [line[key] for line in lines],
                marker="o",
                ms=2.5,
                label=label,
            )
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return figure


def label_curve(rows, systems):
    """A figure of accuracy over the number of labels.

    Args:
        rows: as `transfer.label_curve.rows` returns them.
        systems: dict from a system's key in the rows to its label.

    Returns:
        A `matplotlib.figure.Figure`; bars are standard deviations over the
        label subsets.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(5.6, 3.6), dpi=130, layout="constrained")
    axis = figure.subplots()
    places = range(len(rows))
    for number, (key, name) in enumerate(systems.items()):
        axis.errorbar(
            # Shifted, so that the bars do not hide each other.
            [
                place + 0.05 * (number - (len(systems) - 1) / 2)
                for place in places
            ],
            [100 * row[key]["mean"] for row in rows],
            yerr=[100 * row[key]["sd"] for row in rows],
            marker="o",
            ms=3,
            lw=1.2,
            capsize=2,
            label=name,
        )
    axis.set_xticks(places, [row["k"] for row in rows])
    axis.set_xlabel("labelled videos per class")
    axis.set_ylabel("accuracy (% of videos)")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def confusion(counts, classes, title=None):
    """A figure of a confusion matrix.

    Args:
        counts: number of videos by own class and by most probable class,
            `[classes, classes]`.
        classes: names of the classes.
        title: a line above it.

    Returns:
        A `matplotlib.figure.Figure`; shades are shares of a class's videos.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    size = len(classes)
    # Room for a line of text a class.
    side = 2.4 + max(0.16, 0.5 - 0.02 * size) * size
    figure = Figure(figsize=(side + 0.6, side), dpi=130, layout="constrained")
    axis = figure.subplots()
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    picture = axis.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    axis.set_xticks(range(size), classes, rotation=90, fontsize=7)
    axis.set_yticks(range(size), classes, fontsize=7)
    axis.set_xlabel("most probable class")
    axis.set_ylabel("class of the video")
    # Numbers of more classes would be too small to read.
    if size <= 20:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, count, ha="center", va="center",
                          fontsize=7, color=color)  # fmt: skip
    figure.colorbar(picture, label="% of a class's videos", shrink=0.8)
    if title:
        axis.set_title(title, fontsize=9)
    return figure
