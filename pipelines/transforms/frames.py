"""Which frames of a source are read, and where a span of them begins."""

import dataclasses
import itertools
import sys

from pipelines.sources import Source
from pipelines.transforms import decode
from pipelines.transforms import sample
from video_repr.data import film
from video_repr.data.draw import rng_of
from video_repr.errors import InputError

# Frames a second: beyond it a film fills a disk.
_HIGHEST_RATE = 1000


@dataclasses.dataclass(frozen=True)
class Frames:
    """Which frames are read.

    Attributes:
        rate: frames in a second, resampled as `sample.at_rate` does; the
            source's own frames, each once, when None.
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
        for name, most in (
            ("rate", _HIGHEST_RATE),
            ("picture_rate", _HIGHEST_RATE),
            ("clips_per_video", None),
            ("clip_seconds", None),
        ):
            value = getattr(self, name)
            if value is None or 0 < value <= (most or sys.float_info.max):
                continue
            raise InputError(
                f"Expected {name} above 0"
                + (f" and at most {most}" if most else " and finite")
                + f". Received: {value}"
            )

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
            frames = film.read(path, decoded)
            duration = film.length(path) if self.clips_per_video else None
            if self.clips_per_video and duration is None:
                decoded.problems.append(
                    "its length is not known: all of it was read"
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
        for span, seconds, (run, frame) in sample.in_spans(frames, spans):
            yield (span, run), seconds, frame

    def _resampled(self, frames, decoded):
        """Yields `(seconds, (run, frame))`.

        Neither a frame that is shown for long nor a clip reaches over frames
        that were lost.
        """
        tagged = ((decoded.gaps, shown) for shown in frames)
        for gaps, unbroken in itertools.groupby(tagged, lambda item: item[0]):
            shown = (frame for _, frame in unbroken)
            for run, seconds, frame in sample.at_rate(shown, self.rate):
                yield seconds, ((gaps, run), frame)
