"""Natural patches from films (paper, section 3.3).

    python -m pipelines.patches --input films --output data/films/1

It cuts clips of small patches from films, at a random place that is the same
for all frames of a clip. Pixels are not changed. Beam's options follow `--`.
"""

import dataclasses
import functools
import sys
from typing import Annotated

from pipelines.arguments import Input
from pipelines.arguments import Output
from pipelines.arguments import main
from pipelines.engine import Engine
from pipelines.flags import FLAT
from pipelines.transforms.crop import Patches
from video_repr.data.features import IMAGE
from video_repr.data.features import Features


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Cut patches from films into a dataset directory.

    Attributes:
        input: the films to read.
        output: the dataset to write.
        patches: how patches are cut.
        workers: processes on this machine.
    """

    input: Annotated[Input, FLAT]
    output: Annotated[Output, FLAT]
    patches: Annotated[Patches, FLAT] = dataclasses.field(
        default_factory=Patches
    )
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        engine = Engine(self.workers, tuple(beam_options))
        sources = self.input.find()
        from pipelines.job import Job

        features = Features(IMAGE, self.patches.frame_shape, sources.labels)
        Job(
            "pipelines.patches",
            {
                "input": dataclasses.asdict(self.input),
                "patches": dataclasses.asdict(self.patches),
            },
            sources,
            features,
            functools.partial(_write_patches, self.patches, features),
        ).run(self.output, engine)


def _write_patches(patches, features, staging):
    import apache_beam as beam

    from pipelines.transforms.parts import WriteParts

    return beam.ParDo(WriteParts(patches, features, staging))


if __name__ == "__main__":
    # Imported again, as workers do not know the names of `__main__`.
    from pipelines.patches import Arguments

    sys.exit(main(Arguments, "pipelines.patches"))
