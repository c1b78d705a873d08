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

    Arguments have the names and the order of `keras.layers.LSTMCell`'s.
    Defaults that are not Keras's, and what brings those:

        kernel_initializer      "glorot_uniform"
        recurrent_initializer   "orthogonal"
        unit_forget_bias        True
        variational_dropout     True

    Args:
        units: number of units.
        activation: "tanh"; no other.
        recurrent_activation: "sigmoid"; no other.
        use_bias: whether the gates have biases.
        kernel_initializer: initializer of the input weights. The paper's
            U(-1/sqrt(fan_in), 1/sqrt(fan_in)) when None.
        recurrent_initializer: the same for the recurrent weights.
        bias_initializer: initializer of the biases.
        unit_forget_bias: whether the initial bias of the forget gate is 1,
            whatever the initializer: a cell that forgets little at first learns
            what is long ago (Jozefowicz et al. 2015).
        kernel_regularizer: regularizer of the input weights.
        recurrent_regularizer: of the recurrent weights.
        bias_regularizer: of the biases.
        kernel_constraint: constraint of the input weights.
        recurrent_constraint: of the recurrent weights.
        bias_constraint: of the biases.
        dropout: share of the cell's inputs that is dropped in training, drawn
            anew at each step. Recurrent connections are left alone (Zaremba
            et al., as the paper's section 3.4).
        recurrent_dropout: share of the recurrent weights that is dropped in
            training (Merity et al. 2018), drawn anew at each call: by
            `PeepholeLSTM` once for all steps of a batch.
        seed: seed of the dropout.
        peephole_initializer: initializer of the peepholes.
        peephole_regularizer: regularizer of the peepholes.
        peephole_constraint: constraint of the peepholes.
        forget_bias: number added to the initial bias of the forget gate. The
            paper says 0, the authors' code of that time 5.
        variational_dropout: whether dropout is Keras's (Gal and Ghahramani
            2016): of the inputs, and of the outputs that the gates read
            rather than of weights. `PeepholeLSTM` drops the same at every step
            of a sequence.

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
        peephole_initializer="zeros",
        peephole_regularizer=None,
        peephole_constraint=None,
        forget_bias=0.0,
        variational_dropout=False,
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
        if forget_bias and unit_forget_bias:
            raise ValueError(
                "unit_forget_bias=True is forget_bias=1. Received both, "
                f"forget_bias={forget_bias!r}"
            )
        self.units = units
        self.activation = _only("activation", activation, "tanh")
        self.recurrent_activation = _only(
            "recurrent_activation", recurrent_activation, "sigmoid"
        )
        self.use_bias = use_bias
        self.kernel_initializer = _initializer(kernel_initializer)
        self.recurrent_initializer = _initializer(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.peephole_initializer = keras.initializers.get(peephole_initializer)
        self.unit_forget_bias = unit_forget_bias
        self.forget_bias = forget_bias
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(
            recurrent_regularizer
        )
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.peephole_regularizer = keras.regularizers.get(peephole_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.recurrent_constraint = keras.constraints.get(recurrent_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.peephole_constraint = keras.constraints.get(peephole_constraint)
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.variational_dropout = variational_dropout
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
        self.kernel = self.bias = None
        if features:
            self.kernel = self._weight("kernel", (features, 4 * self.units))
        self.recurrent_kernel = self._weight(
            "recurrent_kernel", (self.units, 4 * self.units)
        )
        self.peephole = self._weight("peephole", (3, self.units))
        if self.use_bias:
            self.bias = self._weight(
                "bias", (4 * self.units,), self._initial_bias
            )

    def _weight(self, name, shape, initializer=None):
        kind = name.removesuffix("_kernel")
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer or getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
        )

    def _initial_bias(self, shape, dtype=None):
        if self.unit_forget_bias:
            return keras.ops.concatenate(
                [
                    self.bias_initializer((self.units,), dtype=dtype),
                    keras.ops.ones((self.units,), dtype=dtype),
                    self.bias_initializer((2 * self.units,), dtype=dtype),
                ]
            )
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
        if self.kernel is None:
            if self.bias is None:
                return tf.zeros(4 * self.units, self.compute_dtype)
            return tf.convert_to_tensor(self.bias)
        if not inputs.dtype.is_floating:
            raise InputError(
                "Expected sequences in floating point; pixels are scaled "
                f"before. Received: dtype {inputs.dtype.name}"
            )
        if self.dropout and training:
            shape = None
            if self.variational_dropout and inputs.shape.rank == 3:
                # The same at every step.
                shape = keras.ops.shape(inputs)[0], 1, inputs.shape[2]
            inputs = keras.random.dropout(
                inputs,
                self.dropout,
                noise_shape=shape,
                seed=self.seed_generator,
            )
        driven = keras.ops.matmul(inputs, self.kernel)
        return driven if self.bias is None else driven + self.bias

    def recurrent_weights(self, training=False):
        """The recurrent weights, a share of them dropped in training."""
        kernel = tf.convert_to_tensor(self.recurrent_kernel)
        if self.recurrent_dropout and training and not self.variational_dropout:
            kernel = keras.random.dropout(
                kernel, self.recurrent_dropout, seed=self.seed_generator
            )
        return kernel

    def kept(self, h, training=False):
        """What variational dropout multiplies h with; None for nothing."""
        if self.recurrent_dropout and training and self.variational_dropout:
            return keras.random.dropout(
                keras.ops.ones_like(h),
                self.recurrent_dropout,
                seed=self.seed_generator,
            )
        return None

    def call(self, inputs, states, training=False):
        h, c = states
        kept = self.kept(h, training)
        z = self.drive(inputs, training) + keras.ops.matmul(
            h if kept is None else h * kept, self.recurrent_weights(training)
        )
        _, h, c = recurrence.gates(z, c, tf.convert_to_tensor(self.peephole))
        return h, [h, c]

    # Keras's RNN calls it by this name.
    def get_initial_state(self, batch_size=None):
        return [
            keras.ops.zeros((batch_size, self.units), self.compute_dtype)
            for _ in range(2)
        ]

    def get_config(self):
        kinds = {
            "initializer": keras.initializers.serialize,
            "regularizer": keras.regularizers.serialize,
            "constraint": keras.constraints.serialize,
        }
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in _PLAIN},
            "activation": "tanh",
            "recurrent_activation": "sigmoid",
            **{
                f"{weight}_{kind}": serialize(getattr(self, f"{weight}_{kind}"))
                for weight in _WEIGHTS
                for kind, serialize in kinds.items()
            },
        }


_WEIGHTS = "kernel", "recurrent", "bias", "peephole"
# Arguments that a config holds as they are.
_PLAIN = (
    "units",
    "use_bias",
    "unit_forget_bias",
    "forget_bias",
    "dropout",
    "recurrent_dropout",
    "variational_dropout",
    "seed",
)


def _only(name, activation, known):
    """Keras's activation, if it is the one that there is."""
    only = getattr(keras.activations, known)
    if keras.activations.get(activation) is not only:
        raise ValueError(
            f"{name} must be {known!r}: its gradient is written out. "
            f"Received: {name}={activation!r}"
        )
    return only


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


class _RNN(keras.layers.RNN):
    """Keras's RNN, of a cell that the layer makes itself."""

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        return config

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _of_cell(name):
    return property(lambda layer: getattr(layer.cell, name))


@keras.saving.register_keras_serializable(package="video_repr")
class PeepholeLSTM(SavesTrainable, _RNN):
    """A peephole LSTM over a whole sequence, `keras.layers.LSTM`'s drop-in.

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
        unroll: whether steps are traced one after another rather than as a
            loop: for few steps faster, and slow to compile.
        peephole_initializer: as for `PeepholeLSTMCell`, as all that follow.
        peephole_regularizer: ...
        peephole_constraint: ...
        forget_bias: ...
        variational_dropout: ...
        **kwargs: as for `keras.layers.RNN`.

    Call arguments:
        sequences: `[batch, time, features]`, time at least 1, floating point.
        initial_state: `[h, c]`, each `[batch, units]`; zeros when None.
        mask: `[batch, time]`, the steps that are read. At others the state
            stays, and the output is that of the step before, as in Keras.
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

    units = _of_cell("units")
    activation = _of_cell("activation")
    recurrent_activation = _of_cell("recurrent_activation")
    use_bias = _of_cell("use_bias")
    kernel_initializer = _of_cell("kernel_initializer")
    recurrent_initializer = _of_cell("recurrent_initializer")
    bias_initializer = _of_cell("bias_initializer")
    unit_forget_bias = _of_cell("unit_forget_bias")
    kernel_regularizer = _of_cell("kernel_regularizer")
    recurrent_regularizer = _of_cell("recurrent_regularizer")
    bias_regularizer = _of_cell("bias_regularizer")
    kernel_constraint = _of_cell("kernel_constraint")
    recurrent_constraint = _of_cell("recurrent_constraint")
    bias_constraint = _of_cell("bias_constraint")
    dropout = _of_cell("dropout")
    recurrent_dropout = _of_cell("recurrent_dropout")
    seed = _of_cell("seed")
    peephole_initializer = _of_cell("peephole_initializer")
    peephole_regularizer = _of_cell("peephole_regularizer")
    peephole_constraint = _of_cell("peephole_constraint")
    forget_bias = _of_cell("forget_bias")
    variational_dropout = _of_cell("variational_dropout")

    def build(self, sequences_shape, initial_state_shape=None):
        if len(sequences_shape) != 3:
            raise ValueError(
                "PeepholeLSTM reads sequences of shape [batch, time, "
                f"features]. Received: {tuple(sequences_shape)}"
            )
        super().build(sequences_shape)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        self._check(sequences, initial_state)
        from_zeros = initial_state is None and not self.stateful
        if initial_state is None:
            initial_state = (
                self.states
                if self.stateful
                else self.get_initial_state(keras.ops.shape(sequences)[0])
            )
        h, c = (
            keras.ops.cast(state, self.compute_dtype) for state in initial_state
        )
        mask = _as_mask(mask, sequences)
        if self.go_backwards:
            sequences = tf.reverse(sequences, [1])
            mask = None if mask is None else tf.reverse(mask, [1])
        outputs, c = recurrence.peephole_lstm(
            self.cell.drive(sequences, training),
            h,
            c,
            self.cell.recurrent_weights(training),
            tf.convert_to_tensor(self.cell.peephole),
            steps=keras.ops.shape(sequences)[1],
            from_zeros=from_zeros,
            mask=mask,
            kept=self.cell.kept(h, training),
            unroll=self.unroll,
        )
        h = outputs[:, -1]
        if mask is not None:
            # Before the first step that is read Keras's output is zero, also
            # where the state is not.
            shown = (
                mask
                if self.zero_output_for_mask
                else tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
            )
            outputs = tf.where(
                shown[:, :, None], outputs, tf.zeros_like(outputs)
            )
        if self.stateful:
            for state, value in zip(self.states, (h, c), strict=True):
                state.assign(value)
        output = outputs if self.return_sequences else outputs[:, -1]
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
    """A mask, `[batch, time]`, bool, of one or of several with the states'."""
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
