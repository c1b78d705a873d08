"""Pictures of what a model sees and predicts."""

from video_repr.visualization.animation import input_and_future
from video_repr.visualization.animation import write_gif
from video_repr.visualization.curves import confusion
from video_repr.visualization.curves import error_curves
from video_repr.visualization.curves import label_curve
from video_repr.visualization.features import feature_grid
from video_repr.visualization.features import feature_grids
from video_repr.visualization.gates import gate_images
from video_repr.visualization.strips import are_pictures
from video_repr.visualization.strips import strip_arrays
from video_repr.visualization.strips import strips

__all__ = [
    "are_pictures",
    "confusion",
    "error_curves",
    "feature_grid",
    "feature_grids",
    "gate_images",
    "input_and_future",
    "label_curve",
    "strip_arrays",
    "strips",
    "write_gif",
]
