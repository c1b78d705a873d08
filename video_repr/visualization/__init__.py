"""Figures of a model's inputs, predictions, gates and weights."""

from video_repr.visualization.animation import input_and_future
from video_repr.visualization.animation import write_gif
from video_repr.visualization.curves import confusion
from video_repr.visualization.curves import curves_over
from video_repr.visualization.curves import error_curves
from video_repr.visualization.curves import label_curve
from video_repr.visualization.curves import loss_curves
from video_repr.visualization.features import feature_grid
from video_repr.visualization.features import feature_grids
from video_repr.visualization.gates import as_array
from video_repr.visualization.gates import gate_images
from video_repr.visualization.states import map_states
from video_repr.visualization.states import peephole_histograms
from video_repr.visualization.states import period_histogram
from video_repr.visualization.states import state_map
from video_repr.visualization.strips import are_pictures
from video_repr.visualization.strips import strip_arrays
from video_repr.visualization.strips import strips

__all__ = [
    "are_pictures",
    "as_array",
    "confusion",
    "curves_over",
    "error_curves",
    "feature_grid",
    "feature_grids",
    "gate_images",
    "input_and_future",
    "label_curve",
    "loss_curves",
    "map_states",
    "peephole_histograms",
    "period_histogram",
    "state_map",
    "strip_arrays",
    "strips",
    "write_gif",
]
