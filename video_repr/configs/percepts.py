"""Percepts of films, and natural patches: learning without labels."""

from video_repr.configs.config import ClipDatasetConfig
from video_repr.configs.config import Config
from video_repr.configs.config import ModelConfig
from video_repr.configs.config import TrainingConfig


def percepts():
    """A composite LSTM on rectified percepts, for two CPU cores.

    Command: `video-repr pretrain percepts --data.path data/percepts/1`.
    On the percepts of `python -m benchmarks.transfer`, 526 videos, it takes 2
    to 3 minutes on 2 cores of an AMD EPYC. With seed 0 expect a
    mse_sum_per_frame of the future of 2176 on the test videos, compared with
    1301 for the last frame repeated and 3347 for the mean frame: the training
    ends when the encoder is useful for a classifier, long before its
    predictions are best.
    """
    return Config(
        data=ClipDatasetConfig("data/percepts/1", stride=3),
        model=ModelConfig(
            input_frames=13,
            future_frames=9,
            output="rectified",
            output_bias=0.0,
            forget_bias=1.0,
        ),
        # With more updates or a higher rate it fits a few hundred videos
        # better, and its states tell less about their classes.
        training=TrainingConfig(
            epochs=8,
            steps_per_epoch=30,
            learning_rate=3e-4,
            schedule="constant",
        ),
    )


def percepts_2x2048():
    """The paper's composite on percepts, 2x2048, 16 frames in, 13 out.

    Command: `video-repr pretrain percepts-2x2048 --data.path PATH`.
    Not trained here. An update takes 3.3 s on 2 cores of an AMD EPYC (work
    (b) of `python -m benchmarks.train_step`), the whole run 45 hours: it is
    meant for a GPU.
    """
    return Config(
        data=ClipDatasetConfig("data/percepts/1"),
        model=ModelConfig(
            units=(2048, 2048),
            input_frames=16,
            future_frames=13,
            output="rectified",
            output_bias=0.0,
        ),
        training=TrainingConfig(
            epochs=100, steps_per_epoch=500, learning_rate=1e-3
        ),
    )


def patches():
    """A composite of 192 units on patches of 32 px of films.

    Command: `video-repr pretrain patches --data.path data/films/1`; trained on
    a short film, its export is `saved_models/patches`.
    There expect a half_sse_per_frame of the future of 665 with seed 0, the same
    as for the last frame repeated, compared with 1,356 for the mean frame,
    after 20 minutes on one of 2 cores of an AMD EPYC.
    """
    return Config(
        data=ClipDatasetConfig("data/films/1"),
        model=ModelConfig(
            units=(192,),
            input_frames=16,
            future_frames=13,
            output="linear",
            output_bias=0.0,
        ),
        # With more updates it overfits a short film.
        training=TrainingConfig(
            epochs=5, steps_per_epoch=500, learning_rate=1e-3
        ),
    )


CONFIGS = (percepts, percepts_2x2048, patches)
