"""Data: digits, Moving MNIST, clips from files, dataset directories."""

from video_repr.data.clips import read_clip
from video_repr.data.dataset import ClipDataset
from video_repr.data.digits import Digits
from video_repr.data.digits import load_digits
from video_repr.data.moving_mnist import Motion
from video_repr.data.moving_mnist import MovingMNIST
from video_repr.data.moving_mnist import read_sequences

__all__ = [
    "ClipDataset",
    "Digits",
    "Motion",
    "MovingMNIST",
    "load_digits",
    "read_clip",
    "read_sequences",
]
