"""The LSTM with peephole connections of the paper, over whole sequences."""

import keras
import tensorflow as tf

from video_repr.layers import recurrence
from video_repr.layers.peephole_lstm_cell import PeepholeLSTMCell
from video_repr.layers.peephole_rnn import PeepholeRNN
from video_repr.layers.peephole_rnn import of_cell
from video_repr.layers.trainable import hand_down


@keras.saving.register_keras_serializable(package="video_repr")
class PeepholeLSTM(PeepholeRNN):
    """A peephole LSTM over a whole sequence, used like `keras.layers.LSTM`.

    Equal to `keras.layers.RNN(PeepholeLSTMCell(units))`, weights included,
    and faster: the input projection of all steps is one matrix product, and
    so is the gradient of each weight matrix over all steps. Equations, weight
    packing and the defaults that are not Keras's are in `PeepholeLSTMCell`.

    Example:
    >>> frames = np.random.rand(8, 10, 4096).astype("float32")
    >>> PeepholeLSTM(512)(frames).shape
    TensorShape([8, 512])
    >>> layer = PeepholeLSTM(512, return_sequences=True, return_state=True)
    >>> sequence, h, c = layer(frames)
    >>> sequence.shape
    TensorShape([8, 10, 512])

    A sequence of zero features, `[batch, time, 0]`, runs the recurrence
    without input for `time` steps:

    >>> unrolled = PeepholeLSTM(512, return_sequences=True)(
    ...     np.zeros((8, 20, 0), "float32"), initial_state=[h, c])
    >>> unrolled.shape
    TensorShape([8, 20, 512])

    Args:
        units: number of units. This and all that follow, up to `seed`, as for
            `PeepholeLSTMCell`, in the order of `keras.layers.LSTM`.
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
        unroll: whether to trace the steps one after another rather than as a
            loop, which is faster for few steps but slow to compile.
        peephole_initializer: as for `PeepholeLSTMCell`, as all that follow.
        peephole_regularizer: ...
        peephole_constraint: ...
        forget_bias: ...
        variational_dropout: ...
        **kwargs: as for `keras.layers.RNN`; `use_cudnn` and `implementation`
            have no effect.

    Call arguments:
        sequences: `[batch, time, features]`, time at least 1, floating point.
        initial_state: `[h, c]`, each `[batch, units]`; zeros when None.
        mask: `[batch, time]`, true for the steps to read. At others the state
            does not change and the output is that of the step before, as in
            Keras.
        training: whether dropout is active.

    Returns:
        `[batch, units]`, or `[batch, time, units]` with `return_sequences`;
        with `return_state` the tuple of that, h and c.
    """

    def __init__(
        self,
        units,
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
        unroll=False,
        *,
        peephole_initializer="zeros",
        peephole_regularizer=None,
        peephole_constraint=None,
        forget_bias=0.0,
        variational_dropout=False,
        **kwargs,
    ):
        # Of Keras's LSTM, which chooses among programs by them.
        for name in ("use_cudnn", "implementation"):
            kwargs.pop(name, None)
        cell = PeepholeLSTMCell(
            units,
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
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        hand_down(self)

    units = of_cell("units")

    def build(self, sequences_shape, initial_state_shape=None):
        if len(sequences_shape) != 3:
            raise ValueError(
                "PeepholeLSTM reads sequences of shape [batch, time, "
                f"features]. Received: {tuple(sequences_shape)}"
            )
        super().build(sequences_shape)

    def recur(self, *args, **kwargs):
        return recurrence.peephole_lstm(*args, unroll=self.unroll, **kwargs)

    def check(self, sequences, initial_state):
        if isinstance(sequences, tf.RaggedTensor):
            raise ValueError(
                "PeepholeLSTM reads dense sequences; of ragged ones "
                "sequences.to_tensor() with mask=tf.sequence_mask("
                "sequences.row_lengths()). Received: a RaggedTensor"
            )
        batch, time, features = sequences.shape
        if time == 0:
            raise ValueError(
                "PeepholeLSTM needs at least one time step. "
                f"Received: sequences of shape {tuple(sequences.shape)}"
            )
        if self.unroll and time is None:
            raise ValueError(
                "unroll=True needs a fixed number of steps. Received: "
                f"sequences of shape {tuple(sequences.shape)}"
            )
        if features != self.cell.features:
            raise ValueError(
                "PeepholeLSTM was built for sequences of "
                f"{self.cell.features} features. Received: sequences of "
                f"shape {tuple(sequences.shape)}"
            )
        if self.stateful and batch not in (None, self.states[0].shape[0]):
            raise ValueError(
                "A stateful PeepholeLSTM reads batches of one size, "
                f"{self.states[0].shape[0]}. Received: sequences of shape "
                f"{tuple(sequences.shape)}"
            )
        if initial_state is None:
            return
        shapes = [tuple(state.shape) for state in initial_state]
        if [shape[1:] for shape in shapes] != [(self.cell.units,)] * 2:
            raise ValueError(
                "initial_state must be [h, c], each of shape "
                f"[batch, {self.cell.units}]. Received shapes: {shapes}"
            )
