"""Clips of one length from records of any length."""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Cut:
    """Where a record's clips begin, and how they are cut.

    Attributes:
        length: frames of a clip.
        stride: frames between the starts of a record's clips.
        frame_shape: shape of a frame.
        pad: whether a shorter record is padded with zeros to make a clip.
    """

    length: int
    stride: int
    frame_shape: tuple
    pad: bool = False

    def count(self, frames):
        """Number of clips of records of `frames` frames, a number or array."""
        least = 1 if self.pad else 0
        return np.maximum(least, (frames - self.length) // self.stride + 1)

    def first(self, example):
        """The only clip of a record, and its class index."""
        frames = example["clip"]
        return self.clip(frames, 0, tf.shape(frames)[0]), example["label"]

    def all(self, example):
        """A `tf.data.Dataset` of a record's clips, with its class index."""
        frames = example["clip"]
        end = tf.shape(frames, tf.int64)[0]
        # The only clip of a padded record begins at 0.
        last = tf.maximum(end - self.length, 0 if self.pad else -1)
        starts = tf.data.Dataset.range(0, last + 1, self.stride)
        return starts.map(
            lambda start: (self.clip(frames, start, end), example["label"])
        )

    def clip(self, frames, start, end):
        """A clip of a record.

        Args:
            frames: `[frames, *frame_shape]`, of the record and of others
                after it.
            start: number of the clip's first frame.
            end: number of the first frame after the record.

        Returns:
            `[length, *frame_shape]`; with `pad` a dict with that as "clips" and
            a "mask", bool `[length]`, true for the frames of the record.
        """
        shape = (self.length, *self.frame_shape)
        if not self.pad:
            return tf.ensure_shape(frames[start : start + self.length], shape)
        frames = frames[start : tf.minimum(start + self.length, end)]
        count = tf.shape(frames)[0]
        behind = [[0, self.length - count], *([[0, 0]] * len(shape[1:]))]
        return {
            "clips": tf.ensure_shape(tf.pad(frames, behind), shape),
            "mask": tf.range(self.length) < count,
        }
