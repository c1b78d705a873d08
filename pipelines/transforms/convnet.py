"""Percepts: a network's activations for the frames of a source."""

import concurrent.futures
import dataclasses
import functools
import itertools
import os
import pathlib
import threading
from typing import Annotated
from typing import Literal

import apache_beam as beam
import numpy as np

from pipelines.flags import FLAT
from pipelines.transforms import decode
from pipelines.transforms.flow import Flow
from pipelines.transforms.frames import Frames
from pipelines.transforms.write import Part
from pipelines.transforms.write import attempt
from pipelines.transforms.write import described
from video_repr.data.dataset import sha256
from video_repr.data.features import Clip
from video_repr.errors import InputError

# The paper's frames are 240 x 320, its network reads 224 x 224 of them.
_HEIGHT, _WIDTH, _READ = 240, 320, 224
_LOADING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Percepts:
    """How frames become percepts.

    Attributes:
        frames: which frames are read.
        stream: the frames themselves, or the optical flow between them.
        flow: how flow is computed.
        network: "efficientnet-lite0", where None is given, "vgg16-fc6" as in
            the paper, "vgg16-fc7", a .keras model, a SavedModel or a TF-Hub
            handle. For flow a .keras model of stacked flow; when None the
            flow itself is written, as quantised pictures.
        weights: "imagenet", where None is given, "random" or a file.
        crops: "centre", or "five" for the mean over the centre and the four
            corners.
        clip_frames: frames of a record; None for all of a video.
        batch: frames that go through the network at once.
    """

    frames: Annotated[Frames, FLAT] = dataclasses.field(default_factory=Frames)
    stream: Literal["rgb", "flow"] = "rgb"
    flow: Flow = dataclasses.field(default_factory=Flow)
    network: str | None = None
    weights: str | None = None
    crops: Literal["centre", "five"] = "centre"
    clip_frames: int | None = 29
    batch: int = 32

    def __post_init__(self):
        for name in ("clip_frames", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(
                    f"Expected {name} of at least 1. Received: {value}"
                )

    @property
    def crops_per_frame(self):
        """Pictures that the network sees of a frame."""
        return {"centre": 1, "five": 5}[self.crops]

    @property
    def stack(self):
        """Flow frames that the network reads at once; None for frames."""
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
        """The network, once a process, whichever thread comes first.

        Raises:
            InputError: if it does not read what there is.
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
        """What the network sees of a source.

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
        scale = decode.reformatter()
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


class _Batches:
    """Pictures that wait until a batch of them is full.

    The network runs on one batch while the next is decoded.
    """

    def __init__(self, network, size):
        self._network, self._size = network, size
        self._waiting, self._running = [], None
        self._thread = concurrent.futures.ThreadPoolExecutor(1)

    def put(self, picture, receive):
        """Queues a picture; `receive` gets its percept, perhaps later."""
        self._waiting.append((picture, receive))
        if len(self._waiting) == self._size:
            self._run()

    def finish(self):
        """Runs the network on what waits, until all is received."""
        if self._waiting:
            self._run()
        self._receive()
        self._thread.shutdown()

    def _run(self):
        pictures = [picture for picture, _ in self._waiting]
        receivers = [receive for _, receive in self._waiting]
        self._waiting = []
        future = self._thread.submit(self._percepts, pictures)
        self._receive()
        self._running = future, receivers

    def _receive(self):
        if self._running is None:
            return
        (future, receivers), self._running = self._running, None
        for receive, percept in zip(receivers, future.result(), strict=False):
            receive(percept)

    def _percepts(self, pictures):
        # Filled up to one size: the same picture then gives the same bytes
        # whatever stands beside it.
        batch = np.zeros((self._size, *pictures[0].shape), np.float32)
        for row, picture in zip(batch, pictures, strict=False):
            row[:] = picture
        return self._network.percepts(batch).numpy()


class _Recording:
    """The clips of a source whose percepts come in by and by."""

    def __init__(self, part, crops):
        self.part = part
        self._crops = crops
        self._unfinished = 0
        self._ended = None

    def begin(self, number, seconds):
        """A new clip: `(receive, end)`, functions of percepts and of None."""
        percepts, frames, finished = [], None, False
        self._unfinished += 1

        def finish_if_whole():
            nonlocal finished
            whole = frames is not None and len(percepts) >= frames * self._crops
            # Percepts of a clip that was given up come in later.
            if finished or not whole:
                return
            finished = True
            self._unfinished -= 1
            if frames:
                self._add(number, seconds, percepts)
            self._close_if_ended()

        def receive(percept):
            percepts.append(percept)
            finish_if_whole()

        def end(count):
            nonlocal frames
            frames = count
            finish_if_whole()

        return receive, end

    def end(self, failure, about):
        """The source has no more frames."""
        self._ended = failure, about
        self._close_if_ended()

    def _add(self, number, seconds, percepts):
        source = self.part.source
        values = np.stack(percepts).reshape(-1, self._crops, len(percepts[0]))
        self.part.add(
            Clip(
                f"{source.media_id}/{number:06}",
                values.mean(axis=1, dtype=np.float32),
                source.path,
                round(seconds * 1e6),
                source.media_id,
                source.group,
                source.label,
            )
        )

    def _close_if_ended(self):
        if self._ended and not self._unfinished:
            failure, about = self._ended
            self.part.close(failure, **about)


class WritePercepts(beam.DoFn):
    """Sources into parts of percepts; frames of several share a batch.

    Args:
        percepts: `Percepts`.
        features: `Features` of the records.
        staging: folder of the job.
    """

    def __init__(self, percepts, features, staging):
        self._percepts = percepts
        self._features = features
        self._staging = staging

    def setup(self):
        self._network = self._percepts.load()

    def start_bundle(self):
        self._batches = _Batches(self._network, self._percepts.batch)

    def process(self, source):
        part = Part(self._staging, source, self._features)
        recording = _Recording(part, self._percepts.crops_per_frame)
        about, failure = described(source)
        size = self._network.size
        seen = iter(
            () if failure else self._percepts.read(source, part.decoded, size)
        )
        length = self._percepts.clip_frames
        number, span, count, end, longest = 0, None, 0, None, 0
        while failure is None:
            # What goes wrong in the network ends the job.
            found, failure = attempt(seen)
            if failure:
                break
            of, seconds, pictures = found or (None, None, None)
            if end and (pictures is None or of != span or count == length):
                # What is left of a span is no clip where clips have a length.
                end(count if length in (None, count) else 0)
                end, count, number = None, 0, number + 1
            if pictures is None:
                break
            if end is None:
                receive, end = recording.begin(number, seconds)
                span = of
            for picture in pictures:
                self._batches.put(picture, receive)
            count += 1
            longest = max(longest, count)
        if end:
            end(count if length in (None, count) else 0)
        if longest < (length or 1):
            what = "stacks of flow" if self._percepts.stack else "frames"
            part.decoded.problems.append(
                f"{longest} {what} in a row are less than a clip's "
                f"{length or 1}"
            )
        recording.end(failure, about)
        yield source.media_id

    def finish_bundle(self):
        self._batches.finish()
