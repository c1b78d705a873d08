"""What a frame is to a model: so many values, or a picture."""

import dataclasses
import math

import tensorflow as tf

from video_repr.errors import InputError


@dataclasses.dataclass(frozen=True)
class FlatFrames:
    """Frames of so many values, in whatever shape.

    Attributes:
        values: number of values.
    """

    values: int

    def __str__(self):
        return f"frames of {self.values} values"

    @property
    def last_axis(self):
        """Size of the last axis of arranged clips."""
        return self.values

    @classmethod
    def of(cls, shape):
        """Those of a frame's shape, which must be known."""
        values = tf.TensorShape(shape).num_elements()
        if not shape or values is None:
            raise InputError(
                "Expected frames of a known size. Received: frames of shape "
                f"{tuple(shape)}"
            )
        return cls(values)

    def check(self, shape, of=""):
        """Refuses frames of another size.

        Args:
            shape: of a frame; None for sizes that are not known.
            of: whose frames they are, for the message: "for the encoder".

        Raises:
            InputError: naming both sizes.
        """
        values = None if None in shape else math.prod(shape)
        if not shape or values != self.values:
            raise InputError(
                f"Expected {self}{of and f' {of}'}. "
                "Received: "
                f"{'' if values is None else f'{values} values a frame, '}"
                f"frames of shape {tuple(shape)}"
            )

    def arrange(self, clips):
        """Clips `[batch, time, ...]` as `[batch, time, values]`."""
        if len(clips.shape) == 3:
            return clips
        batch, time = tf.unstack(tf.shape(clips)[:2])
        batch, time = clips.shape[0] or batch, clips.shape[1] or time
        return tf.reshape(clips, (batch, time, self.values))

    def restore(self, clips, shape):
        """The inverse of `arrange`, for frames of `shape`."""
        batch, time = tf.unstack(tf.shape(clips)[:2])
        batch, time = clips.shape[0] or batch, clips.shape[1] or time
        return tf.reshape(clips, (batch, time, *shape))

    def grid(self, shape):
        """Rows and columns of a state; none."""
        return ()

    def shapes(self, shape):
        """The shapes of a frame that an export reads, `shape` first."""
        return [tuple(shape), *{(self.values,)} - {tuple(shape)}]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures of any size that patches divide.

    Attributes:
        channels: number of channels; a frame of one may have no axis for it.
        patch: height and width of the patches, in pixels.
        size: height and width, in pixels, if no others will do.
    """

    channels: int
    patch: int = 1
    size: tuple[int, int] | None = None

    def __str__(self):
        return (
            f"pictures of {self.channels} channel"
            f"{'s' * (self.channels > 1)} in patches of {self.patch} px"
        )

    @property
    def last_axis(self):
        """Size of the last axis of arranged clips."""
        return self.channels

    @classmethod
    def of(cls, shape, patch, size=None):
        """Those of a frame's shape."""
        return cls(shape[2] if len(shape) == 3 else 1, patch, size)

    def check(self, shape, of=""):
        """Refuses what is no such picture.

        Args:
            shape: of a frame; None for sizes that are not known.
            of: as for `FlatFrames`.

        Raises:
            InputError: saying what does not fit.
        """
        of = of and f" {of}"
        received = f"Received: frames of shape {tuple(shape)}"
        if len(shape) not in (2, 3):
            raise InputError(
                "Expected pictures, frames of shape (height, width) or "
                f"(height, width, channels){of}. {received}"
            )
        channels = 1 if len(shape) == 2 else shape[2]
        if channels != self.channels:
            raise InputError(
                f"Expected pictures of {self.channels} channel"
                f"{'s' * (self.channels > 1)}{of}. {received}"
            )
        height, width = shape[:2]
        if any(side is not None and side % self.patch for side in shape[:2]):
            raise InputError(
                f"Expected a height and a width that patches of {self.patch} "
                f"x {self.patch} px divide{of}. {received}"
            )
        if self.size and not all(
            side in (None, own)
            for side, own in zip((height, width), self.size, strict=True)
        ):
            raise InputError(
                f"Expected pictures of {self.size[0]} x {self.size[1]} px, "
                f"which the full peepholes are for{of}. {received}"
            )

    def arrange(self, clips):
        """Clips with channels, `[batch, time, height, width, channels]`."""
        clips = clips[..., None] if len(clips.shape) == 4 else clips
        if None in clips.shape[2:4]:
            sides = tf.shape(clips)[2:4]
            fits = tf.debugging.Assert(
                tf.reduce_all(sides % self.patch == 0),
                [
                    "Expected a height and a width that patches of "
                    f"{self.patch} px divide. Received:",
                    sides,
                ],
            )
            with tf.control_dependencies([fits]):
                clips = tf.identity(clips)
        return clips

    def restore(self, clips, shape):
        """The inverse of `arrange`, for frames of `shape`."""
        return clips[..., 0] if len(shape) == 2 else clips

    def grid(self, shape):
        """Rows and columns of a state."""
        return tuple(side and side // self.patch for side in shape[:2])

    def shapes(self, shape):
        """The shapes of a frame that an export reads."""
        return [(*(self.size or (None, None)), *shape[2:])]


def frame_of(about):
    """What a frame is to an exported encoder.

    Args:
        about: the entry "encoder" of its config.json.

    Returns:
        `FlatFrames` or `Pictures`.
    """
    pictures = about.get("pictures")
    if pictures is None:
        return FlatFrames.of(about["frame_shape"])
    return Pictures(**pictures)
