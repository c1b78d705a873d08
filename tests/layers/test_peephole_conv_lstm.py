"""The convolutional layer: beside NumPy, Keras's ConvLSTM2D and its cell."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr.layers import PeepholeConvLSTM
from video_repr.layers import PeepholeConvLSTMCell

BATCH, TIME, ROWS, COLUMNS, CHANNELS, FILTERS = 2, 4, 5, 6, 3, 2


@pytest.fixture
def sequences(rng):
    return rng.normal(size=(BATCH, TIME, ROWS, COLUMNS, CHANNELS)).astype(
        np.float32
    )


@pytest.fixture
def states(rng):
    shape = BATCH, ROWS, COLUMNS, FILTERS
    return [rng.normal(size=shape).astype(np.float32) for _ in range(2)]


def random_weights(layer, rng):
    layer.set_weights([0.3 * rng.normal(size=w.shape) for w in layer.weights])
    return layer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def convolve(pictures, kernel, dilation=(1, 1)):
    """ "same", by its definition, in float64."""
    pictures, kernel = pictures.astype(float), np.asarray(kernel, float)
    reach = [
        (size - 1) * step
        for size, step in zip(kernel.shape[:2], dilation, strict=True)
    ]
    padded = np.pad(
        pictures, [(0, 0), *((r // 2, r - r // 2) for r in reach), (0, 0)]
    )
    rows, columns = pictures.shape[1:3]
    found = 0
    for y in range(kernel.shape[0]):
        for x in range(kernel.shape[1]):
            top, left = y * dilation[0], x * dilation[1]
            part = padded[:, top : top + rows, left : left + columns]
            found = found + part @ kernel[y, x]
    return found


def run(cell, sequences, h, c):
    """The cell's equations in float64: h of every step, and c."""
    weights = {w.name: np.asarray(w, float) for w in cell.weights}
    peephole = weights.get("peephole", np.zeros((3, FILTERS)))
    h, c, outputs = h.astype(float), c.astype(float), []
    for x in np.moveaxis(sequences, 1, 0):
        z = convolve(h, weights["recurrent_kernel"])
        if "kernel" in weights:
            z = z + convolve(x, weights["kernel"], cell.dilation_rate)
        zi, zf, zg, zo = np.split(z + weights.get("bias", 0), 4, axis=-1)
        i = sigmoid(zi + peephole[0] * c)
        f = sigmoid(zf + peephole[1] * c)
        c = f * c + i * np.tanh(zg)
        o = sigmoid(zo + peephole[2] * c)
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1), c


@pytest.mark.parametrize("kernel_size", [1, 3, (2, 5)])
@pytest.mark.parametrize("peepholes", ["channel", "full", None])
def test_forward_equals_the_oracle(
    kernel_size, peepholes, sequences, states, rng
):
    layer = PeepholeConvLSTM(
        FILTERS,
        kernel_size,
        peepholes=peepholes,
        return_sequences=True,
        return_state=True,
    )
    layer.build(sequences.shape)
    random_weights(layer, rng)
    zeros = [np.zeros_like(state) for state in states]
    for given, start in ((None, zeros), (states, states)):
        outputs, h, c = layer(sequences, initial_state=given)
        want, want_c = run(layer.cell, sequences, *start)
        np.testing.assert_allclose(outputs, want, atol=1e-5)
        np.testing.assert_allclose(h, want[:, -1], atol=1e-5)
        np.testing.assert_allclose(c, want_c, atol=1e-5)


def test_without_input(states, rng):
    nothing = np.zeros((BATCH, TIME, ROWS, COLUMNS, 0), np.float32)
    layer = PeepholeConvLSTM(FILTERS, 3, return_sequences=True)
    layer.build(nothing.shape)
    assert layer.cell.kernel is None
    random_weights(layer, rng)
    want, _ = run(layer.cell, nothing, *states)
    np.testing.assert_allclose(
        layer(nothing, initial_state=states), want, atol=1e-5
    )


def gradients(layer, sequences, states, mask, jit_compile=False):
    def of(x, h, c):
        with tf.GradientTape() as tape:
            state = [h, c]
            tape.watch([x, *state])
            outputs = tf.nest.flatten(
                layer(
                    x,
                    initial_state=state,
                    mask=None if mask is None else tf.constant(mask),
                )
            )
            # Of another weight for every value.
            loss = sum(
                tf.reduce_sum(
                    tf.cast(value, tf.float32)
                    * tf.cos(tf.reshape(tf.range(1.0, n + 1), value.shape))
                )
                for value in outputs
                for n in [float(np.prod(value.shape))]
            )
        weights = layer.trainable_variables
        return outputs, tape.gradient(
            loss, [x, *state, *(getattr(w, "value", w) for w in weights)]
        )

    if jit_compile:
        of = tf.function(of, jit_compile=True)
    return of(tf.constant(sequences), *map(tf.constant, states))


def alike(ours, theirs, atol=2e-5):
    for a, b in zip(
        tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=atol)


OPTIONS = {
    "last": {},
    "sequences": {"return_sequences": True},
    "sequences and state": {"return_sequences": True, "return_state": True},
    "backwards": {"return_sequences": True, "go_backwards": True},
    "dilation": {"return_sequences": True, "dilation_rate": 2},
    "use_bias": {"use_bias": False},
    "wide": {"kernel_size": (3, 5)},
    "unroll": {"return_sequences": True, "unroll": True},
    "even": {"kernel_size": 2, "return_sequences": True},
}
MASK = np.array([[True, False, True, True], [False, True, True, False]])


@pytest.mark.parametrize(
    ("options", "masked", "jit_compile"),
    [
        *((options, masked, False) for options in OPTIONS for masked in (0, 1)),
        ("sequences and state", 1, True),
    ],
)
def test_values_and_gradients_are_those_of_conv_lstm_2d(
    options, masked, jit_compile, sequences, states, rng
):
    options = {"kernel_size": 3, **OPTIONS[options]}
    theirs = keras.layers.ConvLSTM2D(FILTERS, padding="same", **options)
    theirs.build(sequences.shape)
    random_weights(theirs, rng)
    ours = PeepholeConvLSTM(FILTERS, peepholes=None, **options)
    ours.build(sequences.shape)
    ours.set_weights(theirs.get_weights())
    mask = MASK if masked else None
    alike(
        gradients(ours, sequences, states, mask, jit_compile),
        gradients(theirs, sequences, states, mask),
    )


@pytest.mark.parametrize("peepholes", ["channel", "full"])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_those_of_the_cell(
    peepholes, masked, sequences, states, rng
):
    """TensorFlow's own, of one step after another."""
    layer = PeepholeConvLSTM(
        FILTERS, 3, peepholes=peepholes, return_sequences=True
    )
    layer.build(sequences.shape)
    random_weights(layer, rng)
    again = keras.layers.RNN(
        PeepholeConvLSTMCell(FILTERS, 3, peepholes=peepholes),
        return_sequences=True,
    )
    again.build(sequences.shape)
    again.set_weights(layer.get_weights())
    mask = MASK if masked else None
    alike(
        gradients(layer, sequences, states, mask),
        gradients(again, sequences, states, mask),
    )


def test_no_state_is_a_state_of_zeros(sequences, states, rng):
    layer = PeepholeConvLSTM(FILTERS, 3, return_state=True)
    layer.build(sequences.shape)
    random_weights(layer, rng)
    zeros = [np.zeros_like(state) for state in states]

    def weight_gradients(initial_state):
        with tf.GradientTape() as tape:
            loss = sum(map(tf.reduce_sum, layer(sequences, initial_state)))
        return tape.gradient(loss, [w.value for w in layer.weights])

    alike(weight_gradients(None), weight_gradients(zeros))


def test_the_cell_is_float32_in_mixed_precision(sequences):
    layer = PeepholeConvLSTM(
        FILTERS, 3, dtype="mixed_bfloat16", return_state=True
    )
    output, h, c = layer(sequences)
    assert (output.dtype, h.dtype, c.dtype) == (
        "bfloat16",
        "bfloat16",
        "float32",
    )
    exact = PeepholeConvLSTM(FILTERS, 3)
    exact.build(sequences.shape)
    exact.set_weights(layer.get_weights())
    np.testing.assert_allclose(
        tf.cast(output, "float32"), exact(sequences), atol=0.02
    )
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(sequences)[0])
    found = tape.gradient(loss, [w.value for w in layer.weights])
    assert {value.dtype for value in found} == {tf.float32}


def test_a_grid_of_another_size(sequences, rng):
    layer = PeepholeConvLSTM(FILTERS, 3)
    layer.build((None, None, None, None, CHANNELS))
    random_weights(layer, rng)
    larger = np.concatenate([sequences, sequences], axis=2)
    assert layer(larger).shape == (BATCH, 2 * ROWS, COLUMNS, FILTERS)
    full = PeepholeConvLSTM(FILTERS, 3, peepholes="full")
    full(sequences)
    with pytest.raises(ValueError, match="full peepholes for 5 x 6"):
        full(larger)


def test_saved_and_loaded(sequences, tmp_path):
    inputs = keras.Input(sequences.shape[1:])
    sequence = PeepholeConvLSTM(
        FILTERS, 3, peepholes="full", return_sequences=True, dilation_rate=2
    )(inputs)
    outputs = keras.layers.Bidirectional(PeepholeConvLSTM(2, 3))(sequence)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse", jit_compile=False)
    model.fit(
        sequences, np.zeros(outputs.shape[1:])[None].repeat(2, 0), verbose=0
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(sequences), model(sequences), atol=1e-6)


def test_stateful(sequences, rng):
    layer = PeepholeConvLSTM(FILTERS, 3, stateful=True)
    layer.build(sequences.shape)
    random_weights(layer, rng)
    whole = PeepholeConvLSTM(FILTERS, 3)
    whole.build(sequences.shape)
    whole.set_weights(layer.get_weights())
    layer(sequences[:, :2])
    np.testing.assert_allclose(
        layer(sequences[:, 2:]), whole(sequences), atol=1e-5
    )
    layer.reset_state()
    np.testing.assert_allclose(layer(sequences), whole(sequences), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PeepholeConvLSTM(2, 0), "kernel_size must be a positive"),
        (lambda: PeepholeConvLSTM(2, (3, 3, 3)), "kernel_size must be"),
        (
            lambda: PeepholeConvLSTM(2, 3, strides=2),
            r"strides must be \(1, 1\)",
        ),
        (lambda: PeepholeConvLSTM(2, 3, padding="valid"), "must be 'same'"),
        (
            lambda: PeepholeConvLSTM(2, 3, data_format="channels_first"),
            "must be 'channels_last'",
        ),
        (lambda: PeepholeConvLSTM(2, 3, peepholes="rows"), "peepholes='rows'"),
        (
            lambda: PeepholeConvLSTM(2, 3)(np.zeros((2, 4, 9), np.float32)),
            "rows, columns, channels",
        ),
        (
            lambda: PeepholeConvLSTM(2, 3)(
                np.zeros((2, 0, 4, 4, 1), "float32")
            ),
            "at least one time step",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_states_of_another_grid(sequences, states):
    layer = PeepholeConvLSTM(FILTERS, 3)
    with pytest.raises(ValueError, match=r"of shape \[batch, 5, 6, 2\]"):
        layer(sequences, initial_state=[state[:, 1:] for state in states])
    with pytest.raises(ValueError, match="pictures of 3 channels"):
        layer(sequences[..., :2])
