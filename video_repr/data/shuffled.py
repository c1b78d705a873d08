"""Reads the records of a dataset in the order of `order`, from any place."""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from video_repr.data import records
from video_repr.data.order import Order

# Records that are read at once, and how many bytes of them.
_RECORDS, _BYTES = 256, 8_000_000
# Blocks of windows that are decoded at once.
_BLOCKS = 2


@dataclasses.dataclass(frozen=True)
class Shuffled:
    """A split's windows in random order.

    Attributes:
        dataset: a `ClipDataset`.
        order: of the windows of its records, `Order`.
        start: windows to skip at the beginning; it can be more than an epoch.
            Records that only these are cut from are not read.
    """

    dataset: object
    order: Order
    start: int = 0

    @classmethod
    def of(cls, dataset, split, windows, seed, start=0):
        """A split in the order of a seed.

        Args:
            dataset: a `ClipDataset`.
            split: "train", "validation" or "test".
            windows: function that takes the numbers of frames of records and
                returns their numbers of windows, an array.
            seed: random seed of the order.
            start: windows to skip.
        """
        table = dataset.records
        shards = table[:, records.SHARD]
        of_split = [s["split"] == split for s in dataset.info["shards"]]
        counts = windows(table[:, records.FRAMES_OF])
        counts = np.where(np.array(of_split)[shards], counts, 0)
        return cls(dataset, Order(shards, counts, seed), start)

    def __len__(self):
        return len(self.order)

    def examples(self):
        """The records, for orders of one window each.

        Returns:
            A `tf.data.Dataset` of dicts as `Features.parse` returns. Each
            iteration over it is a further epoch.
        """
        sizes = self.dataset.records[:, records.BYTES]

        def serialized():
            for read, block in blocks():
                numbers = block.records[block.rows]
                at_once = _BYTES // int(sizes[numbers].max())
                at_once = max(1, min(_RECORDS, at_once))
                for i in range(0, len(numbers), at_once):
                    yield read(numbers[i : i + at_once])

        blocks = self._epochs()
        return (
            tf.data.Dataset.from_generator(
                serialized, output_signature=tf.TensorSpec((None,), tf.string)
            )
            .prefetch(1)
            .unbatch()
            .map(
                self.dataset.features.parse,
                tf.data.AUTOTUNE,
                deterministic=True,
            )
        )

    def windows(self, cut):
        """The windows.

        Args:
            cut: how clips are cut from records, `Cut`.

        Returns:
            A `tf.data.Dataset` of pairs of clip and class index. Each iteration
            over it is a further epoch.
        """
        features = self.dataset.features

        def serialized():
            for read, block in blocks():
                yield read(block.records), block.rows, block.windows

        def decode(texts, rows, windows):
            frames, lengths, labels = features.parse_together(texts)
            ends = tf.cumsum(lengths)
            starts = tf.gather(ends - lengths, rows) + windows * cut.stride
            return (
                frames,
                starts,
                tf.gather(ends, rows),
                tf.gather(labels, rows),
            )

        def clips(frames, *places):
            return tf.data.Dataset.from_tensor_slices(places).map(
                lambda start, end, label: (cut.clip(frames, start, end), label)
            )

        blocks = self._epochs()
        numbers = tf.TensorSpec((None,), tf.int64)
        texts = tf.TensorSpec((None,), tf.string)
        return (
            tf.data.Dataset.from_generator(
                serialized, output_signature=(texts, numbers, numbers)
            )
            .map(decode, _BLOCKS, deterministic=True)
            .prefetch(1)
            .flat_map(clips)
        )

    def _epochs(self):
        """A function that yields the blocks of the next epoch at each call."""
        first, left_out = divmod(self.start, len(self.order))
        numbers = itertools.count()
        dataset = self.dataset

        def blocks():
            number = next(numbers)
            for shards, of_shards in self.order.epoch(
                first + number, 0 if number else left_out
            ):
                shards = {n: dataset.info["shards"][n] for n in shards.tolist()}
                with records.opened(
                    dataset.path, shards, dataset.records
                ) as read:
                    for block in of_shards:
                        yield read, block

        return blocks
