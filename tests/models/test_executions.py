"""`steps_per_execution`: the same training, with fewer returns to Python."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr import Decoder
from video_repr import Encoder
from video_repr import VideoSeq2Seq
from video_repr.optimizers import with_compiled_update

pytestmark = pytest.mark.slow


def build(steps_per_execution, jit_compile, **options):
    """A model that draws random numbers in a step."""
    keras.utils.set_random_seed(0)
    model = VideoSeq2Seq(
        Encoder((4,), input_dropout=0.1),
        {
            "future": Decoder(
                (4,), 6, output="linear", conditional=True, dropout=0.2
            )
        },
        input_frames=3,
        future_frames=2,
    )
    model.build((2, 5, 6))
    optimizer = keras.optimizers.Nadam(1e-2, global_clipnorm=1.0)
    if not jit_compile:
        optimizer = with_compiled_update(optimizer)
    model.compile(
        optimizer,
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
        **options,
    )
    return model


def batches(count):
    clips = np.random.default_rng(0).standard_normal((2 * count, 5, 6))
    return tf.data.Dataset.from_tensor_slices(clips.astype("float32")).batch(2)


class Executions(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.begun, self.updates = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.begun.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.updates.append(int(self.model.optimizer.iterations.numpy()))


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.hard)]
)
def test_weights_do_not_depend_on_the_steps_of_an_execution(jit_compile):
    """4 divides the 8 steps of an epoch, 3 does not."""
    models, losses, executions = {}, {}, {}
    for steps in (1, 4, 3):
        models[steps], executions[steps] = (
            build(steps, jit_compile),
            Executions(),
        )
        losses[steps] = (
            models[steps]
            .fit(
                batches(20).repeat(),
                epochs=2,
                steps_per_epoch=8,
                callbacks=[executions[steps]],
                verbose=0,
            )
            .history["loss"]
        )
    assert executions[4].begun == 2 * [0, 4]
    assert executions[3].begun == 2 * [0, 3, 6]
    assert executions[3].updates == [3, 6, 8, 11, 14, 16]
    for steps in (4, 3):
        np.testing.assert_allclose(losses[steps], losses[1], rtol=1e-6)
        for one, several in zip(
            models[1].get_weights(), models[steps].get_weights(), strict=True
        ):
            if jit_compile:
                np.testing.assert_array_equal(several, one)
            # TensorFlow joins other operations in the body of a loop.
            np.testing.assert_allclose(several, one, atol=5e-7)
    with pytest.warns(UserWarning, match="ran out of data"):
        models[3].fit(batches(4), steps_per_epoch=5, verbose=0)
    assert models[3].optimizer.iterations.numpy() == 16 + 4


def test_executions_without_graphs():
    one, several = (build(n, False, run_eagerly=True) for n in (1, 3))
    for model in (one, several):
        model.fit(batches(4), steps_per_epoch=4, verbose=0)
    assert several.optimizer.iterations.numpy() == 4
    for a, b in zip(one.get_weights(), several.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
