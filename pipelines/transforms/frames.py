"""Which frames of a source are read, and where a span of them begins."""

import dataclasses
import itertools

from pipelines.sources import Source
from pipelines.transforms import decode
from pipelines.transforms import sample
from video_repr.data.draw import rng_of
from video_repr.errors import InputError


@dataclasses.dataclass(frozen=True)
class Frames:
    """Which frames are read.

    Attributes:
        rate: frames in a second, resampled; the source's own when None.
        picture_rate: frames in a second of a folder of pictures.
        clips_per_video: spans to sample from each video at random, as the
            paper does with long ones; all of the video when None.
        clip_seconds: length of such a span.
        seed: of all that is drawn.
    """

    rate: float | None = None
    picture_rate: float = 25.0
    clips_per_video: int | None = None
    clip_seconds: float = 10.0
    seed: int = 0

    def __post_init__(self):
        for name in ("rate", "picture_rate", "clips_per_video", "clip_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"Expected {name} above 0. Received: {value}")

    def read(self, source: Source, decoded):
        """Yields `(span, seconds, frame)` of a source, frames av's.

        Frames of one span follow each other.
        """
        if source.pictures:
            count = len(decode.list_pictures(source.path))
            frames = decode.pictures(source.path, self.picture_rate, decoded)
            duration = count / self.picture_rate
            yield from self._spans(source, frames, duration, decoded)
            return
        with decode.local_file(source.path) as path:
            frames = decode.film(path, decoded)
            duration = decode.duration(path) if self.clips_per_video else None
            if self.clips_per_video and duration is None:
                decoded.problems.append(
                    "its header does not say its length: all of it was read"
                )
            yield from self._spans(source, frames, duration, decoded)

    def _spans(self, source, frames, duration, decoded):
        spans = None
        if self.clips_per_video and duration is not None:
            spans = sample.random_spans(
                duration,
                self.clips_per_video,
                self.clip_seconds,
                rng_of(self.seed, "spans", source.media_id),
            )
        # Resampled first: a span then holds the same frames wherever it is.
        frames = self._resampled(frames, decoded)
        for span, seconds, (gaps, frame) in sample.in_spans(frames, spans):
            yield (span, gaps), seconds, frame

    def _resampled(self, frames, decoded):
        """Yields `(seconds, (gaps, frame))`.

        Neither a frame that is shown for long nor a clip reaches over frames
        that were lost.
        """
        tagged = ((decoded.gaps, *timed) for timed in frames)
        for gaps, unbroken in itertools.groupby(tagged, lambda item: item[0]):
            timed = ((seconds, frame) for _, seconds, frame in unbroken)
            for seconds, frame in sample.at_rate(timed, self.rate):
                yield seconds, (gaps, frame)
