"""The order of a dataset's shuffled clips: a function of seed and epoch."""

import dataclasses

import numpy as np

from video_repr.data.draw import permutation

# Shards whose records are mixed: 500 MB, which the page cache can hold, so that
# a disk that is slow to seek reads them in one go.
_MIXED_SHARDS = 8
# Windows that are mixed; at least those of one record. Decoded records are
# held in memory.
_MIXED_WINDOWS = 1000


@dataclasses.dataclass(frozen=True)
class Block:
    """Windows that come one after another.

    Attributes:
        records: numbers of the records that they are cut from, each once.
        rows: for each window, the place of its record in `records`.
        windows: for each window, its number among those of its record.
    """

    records: np.ndarray
    rows: np.ndarray
    windows: np.ndarray

    def __len__(self):
        return len(self.rows)

    def without_first(self, count):
        """The block without its first windows, and only the records needed."""
        rows = self.rows[count:]
        used, rows = np.unique(rows, return_inverse=True)
        return Block(self.records[used], rows, self.windows[count:])


@dataclasses.dataclass(frozen=True)
class Order:
    """The order of the windows of all records, anew for every epoch.

    It shuffles the shards, then the records of `_MIXED_SHARDS` shards with each
    other, then some `_MIXED_WINDOWS` windows with each other. The place of a
    window in an epoch is known without reading any.

    Attributes:
        shards: number of the shard of each record.
        windows: number of windows of each record.
        seed: what the order is drawn from.
    """

    shards: np.ndarray
    windows: np.ndarray
    seed: int

    def __len__(self):
        return int(self.windows.sum())

    def epoch(self, number, start=0):
        """The shards and blocks that an epoch reads.

        Args:
            number: number of the epoch.
            start: windows to skip at the beginning.

        Yields:
            `(shards, blocks)`: numbers of shards, and an iterator of the
            `Block`s that are read from them.
        """
        names = np.unique(self.shards[self.windows > 0])
        names = names[self._permutation(len(names), number)]
        for first in range(0, len(names), _MIXED_SHARDS):
            shards = names[first : first + _MIXED_SHARDS]
            records = np.flatnonzero(
                np.isin(self.shards, shards) & (self.windows > 0)
            )
            count = int(self.windows[records].sum())
            if start < count:
                yield shards, self._blocks(records, number, first, start)
            start = max(0, start - count)

    def _blocks(self, records, epoch, first, start):
        records = records[self._permutation(len(records), epoch, first)]
        windows = self.windows[records]
        # A block ends before the record whose windows would be too many.
        ends = np.cumsum(windows)
        place = 0
        while place < len(records):
            before = ends[place] - windows[place]
            last = np.searchsorted(ends, before + _MIXED_WINDOWS, "right")
            last = max(int(last), place + 1)
            count = int(ends[last - 1] - before)
            if start < count:
                block = self._block(
                    records[place:last], windows[place:last], epoch, first,
                    place,
                )  # fmt: skip
                yield block.without_first(start) if start else block
            start, place = max(0, start - count), last

    def _block(self, records, windows, *names):
        rows = np.repeat(np.arange(len(records)), windows)
        firsts = np.repeat(np.cumsum(windows) - windows, windows)
        numbers = np.arange(len(rows)) - firsts
        mixed = self._permutation(len(rows), *names)
        return Block(records, rows[mixed], numbers[mixed])

    def _permutation(self, count, *names):
        return permutation(count, "order", self.seed, *names)
