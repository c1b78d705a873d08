r"""Percepts: activations of a network for each frame (paper, section 3.4).

    pip install 'video_repr[pipelines,percepts]'
    python -m pipelines.percepts --input films \
        --output data/percepts/1

Beam's options follow `--`.
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
from pipelines.transforms.convnet import Percepts
from pipelines.transforms.flow import FlowImages
from video_repr.data.features import FLOW
from video_repr.data.features import IMAGE
from video_repr.data.features import RGB
from video_repr.data.features import Features
from video_repr.errors import InputError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write a network's percepts of films into a dataset directory.

    Attributes:
        input: the films to read.
        output: the dataset to write.
        percepts: how frames become percepts.
        workers: processes on this machine.
    """

    input: Annotated[Input, FLAT]
    output: Annotated[Output, FLAT]
    percepts: Annotated[Percepts, FLAT] = dataclasses.field(
        default_factory=Percepts
    )
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        engine = Engine(self.workers, tuple(beam_options))
        sources = self.input.find()
        # Before the network, as it imports TensorFlow silently.
        from pipelines.job import Job

        made = self.percepts
        if made.stream == "flow":
            # A missing package is found now rather than at each film.
            made.flow.make()
        if made.stream == "flow" and made.network is None:
            if made.weights is not None or made.crops != "centre":
                raise InputError(
                    "Expected --weights and --crops with a network. Received: "
                    "--stream flow without --network, which writes the flow "
                    "itself"
                )
            images = FlowImages(made.frames, made.flow, made.clip_frames)
            features = Features(IMAGE, images.frame_shape, sources.labels)
            network = None
            make_parts = functools.partial(_write_flow, images, features)
        else:
            key = {"rgb": RGB, "flow": FLOW}[made.stream]
            network = made.load()
            features = Features(key, (network.features,), sources.labels)
            make_parts = functools.partial(_write_percepts, made, features)
        Job(
            "pipelines.percepts",
            {
                "input": dataclasses.asdict(self.input),
                "percepts": dataclasses.asdict(made),
                "network": network and network.name,
                "files": made.sums(),
            },
            sources,
            features,
            make_parts,
        ).run(self.output, engine)


def _write_flow(images, features, staging):
    import apache_beam as beam

    from pipelines.transforms.parts import WriteParts

    return beam.ParDo(WriteParts(images, features, staging))


def _write_percepts(percepts, features, staging):
    import apache_beam as beam

    from pipelines.transforms.write_percepts import WritePercepts

    return beam.ParDo(WritePercepts(percepts, features, staging))


if __name__ == "__main__":
    # Imported again, as workers do not know the names of `__main__`.
    from pipelines.percepts import Arguments

    sys.exit(main(Arguments, "pipelines.percepts"))
