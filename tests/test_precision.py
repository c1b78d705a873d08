import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr import ActionClassifier
from video_repr import Decoder
from video_repr import Encoder
from video_repr import InputError
from video_repr import VideoSeq2Seq
from video_repr._quiet import import_tensorflow
from video_repr.machine import made
from video_repr.precision import in_precision
from video_repr.precision import set_precision


def in_use():
    return (
        keras.config.dtype_policy().name,
        tf.config.experimental.tensor_float_32_execution_enabled(),
    )


def test_the_tests_are_in_float32():
    assert in_use() == ("float32", False)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("float32", ("float32", False)),
        ("tf32", ("float32", True)),
        ("mixed_bfloat16", ("mixed_bfloat16", False)),
        ("mixed_float16", ("mixed_float16", False)),
    ],
)
def test_each_precision_is_set_recorded_and_put_back(precision, expected):
    with in_precision("mixed_bfloat16" if precision == "tf32" else "tf32"):
        before = in_use()
        with in_precision(precision):
            assert in_use() == expected
            about = made()
            assert (about["precision"], about["tf32"]) == expected
        assert in_use() == before
    assert in_use() == ("float32", False)


def test_programs_begin_in_float32():
    with in_precision("tf32"):
        import_tensorflow()
        assert in_use() == ("float32", False)


def test_another_precision_changes_nothing():
    with pytest.raises(
        InputError, match=r"of float32, tf32, mixed_.*Received: 'bfloat16'"
    ):
        set_precision("bfloat16")
    assert in_use() == ("float32", False)


def autoencoder(layers, model):
    return VideoSeq2Seq(
        Encoder((3,), dtype=layers),
        {"reconstruction": Decoder((3,), 4, dtype=layers)},
        input_frames=2,
        dtype=model,
    )


def classifier(layers, model):
    return ActionClassifier(Encoder((3,), dtype=layers), 2, dtype=model)


@pytest.mark.parametrize("make", [autoencoder, classifier])
def test_float16_needs_loss_scaling(make):
    for layers, model, options in (
        ("mixed_float16", "mixed_float16", {"auto_scale_loss": False}),
        # Keras looks at the model only.
        ("mixed_float16", "float32", {}),
        ("float16", "float16", {}),
    ):
        with pytest.raises(
            ValueError, match=rf"loss scaling .*Received: Adam, .*'{model}'"
        ):
            make(layers, model).compile("adam", **options)
    make("mixed_float16", "mixed_float16").compile("adam")
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    make("mixed_float16", "float32").compile(scaled)
    make("mixed_bfloat16", "mixed_bfloat16").compile("adam")


@pytest.mark.gpu
@pytest.mark.parametrize("jit_compile", [False, True])
def test_products_on_a_gpu(rng, jit_compile):
    """TF32 has 10 bits of a fraction, float32 has 23."""
    a, b = rng.standard_normal((2, 512, 512)).astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)

    def worst(precision):
        with in_precision(precision):
            multiply = tf.function(tf.matmul, jit_compile=jit_compile)
            return np.abs(multiply(a, b) - exact).max()

    assert worst("float32") < 1e-3
    device = tf.config.list_physical_devices("GPU")[0]
    details = tf.config.experimental.get_device_details(device)
    if details["compute_capability"] >= (8, 0):
        assert worst("tf32") > 5e-3
