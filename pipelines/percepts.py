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
from pipelines.transforms.flow import Flow
from pipelines.transforms.flow import FlowImages
from pipelines.transforms.frames import Frames
from pipelines.transforms.write import WriteParts
from video_repr.data.features import FLOW
from video_repr.data.features import IMAGE
from video_repr.data.features import RGB
from video_repr.data.features import Features
from video_repr.errors import InputError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write what a network sees in films into a dataset directory.

    Attributes:
        input: what is read.
        output: where the dataset goes.
        frames: which frames are read.
        stream: the frames themselves, or the optical flow between them.
        flow: how flow is computed.
        network: "efficientnet-lite0", "vgg16-fc6" as in the paper,
            "vgg16-fc7", a .keras model, a SavedModel or a TF-Hub handle. For
            flow a .keras model of stacked flow; when None the flow itself is
            written, as quantised pictures.
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
    stream: Literal["rgb", "flow"] = "rgb"
    flow: Flow = dataclasses.field(default_factory=Flow)
    network: str | None = None
    weights: str | None = None
    crops: Literal["centre", "five"] = "centre"
    clip_frames: int | None = 29
    batch: int = 32
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        engine = Engine(self.workers, tuple(beam_options))
        sources = self.input.find()
        if self.stream == "flow" and self.network is None:
            if self.clip_frames is None:
                raise InputError(
                    "Expected clip_frames for flow that is written as "
                    "pictures. Received: None"
                )
            made = FlowImages(self.frames, self.flow, self.clip_frames)
            features = Features(IMAGE, made.frame_shape, sources.labels)
            make_parts = functools.partial(_write_flow, made, features)
        else:
            made = Percepts(
                self.frames,
                self.flow if self.stream == "flow" else None,
                self.network or "efficientnet-lite0",
                self.weights,
                self.crops,
                self.clip_frames,
                self.batch,
            )
            key = {"rgb": RGB, "flow": FLOW}[self.stream]
            features = Features(key, (made.load().features,), sources.labels)
            make_parts = functools.partial(_write_percepts, made, features)
        Job(
            "pipelines.percepts",
            {
                "input": dataclasses.asdict(self.input),
                self.stream: dataclasses.asdict(made),
            },
            sources,
            features,
            make_parts,
        ).run(self.output, engine)


def _write_flow(images, features, staging):
    return beam.ParDo(WriteParts(images, features, staging))


def _write_percepts(percepts, features, staging):
    return beam.ParDo(WritePercepts(percepts, features, staging))


if __name__ == "__main__":
    # Not this module's own names: workers know none of `__main__`.
    from pipelines.percepts import Arguments

    sys.exit(main(Arguments, "pipelines.percepts"))
