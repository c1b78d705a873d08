"""Chooses the frames of a source to read, and their spans of time."""

import dataclasses
import itertools

from pipelines.pictures import list_pictures
from pipelines.pictures import read_pictures
from pipelines.sources import Source
from pipelines.storage import local_file
from pipelines.transforms import sample
from video_repr.data import film
from video_repr.data.draw import rng_of
from video_repr.ranges import check_ranges

# Frames a second: a higher rate would fill the disk.
_HIGHEST_RATE = 1000


@dataclasses.dataclass(frozen=True)
class FrameSampling:
    """Which frames are read.

    Attributes:
        rate: frames a second to resample to, see `sample.at_rate`; when None,
            the source's own frames, each once.
        picture_rate: frames a second of a folder of pictures.
        clips_per_video: number of random spans of each video, as the paper has
            for long videos; the whole video when None.
        clip_seconds: length of such a span in seconds.
        seed: random seed of spans and of patches.
    """

    rate: float | None = None
    picture_rate: float = 25.0
    clips_per_video: int | None = None
    clip_seconds: float = 10.0
    seed: int = 0

    def __post_init__(self):
        check_ranges(
            self,
            rate=f"(0, {_HIGHEST_RATE}]",
            picture_rate=f"(0, {_HIGHEST_RATE}]",
            clips_per_video="(0, inf)",
            clip_seconds="(0, inf)",
        )

    def read(self, source: Source, decoded):
        """Yields `(span, seconds, frame)` of a source: `av.VideoFrame`s.

        The frames of one span are consecutive.
        """
        if source.pictures:
            count = len(list_pictures(source.path))
            frames = read_pictures(source.path, self.picture_rate, decoded)
            duration = count / self.picture_rate
            yield from self._spans(source, frames, duration, decoded)
            return
        with local_file(source.path) as path:
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
        # Resampled first, so that frames do not depend on where a span begins.
        frames = self._resampled(frames, decoded)
        for span, seconds, (run, frame) in sample.in_spans(frames, spans):
            yield (span, run), seconds, frame

    def _resampled(self, frames, decoded):
        """Yields `(seconds, (run, frame))`.

        No held frame and no clip spans a gap of lost frames.
        """
        tagged = ((decoded.gaps, shown) for shown in frames)
        for gaps, unbroken in itertools.groupby(tagged, lambda item: item[0]):
            shown = (frame for _, frame in unbroken)
            for run, seconds, frame in sample.at_rate(shown, self.rate):
                yield seconds, ((gaps, run), frame)
