"""Models that can go on training after loading."""

import keras

from video_repr.optimizers import with_compiled_update


def check_loss_scaling(model, *layers):
    """Refuses a compiled model whose gradients would vanish in float16.

    Args:
        model: the model.
        *layers: those of its layers that have a dtype of their own.

    Raises:
        ValueError: if one computes in float16, and the optimizer does not scale
            the loss.
    """
    if any(
        layer.compute_dtype == "float16" for layer in (model, *layers)
    ) and not isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "Expected loss scaling for a model that computes in float16: "
            "auto_scale_loss=True and dtype 'mixed_float16' of the model, or "
            "a keras.optimizers.LossScaleOptimizer. Received: "
            f"{type(model.optimizer).__name__}, and a model of dtype "
            f"{model.dtype_policy.name!r}"
        )


class LoadsCompiled:
    """Mixin for models that override `compile`.

    Keras does not compile such models when it loads them.
    """

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        if config.pop("jit_update", False):
            # Before 0.2 this was an argument of `compile`.
            config["optimizer"] = with_compiled_update(config["optimizer"])
        self.compile(**config)
        if self.built:
            self.optimizer.build(self.trainable_variables)
