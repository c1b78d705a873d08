"""One step of the peephole LSTM with convolutions."""

import keras
import tensorflow as tf

from video_repr.errors import InputError
from video_repr.layers.peephole_lstm_cell import PeepholeLSTMCell


@keras.saving.register_keras_serializable(package="video_repr")
class PeepholeConvLSTMCell(PeepholeLSTMCell):
    r"""One step of the peephole LSTM, applied convolutionally.

    The equations of `PeepholeLSTMCell`, where * is a convolution over rows and
    columns (paper, section 4; Shi et al. 2015) and w_c are peepholes:

        i_t = sigm(W_xi * x_t + W_hi * h_{t-1} + w_ci c_{t-1} + b_i)

    and so on. The weights are packed in the gate order of
    `keras.layers.ConvLSTM2D`:

        kernel            [height, width, channels, 4 * filters]
        recurrent_kernel  [height, width, filters, 4 * filters]
        peephole          [3, filters] or [3, rows, columns, filters]
        bias              [4 * filters]

    With all peepholes zero the cell is Keras's ConvLSTM2D. A cell built for
    inputs of zero channels has no kernel: it runs on its recurrence alone. In
    mixed precision the cell is float32.

    Arguments have the names and the order of `keras.layers.ConvLSTM2D`'s.
    Defaults that are not Keras's, and what brings those:

        padding                 "same"; no other
        kernel_initializer      "glorot_uniform"
        recurrent_initializer   "orthogonal"
        unit_forget_bias        True
        variational_dropout     True

    Args:
        filters: number of channels of the state.
        kernel_size: height and width of the kernels, or a number for both.
        strides: 1; no other: the state has the grid of the input.
        padding: "same"; no other.
        data_format: "channels_last"; no other.
        dilation_rate: of the input's kernel, a number or a pair.
        activation: "tanh"; no other.
        recurrent_activation: "sigmoid"; no other.
        use_bias: whether the gates have biases.
        kernel_initializer: as for `PeepholeLSTMCell`, as all that follow.
        recurrent_initializer: ...
        bias_initializer: ...
        unit_forget_bias: ...
        kernel_regularizer: ...
        recurrent_regularizer: ...
        bias_regularizer: ...
        kernel_constraint: ...
        recurrent_constraint: ...
        bias_constraint: ...
        dropout: ...
        recurrent_dropout: ...
        seed: ...
        peepholes: "channel" for a peephole a channel, which fits every grid;
            "full" for one of every value of the state, which fits the grid that
            it was built for; None for none.
        **kwargs: as for `PeepholeLSTMCell`.

    Call arguments:
        inputs: `[batch, rows, columns, channels]`.
        states: `[h, c]`, each `[batch, rows, columns, filters]`.
        training: whether dropout is active.

    Returns:
        `(h, [h, c])`, each `[batch, rows, columns, filters]`.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="same",
        data_format=None,
        dilation_rate=1,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer=None,
        recurrent_initializer=None,
        bias_initializer="zeros",
        unit_forget_bias=False,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        *,
        peepholes="channel",
        **kwargs,
    ):
        super().__init__(
            filters,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            unit_forget_bias,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            **kwargs,
        )
        self.kernel_size = _pair("kernel_size", kernel_size)
        self.dilation_rate = _pair("dilation_rate", dilation_rate)
        self.strides = _pair("strides", strides)
        self.padding = padding
        self.data_format = data_format or "channels_last"
        for name, only in (
            ("strides", (1, 1)),
            ("padding", "same"),
            ("data_format", "channels_last"),
        ):
            if getattr(self, name) != only:
                raise ValueError(
                    f"{name} must be {only!r}: the state has the grid of the "
                    f"input. Received: {name}={getattr(self, name)!r}"
                )
        if peepholes not in ("channel", "full", None):
            raise ValueError(
                'peepholes must be "channel", "full" or None. Received: '
                f"peepholes={peepholes!r}"
            )
        self.peepholes = peepholes

    @property
    def filters(self):
        """Number of channels of the state."""
        return self.units

    def build(self, input_shape):
        *_, rows, columns, channels = input_shape
        if channels is None or len(input_shape) != 4:
            raise ValueError(
                f"{type(self).__name__} reads pictures [batch, rows, columns, "
                "channels], of a fixed number of channels. Received: "
                f"input_shape={tuple(input_shape)}"
            )
        self.features = channels
        # Of the states before the first step, and of full peepholes.
        self.grid = rows, columns
        self.kernel = self.bias = self.peephole = None
        if channels:
            self.kernel = self._weight(
                "kernel", (*self.kernel_size, channels, 4 * self.units)
            )
        self.recurrent_kernel = self._weight(
            "recurrent_kernel", (*self.kernel_size, self.units, 4 * self.units)
        )
        if self.peepholes == "full" and None in self.grid:
            raise ValueError(
                "Full peepholes need a fixed grid. Received: input_shape="
                f"{tuple(input_shape)}"
            )
        if self.peepholes is not None:
            grid = self.grid if self.peepholes == "full" else ()
            # With the cell, not in the precision of the products.
            self.peephole = self._weight(
                "peephole", (3, *grid, self.units), autocast=False
            )
        if self.use_bias:
            self.bias = self._weight(
                "bias", (4 * self.units,), self._initial_bias
            )

    @property
    def cell_dtype(self):
        """What c is computed in."""
        return self.variable_dtype

    def gate_peepholes(self):
        """The peepholes of the input, forget and output gates."""
        if self.peephole is None:
            return tf.zeros((3, self.units), self.cell_dtype)
        return tf.convert_to_tensor(self.peephole)

    def _input_product(self, inputs):
        images, shape = inputs, keras.ops.shape(inputs)
        if self._are_all_steps(inputs):
            # One convolution for all steps.
            images = tf.reshape(inputs, (-1, *shape[2:]))
        product = tf.nn.conv2d(
            images,
            tf.convert_to_tensor(self.kernel),
            1,
            "SAME",
            dilations=self.dilation_rate,
        )
        return tf.reshape(product, (*shape[:-1], 4 * self.units))

    def recurrent_product(self, h, kernel):
        """What h adds to the gates, by the recurrent weights."""
        return tf.nn.conv2d(h, kernel, 1, "SAME")

    # Keras's RNN calls it by this name.
    def get_initial_state(self, batch_size=None):
        if None in self.grid:
            raise InputError(
                "Expected initial states, or a fixed grid. Received: pictures "
                f"of {self.grid[0]} x {self.grid[1]}"
            )
        return self._zeros(batch_size, *self.grid)

    def zeros_for(self, sequences):
        """The states before a batch of sequences."""
        batch, _, rows, columns, _ = keras.ops.shape(sequences)
        return self._zeros(batch, rows, columns)

    def _zeros(self, batch, rows, columns):
        shape = batch, rows, columns, self.units
        return [
            keras.ops.zeros(shape, dtype)
            for dtype in (self.compute_dtype, self.cell_dtype)
        ]

    def compute_output_shape(self, input_shape, states_shape=None):
        shape = (*input_shape[:-1], self.units)
        return shape, [shape, shape]

    def get_config(self):
        config = super().get_config()
        return {
            "filters": config.pop("units"),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "peepholes": self.peepholes,
            **config,
        }


def _pair(name, value):
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v > 0 for v in pair):
        raise ValueError(
            f"{name} must be a positive integer or two. Received: "
            f"{name}={value!r}"
        )
    return pair
