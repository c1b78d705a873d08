"""Figures of states, of oscillations and of peephole weights."""

import importlib.util

import numpy as np

from video_repr.errors import extra


def map_states(states):
    """States in two dimensions.

    Args:
        states: `[clips, values]`.

    Returns:
        A dict from a title to `[clips, 2]`: the first two principal components,
        with their shares of the variance in the title, and "UMAP" if the
        package umap-learn is installed.
    """
    with extra("report"):
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler
    scaled = StandardScaler().fit_transform(states)
    pca = PCA(2)
    places = pca.fit_transform(scaled)
    first, second = 100 * pca.explained_variance_ratio_
    maps = {
        f"principal components, {first:.0f} and {second:.0f} % of the "
        "variance": places
    }
    if importlib.util.find_spec("umap"):
        import umap

        maps["UMAP"] = umap.UMAP(random_state=0, n_jobs=1).fit_transform(scaled)
    return maps


def state_map(maps, colors, label, cyclic=False, names=None):
    """A figure of states in two dimensions.

    Args:
        maps: dict from a title to `[clips, 2]`, as `map_states` returns it.
        colors: a number for each clip.
        label: label of the numbers.
        cyclic: whether they are angles in degrees, from -180 to 180.
        names: names of the classes, if the numbers are class indices.

    Returns:
        A `matplotlib.figure.Figure`, the maps side by side.
    """
    with extra("report"):
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    figure = Figure(
        figsize=(1.0 + 5.0 * len(maps), 4.4), dpi=130, layout="constrained"
    )
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    cmap, bounds = "viridis", {}
    if names:
        kind = "tab10" if len(names) <= 10 else "nipy_spectral"
        cmap = colormaps[kind].resampled(len(names))
        bounds = {"vmin": -0.5, "vmax": len(names) - 0.5}
    elif cyclic:
        cmap, bounds = "twilight", {"vmin": -180, "vmax": 180}
    for axis, (name, places) in zip(axes, maps.items(), strict=True):
        points = axis.scatter(*places.T, c=colors, s=9, cmap=cmap, **bounds)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
    bar = figure.colorbar(points, ax=axes, label=label)
    if names:
        # More names would overlap.
        step = -(-len(names) // 30)
        bar.set_ticks(range(0, len(names), step), labels=names[::step])
        bar.ax.tick_params(labelsize=7)
    return figure


def period_histogram(periods):
    """A histogram of the periods of units.

    Args:
        periods: dict from a name to `[units]`, as
            `evaluation.dynamics.dominant_periods` returns them.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(5.6, 3.2), dpi=130, layout="constrained")
    axis = figure.subplots()
    found = {n: p[np.isfinite(p)] for n, p in periods.items()}
    longest = max([p.max() for p in found.values() if len(p)], default=2.0)
    bins = np.geomspace(2, max(longest, 4) * 1.01, 25)
    for name, values in found.items():
        axis.hist(values, bins=bins, alpha=0.6, label=f"{name}, {len(values)}")
    axis.set_xscale("log")
    ticks = [t for t in (2, 5, 10, 20, 50, 100, 200) if t <= bins[-1]]
    axis.set_xticks(ticks, ticks)
    axis.minorticks_off()
    axis.set_xlabel("period (steps)")
    axis.set_ylabel("units")
    axis.legend(fontsize=8, title="units that oscillate", title_fontsize=8)
    return figure


def peephole_histograms(peepholes):
    """A figure of the peephole weights of layers.

    Args:
        peepholes: dict from a layer's name to `[3, units]`, or `[3, rows,
            columns, filters]`.

    Returns:
        A `matplotlib.figure.Figure`, a row a layer.
    """
    with extra("report"):
        from matplotlib.figure import Figure
    figure = Figure(
        figsize=(8, 0.6 + 1.5 * len(peepholes)), dpi=130, layout="constrained"
    )
    axes = figure.subplots(len(peepholes), 3, squeeze=False, sharex=True)
    names = "input gate", "forget gate", "output gate"
    for row, (layer, weights) in zip(axes, peepholes.items(), strict=True):
        for axis, name, values in zip(row, names, weights, strict=True):
            axis.hist(np.ravel(values), bins=30, color="#4a6fa5")
            axis.axvline(0, color="black", lw=0.6)
            axis.tick_params(labelsize=7)
            axis.set_title(f"{layer}: {name}", fontsize=8)
    return figure
