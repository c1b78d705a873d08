"""A pretraining run, with its model, data and predictions, read once."""

import dataclasses
import functools

import numpy as np

from video_repr.data.run_data import load_data
from video_repr.training import build_model

# Enough to have easy and hard clips, few enough to be quick.
CLIPS = 200


@dataclasses.dataclass(frozen=True)
class Subject:
    """A run, with its model, data and predictions, read once.

    Attributes:
        run: a `runs.Run`.
        config: its `configs.Config`.
    """

    run: object
    config: object

    @classmethod
    def of(cls, run):
        """The subject of a `runs.Run`.

        Raises:
            InputError: if it is not a run, or its config is broken.
        """
        return cls(run, run.config())

    @functools.cached_property
    def model(self):
        return self.run.model()

    @functools.cached_property
    def data(self):
        data = load_data(self.config)
        self.run.check_data(data)
        return data

    @functools.cached_property
    def clips(self):
        return self.data.test()[:CLIPS]

    @functools.cached_property
    def predictions(self):
        """The model's outputs for the clips, by branch."""
        return {
            branch: np.clip(frames, 0, 1) if self.pictures else frames
            for branch, frames in self.model.predict(
                self.clips, verbose=0
            ).items()
        }

    @functools.cached_property
    def frame_shape(self):
        """Shape of the frames that the model was built for."""
        return tuple(self.model.get_build_config()["input_shape"][2:])

    @property
    def pictures(self):
        """Whether frames can be shown, grey or RGB."""
        shape = self.frame_shape
        return len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)

    @property
    def metric(self):
        """The metric that corresponds to the model's loss."""
        logistic = self.config.model.output == "logistic"
        return "bce_sum_per_frame" if logistic else "half_sse_per_frame"

    @property
    def on_mnist(self):
        return self.config.data.kind == "moving_mnist"

    @property
    def like_the_papers(self):
        """Whether its metrics are comparable with the paper's Moving MNIST."""
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
        """The model with its initial weights."""
        return self.untrained_with()

    def untrained_with(self, **options):
        """The untrained model with other options of `configs.ModelConfig`."""
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
