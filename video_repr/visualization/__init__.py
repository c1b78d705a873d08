"""Pictures of what a model sees and predicts."""

from video_repr.visualization.animation import write_gif
from video_repr.visualization.curves import error_curves
from video_repr.visualization.strips import strip_arrays
from video_repr.visualization.strips import strips

__all__ = ["error_curves", "strip_arrays", "strips", "write_gif"]
