# What `video_repr.data` has, and where it is imported from when it is used.
from .clips import read_clip as read_clip
from .dataset import ClipDataset as ClipDataset
from .digits import Digits as Digits
from .digits import load_digits as load_digits
from .moving_mnist import Motion as Motion
from .moving_mnist import MovingMNIST as MovingMNIST
from .moving_mnist import read_sequences as read_sequences
