"""Models that can go on training after loading."""

import keras
import tensorflow as tf

from video_repr.optimizers import with_compiled_update


class LoadsCompiled:
    """Mixin for models that override `compile`.

    Keras does not compile such models when it loads them.
    """

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        if config.pop("jit_update", False):
            # Before 0.2 this was an argument of `compile`.
            config["optimizer"] = with_compiled_update(config["optimizer"])
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            # A model saved on one device may have it set.
            config["jit_compile"] = False
        self.compile(**config)
        if self.built:
            self.optimizer.build(self.trainable_variables)
