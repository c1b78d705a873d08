"""Checks of the inputs of models and layers: one rule for all of them.

Clips are uint8 pixels, which are scaled to [0, 1], or floating point: finite,
and in [0, 1] if they are pixels. Other integers are refused, as their scale is
unknown. Labels are whole numbers that count from 0; weights are finite and not
negative.

Wrong arrays on the host raise an `InputError`. In a graph an assertion fails
with the same sentence. XLA leaves assertions out; there wrong values become
NaN, and so does the loss.
"""

from video_repr.inputs.clips import Clips
from video_repr.inputs.clips import PaddedClips
from video_repr.inputs.clips import Targets
from video_repr.inputs.clips import check_clips
from video_repr.inputs.device_batches import DeviceBatches
from video_repr.inputs.frames import FlatFrames
from video_repr.inputs.frames import Pictures
from video_repr.inputs.frames import frame_of
from video_repr.inputs.labels import Labels
from video_repr.inputs.labels import Weights
from video_repr.inputs.labels import check_class_weight
from video_repr.inputs.values import Check
from video_repr.inputs.values import are_pixels
from video_repr.inputs.values import assertions_as_errors
from video_repr.inputs.values import check_dtype
from video_repr.inputs.values import checked
from video_repr.inputs.values import checking
from video_repr.inputs.values import scale

__all__ = [
    "Check",
    "Clips",
    "DeviceBatches",
    "FlatFrames",
    "Labels",
    "PaddedClips",
    "Pictures",
    "Targets",
    "Weights",
    "are_pixels",
    "assertions_as_errors",
    "check_class_weight",
    "check_clips",
    "check_dtype",
    "checked",
    "checking",
    "frame_of",
    "scale",
]
