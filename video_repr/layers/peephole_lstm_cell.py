"""One step of the LSTM with peephole connections of the paper."""

import keras
import tensorflow as tf

from video_repr.errors import InputError
from video_repr.layers import recurrence
from video_repr.layers.random_state import SavesRandomState
from video_repr.ranges import check_ranges
from video_repr.ranges import whole_number


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

    Arguments have the names and the order of those of `keras.layers.LSTMCell`.
    Some defaults differ; to get Keras's, give

        kernel_initializer      "glorot_uniform"
        recurrent_initializer   "orthogonal"
        unit_forget_bias        True
        variational_dropout     True

    Two things that Keras takes are refused: integers as inputs, as nothing
    says whether they are pixels, which would have to be scaled; and a dropout
    of 1, with which Keras drops nothing.

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
            long dependencies (Jozefowicz et al. 2015).
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
        variational_dropout: whether dropout is that of Keras (Gal and
            Ghahramani 2016): on the inputs, and, in place of recurrent weights,
            on the outputs that the gates read. `PeepholeLSTM` drops the same
            values at every step of a sequence.

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
        units = whole_number("units", units)
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
        check_ranges(self, dropout="[0, 1)", recurrent_dropout="[0, 1)")
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

    def _weight(self, name, shape, initializer=None, **options):
        kind = name.removesuffix("_kernel")
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer or getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            **options,
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
        """The input of the gates from outside the recurrence.

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
            if self._are_all_steps(inputs) and self.variational_dropout:
                # The same at every step.
                batch, _, *step = keras.ops.shape(inputs)
                shape = batch, 1, *step
            inputs = keras.random.dropout(
                inputs,
                self.dropout,
                noise_shape=shape,
                seed=self.seed_generator,
            )
        driven = self._input_product(inputs)
        return driven if self.bias is None else driven + self.bias

    def _are_all_steps(self, inputs):
        """Whether inputs are a sequence rather than one step of it."""
        return inputs.shape.rank == self.kernel.ndim + 1

    def _input_product(self, inputs):
        return keras.ops.matmul(inputs, self.kernel)

    def recurrent_product(self, h, kernel):
        """What h adds to the gates, by the recurrent weights."""
        return keras.ops.matmul(h, kernel)

    @property
    def cell_dtype(self):
        """What c is computed in."""
        return self.compute_dtype

    def gate_peepholes(self):
        """The peepholes of the input, forget and output gates."""
        return tf.convert_to_tensor(self.peephole)

    def zeros_for(self, sequences):
        """The states before a batch of sequences."""
        return self.get_initial_state(keras.ops.shape(sequences)[0])

    def recurrent_weights(self, training=False):
        """The recurrent weights; in training a share of them is dropped."""
        kernel = tf.convert_to_tensor(self.recurrent_kernel)
        if self.recurrent_dropout and training and not self.variational_dropout:
            kernel = keras.random.dropout(
                kernel, self.recurrent_dropout, seed=self.seed_generator
            )
        return kernel

    def kept(self, h, training=False):
        """The factor of h in variational dropout; None without dropout."""
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
        z = self.drive(inputs, training) + self.recurrent_product(
            recurrence.thinned(h, kept), self.recurrent_weights(training)
        )
        c = tf.cast(c, self.cell_dtype)
        _, new, c = recurrence.gates(
            tf.cast(z, c.dtype), c, self.gate_peepholes()
        )
        h = tf.cast(new, h.dtype)
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
# Arguments that a config holds unchanged.
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
    """Keras's activation, if it is the supported one."""
    only = getattr(keras.activations, known)
    if keras.activations.get(activation) is not only:
        raise ValueError(
            f"{name} must be {known!r}: its gradient is written out. "
            f"Received: {name}={activation!r}"
        )
    return only
