"""Checks of clips, and of frames to predict."""

import dataclasses

import numpy as np
import tensorflow as tf

from video_repr.errors import InputError
from video_repr.inputs.frames import FlatFrames
from video_repr.inputs.frames import Pictures
from video_repr.inputs.values import are_pixels
from video_repr.inputs.values import assert_values
from video_repr.inputs.values import check_dtype
from video_repr.inputs.values import check_values
from video_repr.inputs.values import not_pixels


@dataclasses.dataclass(frozen=True)
class Clips:
    """The requirements for clips.

    Attributes:
        pixels: whether floating point values must lie in [0, 1]; when None,
            only those of frames with a height and a width.
        min_frames: least number of frames of a clip.
        frame: what a frame has to be, as `FlatFrames`; anything when None.
    """

    pixels: bool | None = None
    min_frames: int = 1
    frame: FlatFrames | Pictures | None = None
    required = True
    expected = "Expected finite clips, pixels in [0, 1]"

    def check(self, clips):
        """Refuses clips that no model can learn from.

        Args:
            clips: an array `[clips, time, ...]`.

        Raises:
            InputError: for wrong rank or dtype, no clips, too few frames,
                frames of another size, NaN or infinite values, values outside
                [0, 1].
        """
        clips = np.asarray(clips)
        self._check_shape(clips.shape)
        if not clips.size:
            raise InputError(
                f"Expected at least one clip. Received: shape {clips.shape}"
            )
        check_dtype(clips.dtype)
        check_values(clips, are_pixels(self.pixels, clips.shape))

    def check_spec(self, spec):
        """Checks a dataset by the spec of its batches.

        Returns:
            Whether their values must be checked too.
        """
        if not isinstance(spec, tf.TensorSpec) or spec.shape.rank is None:
            raise InputError(
                "Expected a dataset of batches of clips, [clips, time, ...]. "
                f"Received: elements of {spec}"
            )
        self._check_shape(tuple(spec.shape))
        check_dtype(spec.dtype)
        return spec.dtype != tf.uint8 or spec.shape[1] is None

    def check_in_graph(self, clips):
        """Asserts in a graph that a batch of a dataset is valid."""
        if clips.dtype != tf.uint8:
            assert_values(
                clips,
                are_pixels(self.pixels, clips.shape),
                not_pixels(clips.dtype.name),
            )
        if clips.shape[1] is None:
            frames = tf.shape(clips)[1]
            tf.debugging.Assert(
                frames >= self.min_frames,
                [self._too_short, frames, "frames"],
            )

    @property
    def _too_short(self):
        return f"Expected clips of at least {self.min_frames} frames. Received:"

    def _check_shape(self, shape):
        if len(shape) < 3:
            raise InputError(
                "Expected clips of shape [clips, time, features] or [clips, "
                "time, height, width, channels]. Received: shape "
                f"{shape}"
            )
        if shape[1] is not None and shape[1] < self.min_frames:
            raise InputError(
                f"{self._too_short} {shape[1]} frames, shape {shape}"
            )
        # A model checks frames of unknown size when they come.
        if self.frame is not None and None not in shape[2:]:
            self.frame.check(shape[2:])


@dataclasses.dataclass(frozen=True)
class PaddedClips(Clips):
    """The requirements for clips that may come with a mask.

    Such clips are a dict of "clips" and "mask". The requirements hold for the
    padding after the last frame too.
    """

    _dict = 'a dict of "clips" and "mask"'

    def check(self, clips):
        if isinstance(clips, dict):
            clips, mask = self.parts(clips)
            clips, mask = np.asarray(clips), np.asarray(mask)
            self._check_mask(mask, clips.shape)
        super().check(clips)

    def check_spec(self, spec):
        if not isinstance(spec, dict):
            return super().check_spec(spec)
        spec, mask = self.parts(spec)
        unknown = super().check_spec(spec)
        self._check_mask(mask, tuple(spec.shape))
        return unknown

    def check_in_graph(self, clips):
        if isinstance(clips, dict):
            clips, _ = self.parts(clips)
        super().check_in_graph(clips)

    def parts(self, clips):
        """The clips and the mask of such a dict.

        Raises:
            InputError: for other names.
        """
        if set(clips) != {"clips", "mask"}:
            raise InputError(
                f"Expected clips, or {self._dict}. Received: a dict of "
                + (", ".join(map(repr, clips)) or "nothing")
            )
        return clips["clips"], clips["mask"]

    def _check_mask(self, mask, shape):
        of_clips = tf.TensorShape(shape[:2])
        if mask.dtype.name != "bool" or not of_clips.is_compatible_with(
            mask.shape
        ):
            raise InputError(
                f"Expected a mask of dtype bool, [clips, time], {of_clips}. "
                f"Received: dtype {mask.dtype.name}, shape "
                f"{tf.TensorShape(mask.shape)}"
            )


@dataclasses.dataclass(frozen=True)
class Targets:
    """The requirements for frames to predict.

    Attributes:
        branches: dict from a decoder's name to its `Clips`.
    """

    branches: dict[str, Clips]
    required = False
    expected = "Expected finite targets, in [0, 1] for logistic outputs"

    def check(self, targets):
        """Refuses targets that no decoder can learn.

        Args:
            targets: dict from a decoder's name to an array.

        Raises:
            InputError: for other names, and as for `Clips.check`.
        """
        for rule, frames in self._of(targets):
            rule.check(frames)

    def check_spec(self, spec):
        """As `Clips.check_spec`, for the targets of a dataset."""
        return any([rule.check_spec(of) for rule, of in self._of(spec)])

    def check_in_graph(self, targets):
        """Asserts in a graph that the targets of a batch are valid."""
        for rule, frames in self._of(targets):
            rule.check_in_graph(frames)

    def _of(self, targets):
        if not isinstance(targets, dict) or set(targets) != set(self.branches):
            names = ", ".join(map(repr, self.branches))
            received = (
                ", ".join(map(repr, targets))
                if isinstance(targets, dict)
                else type(targets).__name__
            )
            raise InputError(
                "Expected targets as model.targets(clips) cuts them, a dict "
                f"with {names}. Received: {received}"
            )
        return [(rule, targets[name]) for name, rule in self.branches.items()]


def check_clips(clips, *, min_frames=1, pixels=True):
    """Refuses clips that no model can learn from, see `Clips.check`."""
    Clips(pixels, min_frames).check(clips)
