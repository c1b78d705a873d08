"""The optimizer that classifiers are fine-tuned with."""

import keras


@keras.saving.register_keras_serializable(package="video_repr")
class LayerwiseAdam(keras.optimizers.Adam):
    """Adam with other learning rates for some of the weights.

    Args:
        factors: of the learning rate, by what the paths of variables begin
            with.
        **kwargs: as for `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=1e-3, *, factors=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.factors = dict(factors or {})

    def update_step(self, gradient, variable, learning_rate):
        # TensorFlow's own variable has no path.
        index = self._get_variable_index(variable)
        name = self._trainable_variables[index].path
        for path, factor in self.factors.items():
            if name.startswith(path):
                learning_rate = learning_rate * factor
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "factors": self.factors}
