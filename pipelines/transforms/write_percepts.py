"""Writes percepts into parts; frames of several sources share a batch."""

import concurrent.futures

import apache_beam as beam
import numpy as np

from pipelines.sources import attempt
from pipelines.sources import described
from pipelines.transforms.parts import Part
from video_repr.data.features import Clip


class _Batches:
    """Collects pictures into batches.

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
        """Runs the network on the waiting pictures, until all are received."""
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
        # Filled up to one size, so that the percepts of a picture do not depend
        # on the others in the batch.
        batch = np.zeros((self._size, *pictures[0].shape), np.float32)
        for row, picture in zip(batch, pictures, strict=False):
            row[:] = picture
        return self._network.percepts(batch).numpy()


class _Recording:
    """The clips of a source, whose percepts arrive one after another."""

    def __init__(self, part, crops):
        self.part = part
        self._crops = crops
        self._unfinished = 0
        self._ended = None

    def begin(self, number, seconds):
        """Begins a clip; returns the functions `(receive, end)` for it."""
        percepts, frames, finished = [], None, False
        self._unfinished += 1

        def finish_if_whole():
            nonlocal finished
            whole = frames is not None and len(percepts) >= frames * self._crops
            # Percepts of a clip that was given up may arrive later.
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
        """Marks the end of the source."""
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
    """Writes percepts into parts; frames of several sources share a batch.

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
            # An error in the network ends the job.
            found, failure = attempt(seen)
            if failure:
                break
            of, seconds, pictures = found or (None, None, None)
            if end and (pictures is None or of != span or count == length):
                # If clips have a fixed length, the rest of a span is not a
                # clip.
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
