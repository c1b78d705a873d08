"""Data: digits, Moving MNIST, and clips from files."""

from video_repr.data.clips import read_clip
from video_repr.data.digits import Digits
from video_repr.data.digits import load_digits
from video_repr.data.moving_mnist import MovingMNIST
from video_repr.data.moving_mnist import read_sequences

__all__ = [
    "Digits",
    "MovingMNIST",
    "load_digits",
    "read_clip",
    "read_sequences",
]
