"""Models that go on training when they are loaded."""

import keras
import tensorflow as tf


class LoadsCompiled:
    """Mixin for models that override `compile`.

    Keras leaves it to them to compile what is loaded.
    """

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            # Nobody asks for it who loads what one device has saved.
            config["jit_compile"] = False
        self.compile(**config)
        if self.built:
            self.optimizer.build(self.trainable_variables)
