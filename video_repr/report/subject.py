"""A pretraining run and what is looked at, read once."""

import dataclasses
import functools

import numpy as np

from video_repr import configs
from video_repr.configs.data import data_of
from video_repr.training import build_model

# Enough for errors of clips to spread, few enough to be quick.
CLIPS = 200


@dataclasses.dataclass(frozen=True)
class Subject:
    """A run, and what is looked at, read once.

    Attributes:
        run: a `runs.Run`.
        config: its `configs.Config`, without which there is nothing to tell.
    """

    run: object
    config: object

    @classmethod
    def of(cls, run):
        """The subject of a `runs.Run`.

        Raises:
            InputError: if it is none, or its config broken.
        """
        return cls(run, run.config())

    @functools.cached_property
    def model(self):
        return self.run.model()

    @functools.cached_property
    def data(self):
        data = data_of(self.config)
        self.run.check_data(data)
        return data

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

    @functools.cached_property
    def frame_shape(self):
        """Of the frames that the model was built for."""
        return tuple(self.model.get_build_config()["input_shape"][2:])

    @property
    def pictures(self):
        """Whether frames can be shown, grey or RGB."""
        shape = self.frame_shape
        return len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)

    @property
    def metric(self):
        """The metric that the model learned by."""
        logistic = self.config.model.output == "logistic"
        return "bce_sum_per_frame" if logistic else "half_sse_per_frame"

    @property
    def on_mnist(self):
        return not isinstance(self.config.data, configs.DatasetConfig)

    @property
    def like_the_papers(self):
        """Whether its numbers can stand beside the paper's of Moving MNIST."""
        model, data = self.config.model, self.config.data
        return (
            self.on_mnist
            and self.metric == "bce_sum_per_frame"
            and (model.input_frames, model.future_frames) == (10, 10)
            and model.future != "none"
            and (data.frame_size, data.digits_per_sequence) == (64, 2)
        )

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
