"""The LSTM with peephole connections of the paper, as Keras layers."""

import numbers

import keras
import tensorflow as tf

from video_repr.errors import InputError
from video_repr.layers import recurrence
from video_repr.layers.random_state import SavesRandomState
from video_repr.layers.trainable import SavesTrainable
from video_repr.layers.trainable import hand_down

ACTIVATIONS = (
    "input_gate",
    "forget_gate",
    "cell_input",
    "output_gate",
    "cell",
    "output",
)


def _initializer(identifier):
    """`keras.initializers.get`, where None is the paper's choice.

    The paper (section 3.1) draws weights uniformly with scale
    1/sqrt(fan-in): U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
    """
    if identifier is None:
        return keras.initializers.VarianceScaling(
            scale=1 / 3, mode="fan_in", distribution="uniform"
        )
    return keras.initializers.get(identifier)


@keras.saving.register_keras_serializable(package="video_repr")
class PeepholeLSTMCell(SavesRandomState, keras.layers.Layer):
    r"""One step of the peephole LSTM (paper, section 2.1).

        i_t = sigm(W_xi x_t + W_hi h_{t-1} + w_ci * c_{t-1} + b_i)
        f_t = sigm(W_xf x_t + W_hf h_{t-1} + w_cf * c_{t-1} + b_f)
        g_t = tanh(W_xc x_t + W_hc h_{t-1} + b_c)
        c_t = f_t * c_{t-1} + i_t * g_t
        o_t = sigm(W_xo x_t + W_ho h_{t-1} + w_co * c_t + b_o)
        h_t = o_t * tanh(c_t)

    The output gate sees the new cell. The weights are packed in the gate
    order of `keras.layers.LSTM`:

        kernel            [features, 4 * units]   W_xi, W_xf, W_xc, W_xo
        recurrent_kernel  [units, 4 * units]      W_hi, W_hf, W_hc, W_ho
        peephole          [3, units]              w_ci, w_cf, w_co
        bias              [4 * units]             b_i, b_f, b_c, b_o

    With all peepholes zero the cell is Keras's LSTM. A cell built for inputs
    of zero features has no kernel: it runs on its recurrence alone, as the
    paper's unconditioned decoders do.

    Works in `keras.layers.RNN`; `PeepholeLSTM` computes the same faster.

    Args:
        units: number of units.
        kernel_initializer: initializer of the input weights. The paper's
            U(-1/sqrt(fan_in), 1/sqrt(fan_in)) when None.
        recurrent_initializer: the same for the recurrent weights.
        peephole_initializer: initializer of the peepholes.
        bias_initializer: initializer of the biases.
        forget_bias: number added to the initial bias of the forget gate. The
            paper says 0, the authors' code of that time 5.
        kernel_regularizer: regularizer of the input weights.
        recurrent_regularizer: regularizer of the recurrent weights.
        dropout: share of the cell's inputs that is dropped in training, drawn
            anew at each step. Recurrent connections are left alone (Zaremba
            et al., as the paper's section 3.4).
        recurrent_dropout: share of the recurrent weights that is dropped in
            training (Merity et al. 2018), drawn anew at each call: by
            `PeepholeLSTM` once for all steps of a batch.
        seed: seed of the dropout.

    Call arguments:
        inputs: `[batch, features]`.
        states: `[h, c]`, each `[batch, units]`.
        training: whether dropout is active.

    Returns:
        `(h, [h, c])`, each `[batch, units]`.
    """

    def __init__(
        self,
        units,
        *,
        kernel_initializer=None,
        recurrent_initializer=None,
        peephole_initializer="zeros",
        bias_initializer="zeros",
        forget_bias=0.0,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        units = _positive_integer(units)
        for name, rate in (
            ("dropout", dropout),
            ("recurrent_dropout", recurrent_dropout),
        ):
            if not 0 <= rate < 1:
                raise ValueError(
                    f"{name} must be at least 0 and below 1. "
                    f"Received: {name}={rate!r}"
                )
        self.units = units
        self.kernel_initializer = _initializer(kernel_initializer)
        self.recurrent_initializer = _initializer(recurrent_initializer)
        self.peephole_initializer = keras.initializers.get(peephole_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.forget_bias = forget_bias
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(
            recurrent_regularizer
        )
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.seed = seed
        if dropout or recurrent_dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.state_size = [units, units]
        self.output_size = units

    def build(self, input_shape):
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                f"{type(self).__name__} needs a fixed number of features. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.features = features
        self.kernel = None
        if features:
            self.kernel = self.add_weight(
                name="kernel",
                shape=(features, 4 * self.units),
                initializer=self.kernel_initializer,
                regularizer=self.kernel_regularizer,
            )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, 4 * self.units),
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
        )
        self.peephole = self.add_weight(
            name="peephole",
            shape=(3, self.units),
            initializer=self.peephole_initializer,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(4 * self.units,),
            initializer=self._initial_bias,
        )

    def _initial_bias(self, shape, dtype=None):
        forget = [0.0, self.forget_bias, 0.0, 0.0]
        return self.bias_initializer(shape, dtype=dtype) + keras.ops.cast(
            keras.ops.repeat(forget, self.units), dtype
        )

    def drive(self, inputs, training=False):
        """What enters the gates from outside the recurrence.

        Args:
            inputs: `[..., features]`, one step or all steps of a sequence.
            training: whether dropout is active.

        Returns:
            `W_x x + b`, `[..., 4 * units]`; for inputs of zero features the
            bias alone, `[4 * units]`.
        """
        bias = tf.convert_to_tensor(self.bias)
        if self.kernel is None:
            return bias
        if not inputs.dtype.is_floating:
            raise InputError(
                "Expected sequences in floating point; pixels are scaled "
                f"before. Received: dtype {inputs.dtype.name}"
            )
        if self.dropout and training:
            inputs = keras.random.dropout(
                inputs, self.dropout, seed=self.seed_generator
            )
        return keras.ops.matmul(inputs, self.kernel) + bias

    def recurrent_weights(self, training=False):
        """The recurrent weights, a share of them dropped in training."""
        kernel = tf.convert_to_tensor(self.recurrent_kernel)
        if self.recurrent_dropout and training:
            kernel = keras.random.dropout(
                kernel, self.recurrent_dropout, seed=self.seed_generator
            )
        return kernel

    def call(self, inputs, states, training=False):
        h, c = states
        z = self.drive(inputs, training) + keras.ops.matmul(
            h, self.recurrent_weights(training)
        )
        _, h, c = recurrence.gates(z, c, tf.convert_to_tensor(self.peephole))
        return h, [h, c]

    def get_initial_state(self, batch_size):
        return [
            keras.ops.zeros((batch_size, self.units), self.compute_dtype)
            for _ in range(2)
        ]

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "recurrent_initializer": keras.initializers.serialize(
                self.recurrent_initializer
            ),
            "peephole_initializer": keras.initializers.serialize(
                self.peephole_initializer
            ),
            "bias_initializer": keras.initializers.serialize(
                self.bias_initializer
            ),
            "forget_bias": self.forget_bias,
            "kernel_regularizer": keras.regularizers.serialize(
                self.kernel_regularizer
            ),
            "recurrent_regularizer": keras.regularizers.serialize(
                self.recurrent_regularizer
            ),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }


def _positive_integer(units):
    # numbers.Integral, for NumPy's integers are no int.
    if (
        isinstance(units, bool)
        or not isinstance(units, numbers.Integral)
        or units < 1
    ):
        raise ValueError(
            f"units must be a positive integer. Received: units={units!r}"
        )
    return int(units)


@keras.saving.register_keras_serializable(package="video_repr")
class PeepholeLSTM(SavesTrainable, keras.layers.Layer):
    """A peephole LSTM over a whole sequence.

    Equal to `keras.layers.RNN(PeepholeLSTMCell(units))`, weights included,
    and faster: the input projection of all steps is one matrix product, and
    so is the gradient of each weight matrix over all steps. Equations and
    weight packing are in `PeepholeLSTMCell`.

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
        units: number of units.
        return_sequences: whether to return the output of every step rather
            than the last.
        return_state: whether to return the last h and c as well.
        kernel_initializer: see `PeepholeLSTMCell`, as all that follow.
        recurrent_initializer: ...
        peephole_initializer: ...
        bias_initializer: ...
        forget_bias: ...
        kernel_regularizer: ...
        recurrent_regularizer: ...
        dropout: ...
        recurrent_dropout: ...
        seed: ...

    Call arguments:
        sequences: `[batch, time, features]`, time at least 1, floating point.
        initial_state: `[h, c]`, each `[batch, units]`; zeros when None.
        training: whether dropout is active.
        mask: not supported; `keras.layers.RNN(PeepholeLSTMCell(units))` is.

    Returns:
        `[batch, units]`, or `[batch, time, units]` with `return_sequences`;
        with `return_state` the tuple of that, h and c.
    """

    def __init__(
        self,
        units,
        *,
        return_sequences=False,
        return_state=False,
        kernel_initializer=None,
        recurrent_initializer=None,
        peephole_initializer="zeros",
        bias_initializer="zeros",
        forget_bias=0.0,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.cell = PeepholeLSTMCell(
            units,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            peephole_initializer=peephole_initializer,
            bias_initializer=bias_initializer,
            forget_bias=forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            dtype=self.dtype_policy,
            name="cell",
        )
        hand_down(self)

    def build(self, sequences_shape, initial_state_shape=None):
        if len(sequences_shape) != 3:
            raise ValueError(
                "PeepholeLSTM reads sequences of shape [batch, time, "
                f"features]. Received: {tuple(sequences_shape)}"
            )
        self.cell.build((sequences_shape[0], sequences_shape[2]))

    def call(self, sequences, initial_state=None, training=False, mask=None):
        if mask is not None:
            raise ValueError(
                "PeepholeLSTM does not read masks. Use "
                "keras.layers.RNN(PeepholeLSTMCell(units)) for masked "
                f"sequences. Received: mask={mask}"
            )
        self._check(sequences, initial_state)
        from_zeros = initial_state is None
        if from_zeros:
            initial_state = self.cell.get_initial_state(
                keras.ops.shape(sequences)[0]
            )
        h, c = (
            keras.ops.cast(state, self.compute_dtype) for state in initial_state
        )
        steps = keras.ops.shape(sequences)[1]
        sequence, c = recurrence.peephole_lstm(
            self.cell.drive(sequences, training),
            h,
            c,
            self.cell.recurrent_weights(training),
            tf.convert_to_tensor(self.cell.peephole),
            steps=steps,
            from_zeros=from_zeros,
        )
        h = sequence[:, -1]
        output = sequence if self.return_sequences else h
        return (output, h, c) if self.return_state else output

    def activations(self, sequences, initial_state=None):
        """What the gates do, to look at; `call` is what computes fast.

        Args:
            sequences: as for `call`.
            initial_state: as for `call`.

        Returns:
            A dict of arrays `[batch, time, units]`: "input_gate",
            "forget_gate", "cell_input", "output_gate", "cell" and "output".
        """
        # In the precision of the weights, and of NumPy.
        dtype = self.variable_dtype
        sequences = tf.cast(sequences, dtype)
        self._check(sequences, initial_state)
        batch, time = sequences.shape[:2]
        if initial_state is None:
            initial_state = self.cell.get_initial_state(batch)
        h, c = (tf.cast(state, dtype) for state in initial_state)
        drive = tf.broadcast_to(
            self.cell.drive(sequences), (batch, time, 4 * self.cell.units)
        )
        steps = []
        for t in range(time):
            packed, h, c = recurrence.gates(
                drive[:, t]
                + tf.matmul(
                    h, tf.convert_to_tensor(self.cell.recurrent_kernel)
                ),
                c,
                tf.convert_to_tensor(self.cell.peephole),
            )
            steps.append([*tf.split(packed, 4, axis=-1), c, h])
        return {
            name: tf.stack(values, axis=1).numpy()
            for name, values in zip(
                ACTIVATIONS, zip(*steps, strict=True), strict=True
            )
        }

    def _check(self, sequences, initial_state):
        _, time, features = sequences.shape
        if time == 0:
            raise ValueError(
                "PeepholeLSTM needs at least one time step. "
                f"Received: sequences of shape {tuple(sequences.shape)}"
            )
        if features != self.cell.features:
            raise ValueError(
                "PeepholeLSTM was built for sequences of "
                f"{self.cell.features} features. Received: sequences of "
                f"shape {tuple(sequences.shape)}"
            )
        if initial_state is None:
            return
        shapes = [tuple(state.shape) for state in initial_state]
        if [shape[1:] for shape in shapes] != [(self.cell.units,)] * 2:
            raise ValueError(
                "initial_state must be [h, c], each of shape "
                f"[batch, {self.cell.units}]. Received shapes: {shapes}"
            )

    def get_config(self):
        cell = self.cell.get_config()
        return {
            **{k: v for k, v in cell.items() if k not in ("name", "dtype")},
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
        }
