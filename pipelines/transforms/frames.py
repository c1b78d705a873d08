"""Which frames of a source are read, and where a span of them begins."""

import dataclasses

from pipelines.sources import Source
from pipelines.transforms import decode
from pipelines.transforms import sample
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
        """Yields `(span, seconds, frame)` of a source, frames av's."""
        if source.pictures:
            frames = decode.pictures(source.path, self.picture_rate, decoded)
            yield from self._spans(source, frames, None)
            return
        with decode.local_file(source.path) as path:
            frames = decode.film(path, decoded)
            duration = decode.duration(path) if self.clips_per_video else None
            yield from self._spans(source, frames, duration)

    def _spans(self, source, frames, duration):
        spans = None
        if self.clips_per_video and duration is not None:
            spans = sample.random_spans(
                duration,
                self.clips_per_video,
                self.clip_seconds,
                sample.rng_of(self.seed, "spans", source.media_id),
            )
        # Resampled first: a span then holds the same frames wherever it is.
        yield from sample.in_spans(sample.at_rate(frames, self.rate), spans)
