"""What Keras asks for the shapes that a model returns."""

import keras


class TellsShapes:
    """Mixin for layers that have a `compute_output_shape`.

    `model.summary`, `keras.utils.plot_model` and `TimeDistributed` ask that.
    Keras would ask nothing else any more when a layer is called in a
    functional model, where what it returns depends on its other arguments and
    what it is given is looked at: there the call itself answers.
    """

    def compute_output_spec(self, *args, **kwargs):
        return keras.Operation.compute_output_spec(self, *args, **kwargs)
