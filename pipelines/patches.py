"""Natural patches from films (paper, section 3.3).

    python -m pipelines.patches --input.path films --output.path data/films/1

Clips of small patches, cut at random from films: one place for all frames of
a clip. Pixels are kept as they are. Options of Beam follow `--`.
"""

import dataclasses
import functools
import sys

import apache_beam as beam

from pipelines.arguments import Input
from pipelines.arguments import main
from pipelines.engine import Engine
from pipelines.job import Job
from pipelines.job import Output
from pipelines.transforms.crop import Patches
from pipelines.transforms.frames import Frames
from pipelines.transforms.write import WriteParts
from video_repr.data.features import IMAGE
from video_repr.data.features import Features


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Cut patches from films into a dataset directory.

    Attributes:
        input: what is read.
        output: where the dataset goes.
        frames: which frames are read.
        clip_frames: frames of a clip.
        size: height and width of a patch in pixels.
        grey: whether patches are grey rather than RGB.
        crops: clips that are cut at once from the same frames.
        whole: scale frames until their shorter side fits and cut the centre,
            rather than patches at random places.
        motion: leave out patches that move less than this from one frame to
            the next, a mean absolute difference in [0, 1].
        workers: processes on this machine.
    """

    input: Input
    output: Output
    frames: Frames = dataclasses.field(default_factory=Frames)
    clip_frames: int = 29
    size: int = 32
    grey: bool = False
    crops: int = 1
    whole: bool = False
    motion: float = 0.0
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        engine = Engine(self.workers, tuple(beam_options))
        patches = Patches(
            self.frames,
            self.clip_frames,
            self.size,
            self.grey,
            self.crops,
            self.whole,
            self.motion,
        )
        sources = self.input.find()
        features = Features(IMAGE, patches.frame_shape, sources.labels)
        Job(
            "pipelines.patches",
            {
                "input": dataclasses.asdict(self.input),
                "patches": dataclasses.asdict(patches),
            },
            sources,
            features,
            functools.partial(_write_patches, patches, features),
        ).run(self.output, engine)


def _write_patches(patches, features, staging):
    return beam.ParDo(WriteParts(patches, features, staging))


if __name__ == "__main__":
    # Not this module's own names: workers know none of `__main__`.
    from pipelines.patches import Arguments

    sys.exit(main(Arguments, "pipelines.patches"))
