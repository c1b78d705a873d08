"""Patches cut from the frames of a source."""

import dataclasses
import itertools
from typing import Annotated

import numpy as np

from pipelines.flags import FLAT
from pipelines.sources import Source
from pipelines.transforms.frame_sampling import FrameSampling
from video_repr.data import film
from video_repr.data.draw import rng_of
from video_repr.data.features import Clip
from video_repr.data.features import check_rows
from video_repr.errors import InputError
from video_repr.ranges import check_ranges


@dataclasses.dataclass(frozen=True)
class Patches:
    """Square patches, one place for all frames of a clip.

    Attributes:
        frames: which frames are read.
        clip_frames: frames of a clip.
        size: height and width of a patch in pixels.
        grey: whether patches are grey rather than RGB.
        crops: number of clips that are cut from the same frames.
        whole: scale frames until their shorter side fits and cut the centre,
            rather than patches at random places.
        shorter_side: pixels that the shorter side of frames is scaled to before
            patches are cut; frames are not scaled when None.
        motion: leave out patches whose mean absolute difference between
            consecutive frames is less than this, in [0, 1].
    """

    frames: Annotated[FrameSampling, FLAT] = dataclasses.field(
        default_factory=FrameSampling
    )
    clip_frames: int = 29
    size: int = 32
    grey: bool = False
    crops: int = 1
    whole: bool = False
    shorter_side: int | None = None
    motion: float = 0.0

    def __post_init__(self):
        check_ranges(
            self,
            clip_frames="[1, inf)",
            size="[1, inf)",
            crops="[1, inf)",
            motion="[0, 1]",
        )
        check_rows(self.clip_frames, self.size)
        if self.whole and self.crops > 1:
            raise InputError(
                f"Expected one crop of whole frames. Received: {self.crops}"
            )
        if self.shorter_side is not None and (
            self.whole or self.shorter_side < self.size
        ):
            raise InputError(
                f"Expected a shorter_side of at least {self.size}, and not of "
                f"whole frames. Received: {self.shorter_side}"
                + (" of whole frames" if self.whole else "")
            )

    @property
    def frame_shape(self):
        """Shape of a patch."""
        return (self.size, self.size, *(() if self.grey else (3,)))

    def clips(self, source: Source, decoded):
        """Yields the `Clip`s of a source."""
        clip_number = itertools.count()
        frames, patches, key, start = 0, None, None, 0.0
        still = too_small = run = longest = 0
        scale, convert = film.reformatter(), film.reformatter()
        shorter_side = self.size if self.whole else self.shorter_side
        for span, seconds, frame in self.frames.read(source, decoded):
            if shorter_side is not None:
                frame = _scaled(frame, shorter_side, scale)
            if min(frame.width, frame.height) < self.size:
                too_small += 1
                continue
            # All frames of a clip have one size and are in one span.
            if (span, frame.width, frame.height) != key:
                key, frames = (span, frame.width, frame.height), 0
                run = 0
            if not frames:
                number, start = next(clip_number), seconds
                rows, columns = self._places(source, number, frame)
                patches = np.empty(
                    (self.crops, self.clip_frames, *self.frame_shape), np.uint8
                )
            channels = 1 if self.grey else 3
            image = convert.reformat(
                frame, format="gray" if self.grey else "rgb24"
            )
            # A view: pixels outside the patches are not copied.
            pixels = np.frombuffer(image.planes[0], np.uint8)
            pixels = pixels.reshape(frame.height, -1)
            for crop, (row, column) in enumerate(
                zip(rows, columns, strict=True)
            ):
                patches[crop, frames] = pixels[
                    row : row + self.size,
                    column * channels : (column + self.size) * channels,
                ].reshape(self.frame_shape)
            frames, run = frames + 1, run + 1
            longest = max(longest, run)
            if frames < self.clip_frames:
                continue
            frames = 0
            for crop, values in enumerate(patches):
                if self.motion and motion_of(values) < self.motion:
                    still += 1
                    continue
                yield Clip(
                    f"{source.media_id}/{number:06}/{crop}",
                    values,
                    source.path,
                    round(start * 1e6),
                    source.media_id,
                    source.group,
                    source.label,
                )
        if too_small:
            decoded.problems.append(
                f"{too_small} frames are smaller than {self.size} px"
            )
        decoded.left_out = still
        if still:
            decoded.problems.append(f"{still} clips hardly move")
        if longest < self.clip_frames:
            decoded.problems.append(
                f"{longest} frames in a row are less than a clip's "
                f"{self.clip_frames}"
            )

    def _places(self, source, number, frame):
        if self.whole:
            return (
                [(frame.height - self.size) // 2],
                [(frame.width - self.size) // 2],
            )
        rng = rng_of(self.frames.seed, "places", source.media_id, number)
        return (
            rng.integers(0, frame.height - self.size + 1, self.crops),
            rng.integers(0, frame.width - self.size + 1, self.crops),
        )


def _scaled(frame, shorter_side, scale):
    factor = shorter_side / min(frame.width, frame.height)
    width, height = (
        max(shorter_side, round(side * factor))
        for side in (frame.width, frame.height)
    )
    return scale.reformat(frame, width, height)


def motion_of(clip):
    """Mean absolute difference between consecutive frames, in [0, 1]."""
    if len(clip) < 2:
        return 0.0
    return float(np.abs(np.diff(clip.astype(np.int16), axis=0)).mean() / 255)
