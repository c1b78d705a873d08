"""Output shapes of layers, for Keras."""

import keras


class ComputesOutputShape:
    """Mixin for layers that have a `compute_output_shape`.

    `model.summary` and `TimeDistributed` use that method. Given one, Keras
    would use it in functional models too, in place of the call. But there the
    result depends on other arguments, and inputs must be checked, so
    `compute_output_spec` runs the call itself.
    """

    def compute_output_spec(self, *args, **kwargs):
        return keras.Operation.compute_output_spec(self, *args, **kwargs)
