"""Moving MNIST on disk, for those who want files.

    python -m pipelines.moving_mnist --output data/moving_mnist/1

The sequences are those that `video_repr.data.MovingMNIST` makes on the fly.
Options of Beam follow `--`.
"""

import dataclasses
import functools
import sys
from typing import Annotated

from pipelines.arguments import Output
from pipelines.arguments import main
from pipelines.engine import Engine
from pipelines.flags import FLAT
from pipelines.sources import Source
from pipelines.sources import Sources
from video_repr import configs
from video_repr.data.features import IMAGE
from video_repr.data.features import Clip
from video_repr.data.features import Features
from video_repr.errors import InputError

# A source is so many sequences.
_BLOCK = 500


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Makes blocks of sequences.

    Attributes:
        config: a `configs.Config` of Moving MNIST.
    """

    config: configs.Config

    def clips(self, source, decoded):
        """Yields the `Clip`s of a block."""
        split, _ = source.media_id.split("/")
        first, count = source.row, int(source.path)
        made = _data(self.config).sequences(split)
        for number, values in enumerate(
            made.sequences(range(first, first + count)), start=first
        ):
            decoded.frames += len(values)
            name = f"{split}/{number:08}"
            yield Clip(name, values, "MNIST", 0, name, source.group)


@functools.lru_cache(maxsize=1)
def _data(config):
    from video_repr.configs.data import Data

    return Data.of(config)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write Moving MNIST into a dataset directory.

    Attributes:
        output: where the dataset goes.
        data: what the sequences look like.
        frames: frames of a sequence.
        train: number of training sequences.
        seed: of the training sequences.
        workers: processes on this machine.
    """

    output: Annotated[Output, FLAT]
    data: configs.DataConfig = dataclasses.field(
        default_factory=configs.DataConfig
    )
    frames: int = 20
    train: int = 10_000
    seed: int = 0
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        if self.frames < 2 or self.train < 1:
            raise InputError(
                "Expected at least 2 frames and a training sequence. "
                f"Received: {self.frames} frames, {self.train} sequences"
            )
        if self.data.test_file is not None:
            raise InputError(
                "Expected test sequences to be made. Received: "
                f"--data.test-file {self.data.test_file}"
            )
        engine = Engine(self.workers, tuple(beam_options))
        config = configs.Config(
            data=self.data,
            model=configs.ModelConfig(
                input_frames=1, future_frames=self.frames - 1
            ),
            training=configs.TrainingConfig(seed=self.seed),
        )
        from pipelines.job import Job

        data = _data(config)
        sources = [
            Source(
                str(min(_BLOCK, count - first)),
                f"{split}/{first:08}",
                f"{split}/{first:08}",
                split=split,
                row=first,
            )
            for split, count in (
                ("train", self.train),
                ("validation", self.data.validation_sequences),
                ("test", self.data.test_sequences),
            )
            for first in range(0, count, _BLOCK)
        ]
        size = self.data.frame_size
        features = Features(IMAGE, (size, size))
        Job(
            "pipelines.moving_mnist",
            {
                "config": data.config.to_dict(),
                "digits": data.digits.describe(),
                "train": self.train,
            },
            Sources(tuple(sources)),
            features,
            functools.partial(_write, Sequences(data.config), features),
        ).run(self.output, engine)


def _write(sequences, features, staging):
    import apache_beam as beam

    from pipelines.transforms.write import WriteParts

    return beam.ParDo(WriteParts(sequences, features, staging))


if __name__ == "__main__":
    # Not this module's own names: workers know none of `__main__`.
    from pipelines.moving_mnist import Arguments

    sys.exit(main(Arguments, "pipelines.moving_mnist"))
