r"""Percepts: what a network sees in each frame (paper, section 3.4).

    pip install 'video_repr[pipelines,percepts]'
    python -m pipelines.percepts --input.path films \
        --output.path data/percepts/1

Options of Beam follow `--`.
"""

import dataclasses
import functools
import sys
from typing import Literal

import apache_beam as beam

from pipelines.arguments import Input
from pipelines.arguments import main
from pipelines.engine import Engine
from pipelines.job import Job
from pipelines.job import Output
from pipelines.transforms.convnet import Percepts
from pipelines.transforms.convnet import WritePercepts
from pipelines.transforms.crop import Frames
from video_repr.data.features import RGB
from video_repr.data.features import Features


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write a network's percepts of films into a dataset directory.

    Attributes:
        input: what is read.
        output: where the dataset goes.
        frames: which frames are read.
        network: "efficientnet-lite0", "vgg16-fc6" as in the paper,
            "vgg16-fc7", a .keras model, a SavedModel or a TF-Hub handle.
        weights: "imagenet", "random" or a file.
        crops: "centre", or "five" for the mean over the centre and the four
            corners.
        clip_frames: frames of a record; None for all of a video.
        batch: frames that go through the network at once.
        workers: processes on this machine.
    """

    input: Input
    output: Output
    frames: Frames = dataclasses.field(default_factory=Frames)
    network: str = "efficientnet-lite0"
    weights: str | None = None
    crops: Literal["centre", "five"] = "centre"
    clip_frames: int | None = 29
    batch: int = 32
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        engine = Engine(self.workers, tuple(beam_options))
        percepts = Percepts(
            self.frames,
            self.network,
            self.weights,
            self.crops,
            self.clip_frames,
            self.batch,
        )
        sources = self.input.find()
        features = Features(RGB, (percepts.load().features,), sources.labels)
        Job(
            "pipelines.percepts",
            {
                "input": dataclasses.asdict(self.input),
                "percepts": dataclasses.asdict(percepts),
            },
            sources,
            features,
            functools.partial(_write_percepts, percepts, features),
        ).run(self.output, engine)


def _write_percepts(percepts, features, staging):
    return beam.ParDo(WritePercepts(percepts, features, staging))


if __name__ == "__main__":
    sys.exit(main(Arguments, "pipelines.percepts"))
