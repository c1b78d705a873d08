"""`PeepholeLSTM` with peepholes of zero is `keras.layers.LSTM`."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr import PeepholeLSTM
from video_repr import PeepholeLSTMCell

pytestmark = [pytest.mark.slow, pytest.mark.oldest]

BATCH, TIME, FEATURES, UNITS = 4, 5, 3, 6
KERAS = {"unit_forget_bias": True}
MASKS = {
    "none": None,
    "padded behind": [[1] * n + [0] * (TIME - n) for n in (5, 3, 1, 4)],
    "padded before": [[0] * (TIME - n) + [1] * n for n in (5, 3, 1, 4)],
    "with holes": [[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [1] * 5, [0, 0, 1, 0, 1]],
    "of nothing": [[0] * TIME, [1] * TIME, [0] * TIME, [1, 0, 0, 0, 0]],
}
OPTIONS = {
    "last output": {},
    "sequences": {"return_sequences": True},
    "sequences and state": {"return_sequences": True, "return_state": True},
    "last output and state": {"return_state": True},
    "go_backwards": {"go_backwards": True, "return_sequences": True},
    "use_bias": {"use_bias": False, "return_state": True},
    "unroll": {"unroll": True, "return_sequences": True},
    "unroll go_backwards": {"unroll": True, "go_backwards": True},
    "zero_output_for_mask": {
        "zero_output_for_mask": True,
        "return_sequences": True,
        "return_state": True,
    },
    "stateful": {"stateful": True, "return_state": True},
}


def pair(**options):
    """The two layers, of equal weights."""
    ours = PeepholeLSTM(UNITS, **KERAS, **options)
    theirs = keras.layers.LSTM(UNITS, use_cudnn=False, **options)
    for layer in (ours, theirs):
        layer.build((BATCH, TIME, FEATURES))
    equalise(ours, theirs)
    return ours, theirs


def equalise(ours, theirs):
    rng = np.random.default_rng(0)
    for weight in theirs.trainable_variables:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    kernel, recurrent, *bias = theirs.get_weights()[
        : len(theirs.trainable_variables)
    ]
    values = [kernel, recurrent, np.zeros((3, UNITS)), *bias]
    for weight, value in zip(ours.trainable_variables, values, strict=True):
        weight.assign(value)


def sequences(seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")


def initial_state():
    rng = np.random.default_rng(2)
    return [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in "hc"]


def outputs_and_gradients(layer, x, mask, state, jit_compile):
    rng = np.random.default_rng(3)

    def run(x, state):
        with tf.GradientTape() as tape:
            tape.watch([x, state])
            outputs = tf.nest.flatten(
                layer(x, initial_state=state or None, mask=mask)
            )
            loss = tf.add_n(
                [
                    tf.reduce_sum(value * rng.normal(size=value.shape))
                    for value in outputs
                ]
            )
        weights = [w.value for w in layer.trainable_variables]
        return outputs, tape.gradient(loss, [x, *state, *weights])

    if jit_compile:
        run = tf.function(run, jit_compile=True)
    return run(tf.constant(x), [tf.constant(value) for value in state])


def assert_alike(ours, theirs):
    ours, theirs = tf.nest.flatten(ours), tf.nest.flatten(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize(
    ("options", "mask", "jit_compile"),
    [
        *((options, mask, False) for options in OPTIONS for mask in MASKS),
        # XLA compiles the same for every mask.
        ("go_backwards", "with holes", True),
        *(
            pytest.param(*case, True, marks=pytest.mark.hard)
            for case in (
                ("sequences and state", "with holes"),
                ("unroll", "with holes"),
                ("stateful", "with holes"),
                ("use_bias", "none"),
            )
        ),
    ],
)  # fmt: skip
def test_values_and_gradients(options, mask, jit_compile):
    mask = MASKS[mask] and np.array(MASKS[mask], bool)
    layers = pair(**OPTIONS[options])
    states = [[]] if OPTIONS[options].get("stateful") else [[], initial_state()]
    for state in states:
        (ours, gradients), (theirs, expected) = (
            outputs_and_gradients(layer, sequences(), mask, state, jit_compile)
            for layer in layers
        )
        assert_alike(ours, theirs)
        # The peepholes' is in the third place of the weights.
        del gradients[1 + len(state) + 2]
        assert_alike(gradients, expected)


@pytest.mark.parametrize(
    "around",
    [
        lambda layer: [keras.layers.Masking(), layer],
        lambda layer: [keras.layers.Bidirectional(layer)],
        lambda layer: [
            keras.layers.Masking(),
            keras.layers.Bidirectional(layer, merge_mode="sum"),
        ],
        lambda layer: [
            keras.layers.Masking(), layer, keras.layers.TimeDistributed(
                keras.layers.Dense(2, kernel_initializer="ones")
            ),
        ],
        lambda layer: [
            layer, type(layer).from_config(
                {**layer.get_config(), "name": "second"}
            ),
        ],
        lambda layer: [
            keras.layers.Masking(), layer,
            keras.layers.GlobalAveragePooling1D(),
        ],
    ],
    ids=["masking", "bidirectional", "masked bidirectional", "time distributed",
         "two", "a mask for what follows"],
)  # fmt: skip
@pytest.mark.parametrize("time", [TIME, None])
def test_in_models(around, time):
    outputs = []
    x = sequences()
    x[0, 3:] = x[2, 1] = x[3, :2] = 0
    for make, options in (
        (PeepholeLSTM, KERAS),
        (keras.layers.LSTM, {"use_cudnn": False}),
    ):
        layer = make(UNITS, return_sequences=True, **options)
        model = keras.Sequential(
            [keras.Input((time, FEATURES)), *around(layer)]
        )
        rng = np.random.default_rng(0)
        for weight in model.trainable_variables:
            if weight.name == "peephole":
                weight.assign(np.zeros(weight.shape))
            else:
                weight.assign(rng.normal(0, 0.7, weight.shape))
        outputs.append(model(x))
    assert_alike(*outputs)


def test_words():
    """A mask that an embedding makes."""
    outputs = []
    words = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [1, 1, 1, 1]])
    embedding = keras.layers.Embedding(4, FEATURES, mask_zero=True)
    for layer in pair():
        model = keras.Sequential([embedding, layer])
        outputs.append(model(words))
    assert_alike(*outputs)


def test_stateful_until_it_is_reset():
    layers = pair(stateful=True, return_sequences=True)
    first, second = (
        [layer(sequences(seed)) for seed in (1, 2)] for layer in layers
    )
    assert_alike(first, second)
    assert np.abs(first[1] - layers[0](sequences(2))).max() > 0.01
    for layer in layers:
        layer.reset_state()
    assert_alike(layers[0](sequences(2)), layers[1](sequences(2)))
    with pytest.raises(ValueError, match="batches of one size, 4"):
        layers[0](sequences()[:2])
    with pytest.raises(ValueError, match="batch size must be static"):
        PeepholeLSTM(2, stateful=True).build((None, TIME, FEATURES))


def test_regularizers_and_constraints_in_training():
    options = {
        "kernel_regularizer": "l2",
        "recurrent_regularizer": "l1",
        "bias_regularizer": "l2",
        "activity_regularizer": keras.regularizers.L2(0.1),
        "kernel_constraint": "non_neg",
        "recurrent_constraint": keras.constraints.MaxNorm(0.5),
        "bias_constraint": "unit_norm",
    }
    layers = pair(**options)
    for layer in layers:
        layer(sequences())
    ours, theirs = (sum(layer.losses) for layer in layers)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for layer in layers:
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.fit(
            sequences(), np.ones((BATCH, UNITS)), shuffle=False, epochs=2,
            verbose=0,
        )  # fmt: skip
    ours, theirs = (layer.get_weights() for layer in layers)
    # The peepholes are trained too.
    assert np.abs(ours.pop(2)).max() > 0
    assert ours[0].min() >= 0
    np.testing.assert_allclose(np.linalg.norm(ours[2]), 1, rtol=1e-5)


def test_peepholes_have_theirs():
    layer = PeepholeLSTM(
        UNITS,
        peephole_initializer="ones",
        peephole_regularizer=keras.regularizers.L1(1.0),
        peephole_constraint="non_neg",
    )
    layer(sequences())
    np.testing.assert_allclose(sum(layer.losses), 3 * UNITS)
    assert isinstance(layer.cell.peephole.constraint, keras.constraints.NonNeg)


def test_attributes_and_config():
    options = {
        "dropout": 0.25,
        "recurrent_dropout": 0.5,
        "use_bias": False,
        "return_sequences": True,
        "stateful": True,
        "kernel_constraint": "max_norm",
        "activity_regularizer": "l2",
        "bias_regularizer": "l1",
        "seed": 3,
    }
    ours = PeepholeLSTM(UNITS, **KERAS, **options)
    theirs = keras.layers.LSTM(UNITS, **options)
    names = set(inspect.signature(keras.layers.LSTM).parameters)
    for name in names - {"kwargs", "use_cudnn", "seed"}:
        a, b = getattr(ours, name), getattr(theirs, name)
        if name.endswith("_initializer"):
            continue
        plain = isinstance(b, bool | int | float | str | None)
        assert a == b if plain else type(a) is type(b), name
    config, expected = ours.get_config(), theirs.get_config()
    assert set(expected) <= {*config, "use_cudnn"}
    again = PeepholeLSTM.from_config(config)
    assert again.get_config() == config


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (PeepholeLSTM, keras.layers.LSTM),
        (PeepholeLSTMCell, keras.layers.LSTMCell),
    ],
)
def test_names_and_positions_of_arguments(ours, theirs):
    ours, theirs = (
        [
            name
            for name, parameter in inspect.signature(of).parameters.items()
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            and name != "use_cudnn"
        ]
        for of in (ours, theirs)
    )
    assert ours == theirs
    call, expected = (
        list(inspect.signature(of.call).parameters)
        for of in (PeepholeLSTM, keras.layers.LSTM)
    )
    assert call == expected


def test_masks_and_shapes_are_told():
    mask = tf.constant(np.array(MASKS["with holes"], bool))
    for options in OPTIONS.values():
        ours, theirs = pair(**options)
        x = sequences()
        told, expected = (
            layer.compute_mask(x, mask) for layer in (ours, theirs)
        )
        assert tf.nest.flatten(told) == tf.nest.flatten(expected)
        assert ours.compute_output_shape(x.shape) == (
            theirs.compute_output_shape(x.shape)
        )


def test_kerass_initial_weights():
    keras.utils.set_random_seed(0)
    layer = PeepholeLSTM(
        64,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        unit_forget_bias=True,
    )
    layer.build((None, None, 32))
    kernel, recurrent, _, bias = layer.get_weights()
    assert np.abs(kernel).max() == pytest.approx(
        np.sqrt(6 / (32 + 256)), rel=1e-2
    )
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(64), atol=1e-5)
    assert bias.reshape(4, 64).mean(axis=1).tolist() == [0, 1, 0, 0]
    of_twos = PeepholeLSTM(2, bias_initializer=keras.initializers.Constant(2),
                           unit_forget_bias=True)  # fmt: skip
    of_twos.build((None, None, 3))
    assert of_twos.get_weights()[3].tolist() == [2, 2, 1, 1, 2, 2, 2, 2]
    with pytest.raises(ValueError, match="unit_forget_bias=True is"):
        PeepholeLSTM(2, unit_forget_bias=True, forget_bias=2.0)


def test_variational_dropout_is_the_same_at_every_step():
    """As Keras has it; of a state of ones, with weights that hand it on."""
    layer = PeepholeLSTM(
        UNITS, dropout=0.5, recurrent_dropout=0.5, variational_dropout=True,
        return_sequences=True,
    )  # fmt: skip
    layer.build((None, TIME, FEATURES))
    ones = np.ones((BATCH, TIME, FEATURES), "float32")
    driven = layer.cell.drive(tf.constant(ones), training=True)
    np.testing.assert_array_equal(driven, driven[:, :1] + 0 * driven)
    assert np.ptp(driven[:, 0], axis=0).max() > 0
    kept = layer.cell.kept(tf.ones((BATCH, UNITS)), training=True).numpy()
    assert set(kept.flat) == {0.0, 2.0}
    # Where what returns is dropped, its weights get no gradient.
    seed = layer.cell.seed_generator.state.numpy()
    with tf.GradientTape() as tape:
        output = tf.reduce_sum(layer(ones[:1], training=True))
    gradient = tape.gradient(output, layer.cell.recurrent_kernel.value)
    layer.cell.seed_generator.state.assign(seed)
    layer.cell.drive(tf.constant(ones[:1]), training=True)
    kept = layer.cell.kept(tf.ones((1, UNITS)), training=True)[0]
    rows = np.abs(gradient).max(axis=1)
    np.testing.assert_array_equal(rows > 0, kept > 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "relu"}, "activation must be 'tanh'"),
        ({"activation": None}, "activation must be 'tanh'"),
        (
            {"recurrent_activation": "hard_sigmoid"},
            "recurrent_activation must be 'sigmoid'",
        ),
    ],
)
def test_activations_that_there_are_not(options, message):
    with pytest.raises(ValueError, match=message):
        PeepholeLSTM(2, **options)
    layer = PeepholeLSTM(2, "tanh", keras.activations.sigmoid)
    assert layer.activation is keras.activations.tanh


def test_ragged_sequences():
    ragged = tf.RaggedTensor.from_row_lengths(tf.zeros((3, FEATURES)), [1, 2])
    layer = PeepholeLSTM(2)
    layer.build((None, None, FEATURES))
    with pytest.raises(ValueError, match="to_tensor"):
        layer(ragged)


def test_saved_and_loaded(tmp_path):
    options = {
        "use_bias": False,
        "return_sequences": True,
        "recurrent_constraint": "max_norm",
        "variational_dropout": True,
        "recurrent_dropout": 0.5,
    }
    model = keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            keras.layers.Masking(),
            keras.layers.Bidirectional(PeepholeLSTM(UNITS, **options)),
            PeepholeLSTM(UNITS, unroll=False),
        ]
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(sequences()), again(sequences()))
    assert again.layers[-1].units == UNITS
