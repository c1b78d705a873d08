"""Percepts: a network's activations for the frames of a source."""

import dataclasses
import functools
import itertools
import os
import pathlib
import threading
from typing import Annotated
from typing import Literal

import numpy as np

from pipelines.flags import FLAT
from pipelines.transforms.flow import Flow
from pipelines.transforms.frame_sampling import FrameSampling
from video_repr.data import film
from video_repr.errors import InputError
from video_repr.files import sha256
from video_repr.ranges import check_ranges

# The paper's frames are 240 x 320 px; its network reads crops of 224 x 224 px.
_HEIGHT, _WIDTH, _READ = 240, 320, 224
_LOADING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Percepts:
    """How frames become percepts.

    Attributes:
        frames: which frames are read.
        stream: the RGB frames themselves, or the optical flow between them.
        flow: how flow is computed.
        network: for RGB "efficientnet-lite0", the default; "vgg16-fc6" as in
            the paper; "vgg16-fc7"; a .keras model; a SavedModel; or a TF-Hub
            handle. For flow a .keras model of stacked flow; when None, the
            flow itself is written, as quantised pictures.
        weights: "imagenet", the default; "random"; or a file.
        crops: "centre", or "five" for the mean over the centre and the four
            corners.
        clip_frames: frames of a record; None for all of a video.
        batch: frames in a batch of the network.
    """

    frames: Annotated[FrameSampling, FLAT] = dataclasses.field(
        default_factory=FrameSampling
    )
    stream: Literal["rgb", "flow"] = "rgb"
    flow: Flow = dataclasses.field(default_factory=Flow)
    network: str | None = None
    weights: str | None = None
    crops: Literal["centre", "five"] = "centre"
    clip_frames: int | None = 29
    batch: int = 32

    def __post_init__(self):
        check_ranges(self, clip_frames="[1, inf)", batch="[1, inf)")

    @property
    def crops_per_frame(self):
        """Number of crops of a frame that the network reads."""
        return {"centre": 1, "five": 5}[self.crops]

    @property
    def stack(self):
        """Flow frames that the network reads at once; None for RGB frames."""
        return self.flow.stack if self.stream == "flow" else None

    def sums(self):
        """SHA-256 of the network's files, by their paths."""
        return {
            str(file): sha256(file)
            for path in (self.network, self.weights)
            if path and os.path.exists(path)
            for file in (
                sorted(f for f in pathlib.Path(path).rglob("*") if f.is_file())
                if os.path.isdir(path)
                else [path]
            )
        }

    def load(self):
        """Loads the network, once for all threads of a process.

        Raises:
            InputError: if it reads frames of another kind or size.
        """
        with _LOADING:
            network = _network(
                self.network or "efficientnet-lite0", self.weights
            )
        stack = self.stack
        if network.stack != stack:
            raise InputError(
                f"Expected a network that reads {_in_words(stack)}. Received: "
                f"{self.network}, which reads {_in_words(network.stack)}"
            )
        if stack and network.size > min(self.flow.height, self.flow.width):
            raise InputError(
                f"Expected flow frames of at least {network.size} px, as "
                f"{self.network} reads. Received: {self.flow.height} x "
                f"{self.flow.width}"
            )
        return network

    def read(self, source, decoded, size):
        """Yields the inputs of the network for a source.

        Yields:
            `(span, seconds, pictures)`: uint8 `[crops, size, size, 3]`, or
            `[crops, stack, size, size, 2]` of flow.
        """
        frames = self.frames.read(source, decoded)
        if self.stream == "flow":
            for span, seconds, stack in self.flow.stacks(frames):
                yield span, seconds, self._crop(stack, size)
            return
        height, width = (
            round(side * size / _READ) for side in (_HEIGHT, _WIDTH)
        )
        scale = film.reformatter()
        for span, seconds, frame in frames:
            pixels = scale.reformat(frame, width, height, "rgb24").to_ndarray()
            yield span, seconds, self._crop(pixels, size)

    def _crop(self, pixels, size):
        height, width = pixels.shape[-3:-1]
        down, right = height - size, width - size
        places = [(down // 2, right // 2)]
        if self.crops == "five":
            places += itertools.product((0, down), (0, right))
        return np.stack(
            [pixels[..., y : y + size, x : x + size, :] for y, x in places]
        )


def _in_words(stack):
    return "RGB frames" if stack is None else f"{stack} flow frames"


@functools.lru_cache(maxsize=1)
def _network(name, weights):
    import tensorflow as tf

    from video_repr.models import convnets

    found = convnets.network(name, weights)
    return dataclasses.replace(
        found, percepts=tf.function(found.percepts, reduce_retracing=True)
    )
