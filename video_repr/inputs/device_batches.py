"""Batches that are made where they are trained on."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class DeviceBatches:
    """Batches that the device makes, each from an element of a small dataset.

    A `tf.data.Dataset` makes batches on the host and copies them to the device.
    `fit` makes these as the first part of its compiled step.

    Attributes:
        dataset: a `tf.data.Dataset` of the arguments of `make`, such as
            indices.
        make: a `tf.function` from such an element to a batch of clips.
    """

    dataset: tf.data.Dataset
    make: Callable

    @property
    def element_spec(self):
        """The specs of a batch, as of a `tf.data.Dataset`."""
        make = self.make.get_concrete_function(self.dataset.element_spec)
        return tf.nest.map_structure(
            tf.type_spec_from_value, make.structured_outputs
        )

    def __iter__(self):
        return map(self.make, self.dataset)
