"""Optimizers: layer-wise learning rates, and updates that XLA compiles."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="video_repr")
class LayerwiseAdam(keras.optimizers.Adam):
    """Adam with other learning rates for some of the weights.

    Args:
        factors: dict from the beginning of variables' paths to a factor of the
            learning rate.
        **kwargs: as for `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=1e-3, *, factors=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.factors = dict(factors or {})

    def update_step(self, gradient, variable, learning_rate):
        # TensorFlow's variables have no path.
        index = self._get_variable_index(variable)
        name = self._trainable_variables[index].path
        for path, factor in self.factors.items():
            if name.startswith(path):
                learning_rate = learning_rate * factor
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "factors": self.factors}


class _CompiledUpdate:
    """Mixin for optimizers whose update XLA compiles.

    Use it for a step that XLA does not compile, such as one in bfloat16 on a
    CPU, which XLA would make slower. Without XLA an update reads and writes
    every weight and moment many times, once an operation. In a strategy of
    several replicas it is used by the models of this package; others use the
    optimizer's normal update.
    """

    def apply(self, grads, trainable_variables=None):
        update = super().apply
        if tf.executing_eagerly() or tf.distribute.has_strategy():
            return update(grads, trainable_variables)
        if not self.built:
            # XLA cannot make variables.
            with tf.init_scope():
                self.build(trainable_variables)
        tf.function(
            lambda grads: update(grads, trainable_variables), jit_compile=True
        )(grads)
        return self.iterations


@keras.saving.register_keras_serializable(package="video_repr")
class CompiledNadam(_CompiledUpdate, keras.optimizers.Nadam):
    """`keras.optimizers.Nadam`, whose update XLA compiles."""


@keras.saving.register_keras_serializable(package="video_repr")
class CompiledAdam(_CompiledUpdate, keras.optimizers.Adam):
    """`keras.optimizers.Adam`, whose update XLA compiles."""


@keras.saving.register_keras_serializable(package="video_repr")
class CompiledRMSprop(_CompiledUpdate, keras.optimizers.RMSprop):
    """`keras.optimizers.RMSprop`, whose update XLA compiles."""


_COMPILED = {
    keras.optimizers.Nadam: CompiledNadam,
    keras.optimizers.Adam: CompiledAdam,
    keras.optimizers.RMSprop: CompiledRMSprop,
}


def with_compiled_update(optimizer):
    """A copy of an unbuilt optimizer whose update XLA compiles.

    Raises:
        ValueError: if it is not Nadam, Adam or RMSprop.
    """
    kind = _COMPILED.get(type(optimizer))
    if kind is None:
        known = ", ".join(of.__name__ for of in _COMPILED)
        raise ValueError(
            f"XLA compiles the updates of {known}. Received: "
            f"{type(optimizer).__name__}"
        )
    return kind.from_config(optimizer.get_config())
