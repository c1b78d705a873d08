"""The precision of computing: Keras's dtype policy and TensorFlow's TF32."""

import contextlib
import typing

import keras
import tensorflow as tf

from video_repr.configs.config import Precision
from video_repr.configs.config import policy_of
from video_repr.errors import InputError

__all__ = ["set_precision"]


def set_precision(precision):
    """Sets the precision of all that is computed from now on.

    It sets Keras's dtype policy, which layers take when they are made, and
    whether TensorFlow may round the inputs of float32 products to TF32, which
    it does on GPUs unless told otherwise. TensorFlow's switch is for the whole
    process: it also changes models that exist, and those of other packages.
    CPUs have no TF32.

    >>> set_precision("tf32")

    Args:
        precision: "float32" is float32 on every device, "tf32" is float32 with
            TF32; "mixed_bfloat16" and "mixed_float16" are Keras's policies,
            what stays in float32 is float32.

    Raises:
        InputError: for another precision.
    """
    known = typing.get_args(Precision)
    if precision not in known:
        raise InputError(
            f"Expected a precision of {', '.join(known)}. Received: "
            f"{precision!r}"
        )
    keras.config.set_dtype_policy(policy_of(precision))
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")


@contextlib.contextmanager
def in_precision(precision):
    """Sets the precision while the block runs.

    Args:
        precision: as for `set_precision`.
    """
    policy = keras.config.dtype_policy()
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    set_precision(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
