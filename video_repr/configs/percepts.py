"""Percepts of films, and natural patches: learning without labels."""

from video_repr.configs.config import DatasetConfig
from video_repr.configs.config import DatasetRun
from video_repr.configs.config import ModelConfig
from video_repr.configs.config import TrainingConfig


def percepts():
    """A composite LSTM on rectified percepts, for two CPU cores.

    Command: `video-repr pretrain percepts --data.path data/percepts/1`.
    On the percepts of `python -m benchmarks.transfer`, 526 videos, it takes 2
    to 3 minutes on 2 cores of an AMD EPYC. With seed 0 expect a
    mse_sum_per_frame of the future of 2176 on the test videos, beside 1301 of
    the last frame repeated and 3347 of the mean frame: it ends where it serves
    a classifier, long before it predicts best.
    """
    return DatasetRun(
        data=DatasetConfig("data/percepts/1", stride=3),
        model=ModelConfig(
            input_frames=13,
            future_frames=9,
            output="rectified",
            output_bias=0.0,
            forget_bias=1.0,
        ),
        # Longer or faster it fits a few hundred videos better, and says less
        # of their classes.
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
    return DatasetRun(
        data=DatasetConfig("data/percepts/1"),
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

    Command: `video-repr pretrain patches --data.path data/films/1`; of a short
    film it is `saved_models/patches`.
    Expect a half_sse_per_frame of the future of 665 there with seed 0, as of
    the last frame repeated, and 1,356 of the mean frame, after 20 minutes on
    one of 2 cores of an AMD EPYC.
    """
    return DatasetRun(
        data=DatasetConfig("data/films/1"),
        model=ModelConfig(
            units=(192,),
            input_frames=16,
            future_frames=13,
            output="linear",
            output_bias=0.0,
        ),
        # Longer, it learns a short film by heart.
        training=TrainingConfig(
            epochs=5, steps_per_epoch=500, learning_rate=1e-3
        ),
    )


CONFIGS = (percepts, percepts_2x2048, patches)
