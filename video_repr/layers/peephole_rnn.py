"""What the layers of whole sequences have in common."""

import keras
import tensorflow as tf

from video_repr.layers import recurrence
from video_repr.layers.trainable import SavesTrainable

ACTIVATIONS = (
    "input_gate",
    "forget_gate",
    "cell_input",
    "output_gate",
    "cell",
    "output",
)


def of_cell(name):
    """An attribute that is the cell's."""
    return property(lambda layer: getattr(layer.cell, name))


class _RNN(keras.layers.RNN):
    """Keras's RNN, with a cell that the layer makes itself."""

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        return config

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class PeepholeRNN(SavesTrainable, _RNN):
    """A layer that runs its cell over whole sequences.

    A layer has `recur`, the loop over the steps, and `check`, which refuses
    sequences and states that do not fit.
    """

    activation = of_cell("activation")
    recurrent_activation = of_cell("recurrent_activation")
    use_bias = of_cell("use_bias")
    kernel_initializer = of_cell("kernel_initializer")
    recurrent_initializer = of_cell("recurrent_initializer")
    bias_initializer = of_cell("bias_initializer")
    unit_forget_bias = of_cell("unit_forget_bias")
    kernel_regularizer = of_cell("kernel_regularizer")
    recurrent_regularizer = of_cell("recurrent_regularizer")
    bias_regularizer = of_cell("bias_regularizer")
    kernel_constraint = of_cell("kernel_constraint")
    recurrent_constraint = of_cell("recurrent_constraint")
    bias_constraint = of_cell("bias_constraint")
    dropout = of_cell("dropout")
    recurrent_dropout = of_cell("recurrent_dropout")
    seed = of_cell("seed")
    peephole_initializer = of_cell("peephole_initializer")
    peephole_regularizer = of_cell("peephole_regularizer")
    peephole_constraint = of_cell("peephole_constraint")
    forget_bias = of_cell("forget_bias")
    variational_dropout = of_cell("variational_dropout")

    def call(self, sequences, initial_state=None, mask=None, training=False):
        self.check(sequences, initial_state)
        from_zeros = initial_state is None and not self.stateful
        if initial_state is None:
            initial_state = (
                self.states if self.stateful else self.cell.zeros_for(sequences)
            )
        h, c = initial_state
        h = keras.ops.cast(h, self.compute_dtype)
        c = keras.ops.cast(c, self.cell.cell_dtype)
        mask = _as_mask(mask, sequences)
        if self.go_backwards:
            sequences = tf.reverse(sequences, [1])
            mask = None if mask is None else tf.reverse(mask, [1])
        outputs, c = self.recur(
            self.cell.drive(sequences, training),
            h,
            c,
            self.cell.recurrent_weights(training),
            self.cell.gate_peepholes(),
            steps=keras.ops.shape(sequences)[1],
            from_zeros=from_zeros,
            mask=mask,
            kept=self.cell.kept(h, training),
        )
        h = outputs[:, -1]
        if mask is not None:
            # Before the first step that is read, Keras's output is zero, even
            # if the initial state is not.
            shown = (
                mask
                if self.zero_output_for_mask
                else tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
            )
            # Of every value of a step.
            for _ in outputs.shape[2:]:
                shown = shown[..., None]
            outputs = tf.where(shown, outputs, tf.zeros_like(outputs))
        if self.stateful:
            for state, value in zip(self.states, (h, c), strict=True):
                state.assign(value)
        output = outputs if self.return_sequences else outputs[:, -1]
        return (output, h, c) if self.return_state else output

    def activations(self, sequences, initial_state=None):
        """Activations of the gates, for plots; slower than `call`.

        Args:
            sequences: as for `call`.
            initial_state: as for `call`.

        Returns:
            A dict of arrays `[batch, time, ...]`, a step's of the shape of h:
            "input_gate", "forget_gate", "cell_input", "output_gate", "cell"
            and "output".
        """
        # In the precision of the weights, and of NumPy.
        dtype = self.variable_dtype
        sequences = tf.cast(sequences, dtype)
        if not self.built:
            self.build(sequences.shape)
        self.check(sequences, initial_state)
        if self.go_backwards:
            sequences = tf.reverse(sequences, [1])
        if initial_state is None:
            initial_state = (
                self.states if self.stateful else self.cell.zeros_for(sequences)
            )
        h, c = (tf.cast(state, dtype) for state in initial_state)
        drive = tf.broadcast_to(
            self.cell.drive(sequences),
            (*sequences.shape[:-1], 4 * self.cell.units),
        )
        kernel = tf.convert_to_tensor(self.cell.recurrent_kernel)
        steps = []
        for t in range(sequences.shape[1]):
            packed, h, c = recurrence.gates(
                drive[:, t] + self.cell.recurrent_product(h, kernel),
                c,
                self.cell.gate_peepholes(),
            )
            steps.append([*tf.split(packed, 4, axis=-1), c, h])
        return {
            name: tf.stack(values, axis=1).numpy()
            for name, values in zip(
                ACTIVATIONS, zip(*steps, strict=True), strict=True
            )
        }

    def get_config(self):
        cell = self.cell.get_config()
        return {
            **{k: v for k, v in cell.items() if k not in ("name", "dtype")},
            **super().get_config(),
            "activity_regularizer": keras.regularizers.serialize(
                self.activity_regularizer
            ),
        }


def _as_mask(mask, sequences):
    """The mask of the sequence, `[batch, time]`, bool; drops the states'."""
    if isinstance(mask, list | tuple):
        mask = mask[0]
    if mask is None:
        return None
    mask = tf.cast(mask, tf.bool)
    if mask.shape.rank == 3 and mask.shape[2] == 1:
        mask = mask[:, :, 0]
    if not mask.shape.is_compatible_with(sequences.shape[:2]):
        raise ValueError(
            "mask must be of shape [batch, time]. Received: one of shape "
            f"{tuple(mask.shape)} for sequences of shape "
            f"{tuple(sequences.shape)}"
        )
    return mask
