"""The peephole LSTM with convolutions, over whole sequences."""

import keras
import tensorflow as tf

from video_repr.layers import conv_recurrence
from video_repr.layers.peephole_conv_lstm_cell import PeepholeConvLSTMCell
from video_repr.layers.peephole_rnn import PeepholeRNN
from video_repr.layers.peephole_rnn import of_cell
from video_repr.layers.trainable import hand_down


@keras.saving.register_keras_serializable(package="video_repr")
class PeepholeConvLSTM(PeepholeRNN):
    """A convolutional peephole LSTM over a whole sequence of pictures.

    Equal to `keras.layers.RNN(PeepholeConvLSTMCell(filters, kernel_size))`,
    weights included, and faster: the input's convolution is one for all steps,
    and so is the gradient of each kernel. With peepholes of zero it is
    `keras.layers.ConvLSTM2D`. Equations, weight packing and the defaults that
    are not Keras's are in `PeepholeConvLSTMCell`.

    Example:
    >>> frames = np.random.rand(2, 10, 16, 16, 3).astype("float32")
    >>> PeepholeConvLSTM(8, 3)(frames).shape
    TensorShape([2, 16, 16, 8])

    A sequence of zero channels, `[batch, time, rows, columns, 0]`, runs the
    recurrence without input.

    Args:
        filters: number of channels of the state. This and all that follow, up
            to `seed`, as for `PeepholeConvLSTMCell`, in the order of
            `keras.layers.ConvLSTM2D`.
        kernel_size: ...
        strides: ...
        padding: ...
        data_format: ...
        dilation_rate: ...
        activation: ...
        recurrent_activation: ...
        use_bias: ...
        kernel_initializer: ...
        recurrent_initializer: ...
        bias_initializer: ...
        unit_forget_bias: ...
        kernel_regularizer: ...
        recurrent_regularizer: ...
        bias_regularizer: ...
        activity_regularizer: regularizer of the outputs.
        kernel_constraint: ...
        recurrent_constraint: ...
        bias_constraint: ...
        dropout: ...
        recurrent_dropout: ...
        seed: ...
        return_sequences: whether to return the output of every step rather
            than the last.
        return_state: whether to return the last h and c as well.
        go_backwards: whether to read the sequence from its end; the outputs
            are in the order in which it is read.
        stateful: whether a batch goes on from the states of the batch before,
            until `reset_state`.
        peepholes: as for `PeepholeConvLSTMCell`, as all that follow.
        peephole_initializer: ...
        peephole_regularizer: ...
        peephole_constraint: ...
        forget_bias: ...
        variational_dropout: ...
        **kwargs: as for `keras.layers.RNN`.

    Call arguments:
        sequences: `[batch, time, rows, columns, channels]`, time at least 1,
            floating point.
        initial_state: `[h, c]`, each `[batch, rows, columns, filters]`; zeros
            when None.
        mask: `[batch, time]`, the steps that are read, as for `PeepholeLSTM`.
        training: whether dropout is active.

    Returns:
        `[batch, rows, columns, filters]`, or `[batch, time, rows, columns,
        filters]` with `return_sequences`; with `return_state` the tuple of
        that, h and c.
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
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        *,
        peepholes="channel",
        peephole_initializer="zeros",
        peephole_regularizer=None,
        peephole_constraint=None,
        forget_bias=0.0,
        variational_dropout=False,
        **kwargs,
    ):
        cell = PeepholeConvLSTMCell(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            peepholes=peepholes,
            peephole_initializer=peephole_initializer,
            peephole_regularizer=peephole_regularizer,
            peephole_constraint=peephole_constraint,
            forget_bias=forget_bias,
            variational_dropout=variational_dropout,
            dtype=kwargs.get("dtype"),
            name="cell",
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        hand_down(self)

    filters = of_cell("filters")
    kernel_size = of_cell("kernel_size")
    strides = of_cell("strides")
    padding = of_cell("padding")
    data_format = of_cell("data_format")
    dilation_rate = of_cell("dilation_rate")
    peepholes = of_cell("peepholes")

    def build(self, sequences_shape, initial_state_shape=None):
        if len(sequences_shape) != 5:
            raise ValueError(
                "PeepholeConvLSTM reads sequences of shape [batch, time, rows, "
                f"columns, channels]. Received: {tuple(sequences_shape)}"
            )
        super().build(sequences_shape)

    def recur(self, *args, **kwargs):
        return conv_recurrence.peephole_conv_lstm(
            *args, unroll=self.unroll, **kwargs
        )

    def check(self, sequences, initial_state):
        if isinstance(sequences, tf.RaggedTensor):
            raise ValueError(
                "PeepholeConvLSTM reads dense sequences; of ragged ones "
                "sequences.to_tensor() with mask=tf.sequence_mask("
                "sequences.row_lengths()). Received: a RaggedTensor"
            )
        shape = tuple(sequences.shape)
        batch, time, *grid, channels = shape
        if time == 0 or 0 in grid:
            raise ValueError(
                "PeepholeConvLSTM needs at least one time step of at least one "
                f"pixel. Received: sequences of shape {shape}"
            )
        if self.unroll and time is None:
            raise ValueError(
                "unroll=True needs a fixed number of steps. Received: "
                f"sequences of shape {shape}"
            )
        if channels != self.cell.features:
            raise ValueError(
                "PeepholeConvLSTM was built for pictures of "
                f"{self.cell.features} channels. Received: sequences of shape "
                f"{shape}"
            )
        if self.peepholes == "full" and tuple(grid) != self.cell.grid:
            rows, columns = self.cell.grid
            raise ValueError(
                f"PeepholeConvLSTM has full peepholes for {rows} x {columns}. "
                f"Received: sequences of shape {shape}"
            )
        if self.stateful and batch not in (None, self.states[0].shape[0]):
            raise ValueError(
                "A stateful PeepholeConvLSTM reads batches of one size, "
                f"{self.states[0].shape[0]}. Received: sequences of shape "
                f"{shape}"
            )
        if initial_state is None:
            return
        shapes = [tuple(state.shape) for state in initial_state]
        wanted = tf.TensorShape([None, *grid, self.filters])
        if len(shapes) != 2 or not all(map(wanted.is_compatible_with, shapes)):
            raise ValueError(
                "initial_state must be [h, c], each of shape [batch, "
                f"{', '.join(map(str, wanted[1:]))}]. Received shapes: {shapes}"
            )

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, time, *grid, _ = sequences_shape
        state = (batch, *grid, self.filters)
        output = (batch, time, *state[1:]) if self.return_sequences else state
        return (output, state, state) if self.return_state else output
