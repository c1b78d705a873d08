"""Writes Moving MNIST as a dataset directory.

    python -m pipelines.moving_mnist --output data/moving_mnist/1

The sequences are the same as `video_repr.data.MovingMNIST` makes on the fly.
Beam's options follow `--`.
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
from video_repr.ranges import check_ranges

# Number of sequences in a source.
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
        first, count = source.row, source.rows
        made = _data(self.config).sequences(split)
        for number, values in enumerate(
            made.sequences(range(first, first + count)), start=first
        ):
            decoded.frames += len(values)
            name = f"{split}/{number:08}"
            yield Clip(name, values, "MNIST", 0, name, source.group)


@functools.lru_cache(maxsize=1)
def _data(config):
    from video_repr.data.run_data import MovingMNISTData

    return MovingMNISTData.of(config)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write Moving MNIST into a dataset directory.

    Attributes:
        output: the dataset to write.
        data: digits, motion, and numbers of held-out sequences.
        frames: frames of a sequence.
        train: number of training sequences.
        seed: random seed of the training sequences.
        workers: processes on this machine.
    """

    output: Annotated[Output, FLAT]
    data: configs.MovingMNISTConfig = dataclasses.field(
        default_factory=configs.MovingMNISTConfig
    )
    frames: int = 20
    train: int = 10_000
    seed: int = 0
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        check_ranges(self, frames="[2, inf)", train="[1, inf)")
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
                # They have no path.
                path=f"{split}/{first:08}",
                media_id=f"{split}/{first:08}",
                group=f"{split}/{first:08}",
                split=split,
                row=first,
                rows=min(_BLOCK, count - first),
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
                # Without "kind", as before 0.2.
                "config": dataclasses.asdict(data.config),
                "digits": data.digits.describe(),
                "train": self.train,
            },
            Sources(tuple(sources)),
            features,
            functools.partial(_write, Sequences(data.config), features),
        ).run(self.output, engine)


def _write(sequences, features, staging):
    import apache_beam as beam

    from pipelines.transforms.parts import WriteParts

    return beam.ParDo(WriteParts(sequences, features, staging))


if __name__ == "__main__":
    # Imported again, as workers do not know the names of `__main__`.
    from pipelines.moving_mnist import Arguments

    sys.exit(main(Arguments, "pipelines.moving_mnist"))
