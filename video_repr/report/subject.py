"""A pretraining run and what is looked at, read once."""

import dataclasses
import functools

import numpy as np

from video_repr import configs
from video_repr import visualization
from video_repr.configs.data import data_of
from video_repr.training import build_model

# Enough for errors of clips to spread, few enough to be quick.
CLIPS = 200


@dataclasses.dataclass(frozen=True)
class Subject:
    """A run, and what is looked at, read once.

    Attributes:
        run: a `runs.Run`.
    """

    run: object

    @functools.cached_property
    def config(self):
        return self.run.config()

    @functools.cached_property
    def model(self):
        return self.run.model()

    @functools.cached_property
    def data(self):
        return data_of(self.config)

    @functools.cached_property
    def clips(self):
        return self.data.test()[:CLIPS]

    @functools.cached_property
    def predictions(self):
        """What the model makes of the clips, by branch."""
        return {
            branch: np.clip(frames, 0, 1) if self.pictures else frames
            for branch, frames in self.model.predict(
                self.clips, verbose=0
            ).items()
        }

    @property
    def pictures(self):
        return visualization.are_pictures(self.clips)

    @property
    def on_mnist(self):
        return not isinstance(self.config.data, configs.DatasetConfig)

    @property
    def encoder(self):
        return self.model.encoder

    @functools.cached_property
    def untrained(self):
        """The model as the run began."""
        return self.untrained_with()

    def untrained_with(self, **options):
        """The untrained model of other options of `configs.ModelConfig`."""
        config = self.config
        return build_model(
            dataclasses.replace(
                config,
                model=dataclasses.replace(config.model, **options),
                training=dataclasses.replace(
                    config.training, precision="float32"
                ),
            )
        )
