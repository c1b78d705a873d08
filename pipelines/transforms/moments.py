"""Running sums of values, for their statistics."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Moments:
    """Sums for the statistics of values.

    Attributes:
        count: number of values of each channel.
        sums: sums of the values, `[channels]`; `squares` has sums of squares.
        minimum: minimum of all values; `maximum` is their maximum.
        zeros: number of values that are 0.
    """

    count: int = 0
    sums: np.ndarray | int = 0
    squares: np.ndarray | int = 0
    minimum: float = np.inf
    maximum: float = -np.inf
    zeros: int = 0

    def add(self, values, channels):
        """Adds values whose last axis is the channels."""
        rows = values.reshape(-1, channels)
        if rows.dtype == np.uint8:
            self._add_pixels(rows)
            return
        rows = rows.astype(np.float64)
        self.count += len(rows)
        self.sums = self.sums + rows.sum(axis=0)
        self.squares = self.squares + (rows * rows).sum(axis=0)
        self.minimum = min(self.minimum, float(rows.min()))
        self.maximum = max(self.maximum, float(rows.max()))
        self.zeros += int((rows == 0).sum())

    def _add_pixels(self, rows):
        # Exact sums, so that their order does not matter.
        counts = np.stack([np.bincount(c, minlength=256) for c in rows.T])
        pixels = np.arange(256)
        self.count += len(rows)
        self.sums = self.sums + counts @ pixels
        self.squares = self.squares + counts @ pixels**2
        seen = np.flatnonzero(counts.sum(axis=0))
        self.minimum = min(self.minimum, float(seen[0]))
        self.maximum = max(self.maximum, float(seen[-1]))
        self.zeros += int(counts[:, 0].sum())

    def merge(self, other):
        """Adds the sums of another."""
        self.count += other.count
        self.sums = self.sums + other.sums
        self.squares = self.squares + other.squares
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.zeros += other.zeros

    def to_dict(self):
        values = dataclasses.asdict(self)
        for name in ("sums", "squares"):
            values[name] = np.asarray(values[name]).tolist()
        return values

    @classmethod
    def from_dict(cls, values):
        arrays = {n: np.asarray(values[n]) for n in ("sums", "squares")}
        return cls(**{**values, **arrays})
