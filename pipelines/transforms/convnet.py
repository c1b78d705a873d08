"""Percepts: a network's activations for the frames of a source."""

import dataclasses
import functools
import itertools
import threading
from typing import Literal

import apache_beam as beam
import numpy as np

from pipelines.transforms.flow import Flow
from pipelines.transforms.frames import Frames
from pipelines.transforms.write import Part
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
        flow: how the flow that the network reads is computed; None where it
            reads frames.
        network: name or file of the network, see `convnets.network`.
        weights: its weights; the best that is there when None.
        crops: "centre", or "five" for the mean over the centre and the four
            corners.
        clip_frames: frames of a record; all frames of a span when None.
        batch: frames that go through the network at once.
    """

    frames: Frames
    flow: Flow | None = None
    network: str = "efficientnet-lite0"
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

    def load(self):
        """The network, once a process, whichever thread comes first.

        Raises:
            InputError: if it does not read what there is.
        """
        with _LOADING:
            network = _network(self.network, self.weights)
        stack = None if self.flow is None else self.flow.stack
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
        if self.flow is not None:
            for span, seconds, stack in self.flow.stacks(frames):
                yield span, seconds, self._crop(stack, size)
            return
        height, width = (
            round(side * size / _READ) for side in (_HEIGHT, _WIDTH)
        )
        for span, seconds, frame in frames:
            pixels = frame.reformat(width, height, "rgb24").to_ndarray()
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
    """Pictures that wait until a batch of them is full."""

    def __init__(self, network, size):
        self._network, self._size = network, size
        self._waiting = []

    def put(self, picture, receive):
        """Queues a picture; `receive` gets its percept, perhaps later."""
        self._waiting.append((picture, receive))
        if len(self._waiting) == self._size:
            self.flush()

    def flush(self):
        """Runs the network on what waits."""
        if not self._waiting:
            return
        # Filled up to one size: the same picture then gives the same bytes
        # whatever stands beside it.
        batch = np.zeros((self._size, *self._waiting[0][0].shape), np.float32)
        for row, (picture, _) in zip(batch, self._waiting, strict=False):
            row[:] = picture
        percepts = self._network.percepts(batch).numpy()
        waiting, self._waiting = self._waiting, []
        for (_, receive), percept in zip(waiting, percepts, strict=False):
            receive(percept)


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
        failure, about = None, {}
        try:
            about = source.describe()
        except OSError as error:
            failure = str(error)
        size = self._network.size
        seen = iter(
            () if failure else self._percepts.read(source, part.decoded, size)
        )
        length = self._percepts.clip_frames
        number, span, count, end = 0, None, 0, None
        while failure is None:
            # One strange film must not end a job of a million; what goes
            # wrong in the network must.
            try:
                of, seconds, pictures = next(seen, (None, None, None))
            except Exception as error:
                failure = str(error) or type(error).__name__
                break
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
        if end:
            end(count if length in (None, count) else 0)
        needed = (length or 1) + (
            self._percepts.flow.stack if self._percepts.flow else 0
        )
        if part.decoded.frames < needed:
            part.decoded.problems.append(
                f"{part.decoded.frames} frames are less than a clip's {needed}"
            )
        recording.end(failure, about)
        yield source.media_id

    def finish_bundle(self):
        self._batches.flush()
