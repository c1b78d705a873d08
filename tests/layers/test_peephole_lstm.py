import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from video_repr import PeepholeLSTM
from video_repr import PeepholeLSTMCell
from video_repr.layers import recurrence

pytestmark = pytest.mark.oldest

BATCH, TIME, FEATURES, UNITS = 3, 5, 4, 6


def randomize(layer, seed=0):
    rng = np.random.default_rng(seed)
    layer.set_weights(
        [rng.normal(0, 0.5, w.shape) for w in layer.get_weights()]
    )
    return layer


def make(kind, features=FEATURES, **options):
    """A sequence layer that returns everything, with random weights."""
    if kind == "rnn":
        layer = keras.layers.RNN(
            PeepholeLSTMCell(UNITS, **options),
            return_sequences=True,
            return_state=True,
        )
    else:
        layer = PeepholeLSTM(
            UNITS,
            return_sequences=True,
            return_state=True,
            **options,
        )
    layer.build((BATCH, TIME, features))
    return randomize(layer)


def inputs(features=FEATURES, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(BATCH, TIME, features)).astype("float32")
    h, c = rng.normal(size=(2, BATCH, UNITS)).astype("float32")
    return x, h, c


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("features", [FEATURES, 0])
@pytest.mark.parametrize("kind", ["rnn", "loop"])
def test_forward_equals_the_oracle(kind, features, jit_compile):
    layer = make(kind, features)
    x, h, c = inputs(features)
    call = tf.function(layer, jit_compile=jit_compile)
    outputs = call(tf.constant(x), initial_state=[h, c])
    weights = oracle.lstm_weights(layer)
    expected = oracle.lstm(x if features else None, h, c, weights, steps=TIME)
    for output, want in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, want, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_sequence_alone_is_what_it_is_among_others(jit_compile):
    layer = make("loop")

    @tf.function(jit_compile=jit_compile)
    def outputs_and_gradients(x, h, c):
        with tf.GradientTape() as tape:
            tape.watch([x, h, c])
            outputs = layer(x, initial_state=[h, c])
            loss = tf.add_n([tf.reduce_sum(output**2) for output in outputs])
        return outputs, tape.gradient(loss, [x, h, c])

    together = outputs_and_gradients(*map(tf.constant, inputs()))
    for i in range(BATCH):
        one = [tf.constant(value[i : i + 1]) for value in inputs()]
        alone = outputs_and_gradients(*one)
        for ours, theirs in zip(
            tf.nest.flatten(alone), tf.nest.flatten(together), strict=True
        ):
            np.testing.assert_allclose(ours[0], theirs[i], atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("features", [FEATURES, 0])
@pytest.mark.parametrize("kind", ["rnn", "loop"])
def test_gradients_equal_finite_differences(kind, features, jit_compile):
    layer = make(kind, features)
    x, h, c = inputs(features)
    # Weights of the loss, so that every output has its own gradient.
    rng = np.random.default_rng(2)
    ws, wh, wc = (
        rng.normal(size=shape)
        for shape in ((BATCH, TIME, UNITS), (BATCH, UNITS), (BATCH, UNITS))
    )

    @tf.function(jit_compile=jit_compile)
    def gradients(x, h, c):
        with tf.GradientTape() as tape:
            tape.watch([x, h, c])
            s, last_h, last_c = layer(x, initial_state=[h, c])
            loss = tf.reduce_sum(s * tf.cast(ws, s.dtype))
            loss += tf.reduce_sum(last_h * tf.cast(wh, s.dtype))
            loss += tf.reduce_sum(last_c * tf.cast(wc, s.dtype))
        weights = [w.value for w in layer.trainable_variables]
        return tape.gradient(loss, [x, h, c, *weights])

    ours = gradients(*map(tf.constant, (x, h, c)))
    weights = oracle.lstm_weights(layer)
    arrays = [a.astype(np.float64) for a in (x, h, c)]
    trained = [w for w in weights if w is not None]

    def loss():
        s, last_h, last_c = oracle.lstm(
            arrays[0] if features else None,
            *arrays[1:],
            weights,
            steps=TIME,
        )
        return np.sum(s * ws) + np.sum(last_h * wh) + np.sum(last_c * wc)

    expected = oracle.finite_differences(loss, arrays + trained)
    for gradient, want in zip(ours, expected, strict=True):
        if want.size:
            error = np.abs(gradient - want).max() / np.abs(want).max()
            assert error < 1e-4


@pytest.mark.parametrize(
    "time", [pytest.param(1, marks=pytest.mark.hard), TIME, None]
)
def test_no_state_is_a_state_of_zeros(time):
    layer = make("loop")
    x, h, _ = inputs()
    signature = tf.TensorSpec((BATCH, time, FEATURES))

    def outputs_and_gradients(initial_state, jit_compile):
        @tf.function(input_signature=[signature], jit_compile=jit_compile)
        def call(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x, initial_state=initial_state)
                loss = tf.add_n([tf.reduce_sum(y**2) for y in outputs])
            weights = [w.value for w in layer.trainable_variables]
            return outputs, tape.gradient(loss, [x, *weights])

        return tf.nest.flatten(call(x[:, :time]))

    expected = outputs_and_gradients([np.zeros_like(h)] * 2, False)
    for jit_compile in (False, True):
        ours = outputs_and_gradients(None, jit_compile)
        for value, want in zip(ours, expected, strict=True):
            np.testing.assert_allclose(value, want, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 4),
    time=st.integers(1, 7),
    features=st.integers(0, 5),
    units=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_sequence_layer_equals_keras_rnn_of_the_cell(
    batch, time, features, units, seed
):
    layer = PeepholeLSTM(units, return_sequences=True)
    layer.build((batch, time, features))
    randomize(layer, seed)
    rnn = keras.layers.RNN(PeepholeLSTMCell(units), return_sequences=True)
    rnn.build((batch, time, features))
    rnn.set_weights(layer.get_weights())
    x = np.random.default_rng(seed).normal(size=(batch, time, features))
    np.testing.assert_allclose(
        layer(x.astype("float32")), rnn(x.astype("float32")), atol=1e-5
    )


def test_without_peepholes_it_is_kerass_lstm():
    ours = PeepholeLSTM(UNITS, return_sequences=True)
    theirs = keras.layers.LSTM(UNITS, return_sequences=True)
    x, _, _ = inputs()
    theirs.build(x.shape)
    randomize(theirs)
    kernel, recurrent, bias = theirs.get_weights()
    ours.build(x.shape)
    ours.set_weights([kernel, recurrent, np.zeros((3, UNITS)), bias])
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)


def test_length_unknown_when_built():
    layer = make("loop")
    call = tf.function(
        layer, input_signature=[tf.TensorSpec((None, None, FEATURES))]
    )
    x, _, _ = inputs()
    for time in (1, 3, TIME):
        np.testing.assert_allclose(
            call(x[:, :time])[0], layer(x[:, :time])[0], atol=1e-6
        )


def test_initialisers_are_the_papers():
    layer = PeepholeLSTM(200)
    layer.build((None, None, 100))
    kernel, recurrent, peephole, bias = layer.get_weights()
    for weights, fan_in in ((kernel, 100), (recurrent, 200)):
        limit = fan_in**-0.5
        assert np.abs(weights).max() <= limit
        assert np.abs(weights).max() > 0.99 * limit
        # A uniform distribution's standard deviation.
        np.testing.assert_allclose(weights.std(), limit / 3**0.5, rtol=0.02)
    assert not peephole.any()
    assert not bias.any()


def test_initialisers_can_be_chosen():
    layer = PeepholeLSTM(
        2,
        kernel_initializer="ones",
        recurrent_initializer=keras.initializers.Constant(2.0),
        peephole_initializer="ones",
        bias_initializer=keras.initializers.Constant(0.5),
        forget_bias=5.0,
    )
    layer.build((None, None, 3))
    kernel, recurrent, peephole, bias = layer.get_weights()
    assert (kernel == 1).all()
    assert (recurrent == 2).all()
    assert (peephole == 1).all()
    assert bias.tolist() == [0.5, 0.5, 5.5, 5.5, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("kind", ["rnn", "loop"])
def test_dropout_is_on_inputs_alone(kind):
    layer = make(kind, dropout=0.5, seed=3)
    x, h, c = inputs()
    without = layer(x, initial_state=[h, c])[0]
    repeated = [
        layer(x, initial_state=[h, c], training=True)[0] for _ in range(2)
    ]
    assert not np.allclose(repeated[0], without)
    assert not np.allclose(*repeated)
    # No input, nothing to drop.
    zeros = np.zeros_like(x)
    np.testing.assert_array_equal(
        layer(zeros, initial_state=[h, c], training=True)[0],
        layer(zeros, initial_state=[h, c])[0],
    )


def test_dropout_is_drawn_anew_at_each_step():
    layer = PeepholeLSTM(
        1, dropout=0.5, seed=0, return_sequences=True, name="l"
    )
    x = np.ones((1, 200, 1), "float32")
    layer.build(x.shape)
    # No recurrence: each output tells whether its own input was dropped.
    layer.set_weights(
        [np.ones((1, 4)), np.zeros((1, 4)), np.zeros((3, 1)),
         np.array([0, -100.0, 0, 0])]
    )  # fmt: skip
    outputs = np.asarray(layer(x, training=True)).ravel()
    dropped = np.isclose(outputs, 0)
    assert 70 < dropped.sum() < 130


def test_recurrent_dropout_is_drawn_once_a_batch():
    units = 200
    layer = PeepholeLSTM(
        units, recurrent_dropout=0.25, seed=0, return_sequences=True
    )
    x = np.zeros((2, 3, 1), "float32")
    layer.build(x.shape)
    # Gates half open, nothing kept: c_t is half of tanh(h_{t-1} W_hc), of
    # which each unit has one weight.
    recurrent = np.zeros((units, 4 * units))
    recurrent[:, 2 * units : 3 * units] = np.eye(units)
    bias = np.zeros(4 * units)
    bias[units : 2 * units] = -100
    layer.set_weights(
        [np.zeros((1, 4 * units)), recurrent, np.zeros((3, units)), bias]
    )
    h = np.ones((2, units), "float32")
    outputs = np.asarray(layer(x, initial_state=[h, h], training=True))
    dropped = outputs == 0
    assert 30 < dropped[0, 0].sum() < 70
    # The same for all steps and clips of a batch, not for another.
    assert (dropped == dropped[:1, :1]).all()
    kept = outputs[0, 0][~dropped[0, 0]]
    expected = 0.5 * np.tanh(0.5 * np.tanh(1 / 0.75))
    np.testing.assert_allclose(kept, expected, rtol=1e-5)
    again = np.asarray(layer(x, initial_state=[h, h], training=True))
    assert ((again == 0) != dropped).any()
    assert not (np.asarray(layer(x, initial_state=[h, h])) == 0).any()


def test_gradients_reach_the_weights_that_are_kept():
    layer = PeepholeLSTM(4, recurrent_dropout=0.5, seed=1)
    x = np.ones((2, 5, 3), "float32")
    layer.build(x.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=True))
    gradient = tape.gradient(loss, layer.cell.recurrent_kernel.value)
    dropped = (np.asarray(gradient) == 0).mean()
    assert 0.2 < dropped < 0.8


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("kind", ["rnn", "loop"])
def test_mixed_precision(kind, policy):
    exact = make(kind)
    mixed = make(kind, dtype=policy)
    if kind == "rnn":
        mixed = keras.layers.RNN(
            PeepholeLSTMCell(UNITS, dtype=policy),
            return_sequences=True,
            return_state=True,
            dtype=policy,
        )
        mixed.build((BATCH, TIME, FEATURES))
    mixed.set_weights(exact.get_weights())
    assert {w.dtype for w in mixed.weights} == {"float32"}
    x, _, _ = inputs()
    sequence = mixed(x)[0]
    assert keras.backend.standardize_dtype(sequence.dtype) == policy[6:]
    np.testing.assert_allclose(
        np.asarray(sequence, "float32"), exact(x)[0], atol=0.05
    )


def test_float64_policy():
    layer = make("loop", dtype="float64")
    x, h, c = inputs()
    x, h, c = (a.astype("float64") for a in (x, h, c))
    expected = oracle.lstm(x, h, c, oracle.lstm_weights(layer))[0]
    np.testing.assert_allclose(
        layer(x, initial_state=[h, c])[0], expected, atol=1e-12
    )


@pytest.mark.parametrize("kind", ["cell", "layer"])
def test_config_round_trip(kind):
    options = {
        "kernel_initializer": keras.initializers.Constant(0.1),
        "forget_bias": 2.0,
        "kernel_regularizer": "l2",
        "dropout": 0.25,
        "recurrent_dropout": 0.125,
        "seed": 7,
        "dtype": "mixed_bfloat16",
        "name": "ours",
    }
    if kind == "cell":
        layer = PeepholeLSTMCell(3, **options)
    else:
        layer = PeepholeLSTM(
            3, return_sequences=True, return_state=True, **options
        )
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert again.compute_dtype == "bfloat16"


# tests/test_import.py has simpler models.
@pytest.mark.hard
def test_functional_model_in_a_fresh_process(fresh_process, tmp_path, rng):
    """With regularisation, initial state and both layers; saved and loaded."""
    clip = keras.Input((TIME, FEATURES))
    state = [keras.Input((UNITS,)), keras.Input((UNITS,))]
    sequence = PeepholeLSTM(
        UNITS, return_sequences=True, kernel_regularizer="l2"
    )(clip, initial_state=state)
    output = keras.layers.RNN(PeepholeLSTMCell(2))(sequence)
    model = keras.Model([clip, *state], output)
    x, h, c = inputs()
    model.compile("adam", "mse", jit_compile=True)
    model.fit([x, h, c], rng.normal(size=(BATCH, 2)), verbose=0)
    assert len(model.losses) == 1
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "x.npz", x=x, h=h, c=c, want=model([x, h, c]))
    fresh_process(
        "import keras, numpy as np, video_repr\n"
        "a = np.load('x.npz')\n"
        "model = keras.models.load_model('model.keras')\n"
        "got = model([a['x'], a['h'], a['c']])\n"
        "np.testing.assert_allclose(got, a['want'], atol=1e-6)\n"
    )


@pytest.mark.parametrize(
    ("make_layer", "message"),
    [
        (lambda: PeepholeLSTM(0), "units must be a whole number of at"),
        (lambda: PeepholeLSTM(2.5), "Received: units=2.5"),
        (lambda: PeepholeLSTMCell(True), "Received: units=True"),
        (lambda: PeepholeLSTM(2, dropout=1.0), "dropout of .* below 1"),
        (lambda: PeepholeLSTM(2, recurrent_dropout=-0.1), "recurrent_dropout"),
    ],
)
def test_wrong_arguments(make_layer, message):
    with pytest.raises(ValueError, match=message):
        make_layer()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m(np.zeros((3, 4))), "batch, time, features"),
        (lambda m: m(np.zeros((3, 0, 4))), "at least one time step"),
        (lambda m: m(np.zeros((3, 2, 9))), "built for sequences of 4 feat"),
        (
            lambda m: m(np.zeros((3, 2, 4)), initial_state=np.zeros((2, 3, 5))),
            r"must be \[h, c\], each of shape \[batch, 6\]",
        ),
        (
            lambda m: m(np.zeros((3, 2, 4)), mask=np.ones((3, 5), bool)),
            r"mask must be of shape \[batch, time\].*\(3, 5\)",
        ),
    ],
)
def test_wrong_calls(call, message):
    layer = PeepholeLSTM(6)
    if "batch, time, features" not in message:
        layer.build((None, None, 4))
    with pytest.raises(ValueError, match=message):
        call(layer)


def test_an_empty_batch_gives_an_empty_result():
    for jit in (False, True):
        layer = make("loop")
        empty = tf.zeros((0, TIME, FEATURES))
        sequence = tf.function(layer, jit_compile=jit)(empty)[0]
        assert sequence.shape == (0, TIME, UNITS)


@pytest.mark.parametrize("from_zeros", [False, True])
@pytest.mark.parametrize("features", [FEATURES, 0])
def test_activations_are_those_of_the_call(features, from_zeros):
    layer = make("loop", features)
    x, h, c = inputs(features)
    state = None if from_zeros else [h, c]
    found = layer.activations(x, state)
    sequence, _, last = layer(x, initial_state=state)
    np.testing.assert_allclose(found["output"], sequence, atol=1e-6)
    np.testing.assert_allclose(found["cell"][:, -1], last, atol=1e-6)
    before = np.zeros_like(c) if from_zeros else c
    before = np.concatenate([before[:, None], found["cell"][:, :-1]], axis=1)
    # What each gate is for: only the right ones give the cells and outputs.
    np.testing.assert_allclose(
        found["forget_gate"] * before
        + found["input_gate"] * found["cell_input"],
        found["cell"],
        atol=1e-6,
    )
    np.testing.assert_allclose(
        found["output_gate"] * np.tanh(found["cell"]),
        found["output"],
        atol=1e-6,
    )


def test_activations_in_mixed_precision_are_those_of_the_weights():
    mixed = make("loop", dtype="mixed_bfloat16")
    x, h, c = inputs()
    found = mixed.activations(x, [h, c])
    for name, want in make("loop").activations(x, [h, c]).items():
        np.testing.assert_array_equal(found[name], want)


def test_rows_for_the_executor_give_what_columns_do():
    layer = make("loop")
    x, _, _ = inputs()
    spec = tf.TensorSpec((None, None, FEATURES))
    with recurrence.for_executor():
        by_rows = tf.function(layer).get_concrete_function(spec)
    for row, expected in zip(by_rows(tf.constant(x)), layer(x), strict=True):
        np.testing.assert_allclose(row, expected, atol=1e-6)
    # The weights themselves are not turned.
    by_columns = tf.function(layer).get_concrete_function(spec)
    assert _turned(by_rows) == 0 < _turned(by_columns)


def _turned(concrete):
    """How many transpositions have as many values as the weights."""
    return sum(
        op.type == "Transpose"
        and op.outputs[0].shape.num_elements() == 4 * UNITS * UNITS
        for op in concrete.graph.get_operations()
    )
