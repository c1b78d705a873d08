"""What every encoder gives, called alike."""

import inspect
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr import ActionClassifier
from video_repr import CrossEntropySumOverSteps
from video_repr import Decoder
from video_repr import Encoder
from video_repr import InputError
from video_repr import SavedModelEncoder
from video_repr import VideoSeq2Seq
from video_repr import export_encoder

pytestmark = pytest.mark.slow

TIME, FEATURES = 6, 9


def make(**options):
    keras.utils.set_random_seed(1)
    encoder = Encoder((4, 5), **options)
    encoder.build((None, None, FEATURES))
    return encoder


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "encoder"
    export_encoder(make(), path, (FEATURES,))
    return path


@pytest.fixture(params=["of its layers", "of a SavedModel"])
def encoder(request, export):
    """Makes an encoder of one and the same weights."""
    if request.param == "of its layers":
        return make
    return lambda **options: SavedModelEncoder(export, **options)


@pytest.fixture
def clips(rng):
    return rng.normal(size=(3, TIME, FEATURES)).astype("float32")


def test_all_encoders_give_the_same(encoder, clips):
    made = encoder()
    whole = keras.layers.RNN(
        [lstm.cell for lstm in make().lstms],
        return_sequences=True,
        return_state=True,
    )
    sequence, *states = whole(clips)
    assert made.feature_size == 5
    assert made.units == (4, 5)

    def assert_close(got, want):
        for a, b in zip(
            keras.tree.flatten(got), keras.tree.flatten(want), strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-6)

    assert_close(made(clips), sequence[:, -1])
    assert_close(made.encode_sequence(clips), sequence)
    assert_close(made.encode_states(clips), states)
    assert_close(encoder(return_sequences=True)(clips), sequence)
    got = encoder(return_state=True)(clips)
    assert_close(got, [sequence[:, -1], *states])
    got = encoder(return_sequences=True, return_state=True)(clips)
    assert_close(got, [sequence, *states])


def test_all_of_it_in_functional_models(encoder, clips, tmp_path):
    made = encoder()
    entrance = keras.Input((None, FEATURES))
    # The first call has fewer outputs than the last.
    outputs = [made(entrance), made.encode_sequence(entrance)]
    states = made.encode_states(entrance)
    model = keras.Model(entrance, [*outputs, *states[1]])
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    last, sequence, h, _ = model(clips)
    np.testing.assert_allclose(last, made(clips), atol=1e-6)
    np.testing.assert_array_equal(sequence[:, -1], last)
    np.testing.assert_array_equal(h, last)
    assert [output.shape[-1] for output in model.outputs] == [5] * 4


def test_sequential(encoder, clips, tmp_path):
    model = keras.Sequential([encoder(), keras.layers.Dense(10)])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    before = [np.array(w) for w in model.layers[0].trainable_variables]
    model.fit(clips, np.ones((3, 10)), verbose=0)
    for old, new in zip(
        before, model.layers[0].trainable_variables, strict=True
    ):
        assert np.abs(old - np.array(new)).max() > 0
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(clips), model(clips), atol=1e-6)


LENGTHS = 6, 2, 4


def padded(clips):
    """Clips of several lengths, and which of their frames they have."""
    mask = np.arange(TIME) < np.array(LENGTHS)[:, None]
    return np.where(mask[:, :, None], clips, 7.5), mask


def test_padded_clips_are_read_to_their_ends(clips):
    encoder = make()
    together, mask = padded(clips)
    got = encoder(together, mask=mask)
    states = encoder.encode_states(together, mask=mask)
    for i, length in enumerate(LENGTHS):
        alone = clips[i : i + 1, :length]
        np.testing.assert_allclose(got[i], encoder(alone)[0], atol=1e-6)
        for of_all, of_one in zip(
            keras.tree.flatten(states),
            keras.tree.flatten(encoder.encode_states(alone)),
            strict=True,
        ):
            np.testing.assert_allclose(of_all[i], of_one[0], atol=1e-6)
    model = keras.Sequential(
        [
            keras.layers.Masking(7.5),
            make(return_sequences=True),
            keras.layers.GlobalAveragePooling1D(),
        ]
    )
    sequence = encoder.encode_sequence(clips)
    for i, length in enumerate(LENGTHS):
        np.testing.assert_allclose(
            model(together)[i],
            np.mean(sequence[i, :length], axis=0),
            atol=1e-6,
        )


def test_a_mask_goes_on_with_a_sequence_and_nothing_else(clips):
    together, mask = padded(clips)
    for options in ({}, {"return_sequences": True}, {"return_state": True}):
        encoder = make(**options)
        sequence = encoder.encode_sequence(together, mask=mask)
        np.testing.assert_array_equal(sequence._keras_mask, mask)
        states = encoder.encode_states(together, mask=mask)
        for given in (*keras.tree.flatten(states), make()(together, mask=mask)):
            assert getattr(given, "_keras_mask", None) is None


def test_a_classifier_counts_the_frames_of_padded_clips(clips):
    model = ActionClassifier(make(), 3)
    model.build(clips.shape)
    rng = np.random.default_rng(0)
    model.readout.kernel.assign(rng.normal(size=(5, 3)))
    together, mask = padded(clips)
    labels = np.array([0, 1, 2])
    logits = model(together, mask=mask)
    entrance = keras.Input((TIME, FEATURES))
    classifier = keras.Model(
        entrance, model(keras.layers.Masking(7.5)(entrance))
    )
    loss = CrossEntropySumOverSteps()
    classifier.compile("sgd", loss, jit_compile=False)
    total = 0.0
    for i, length in enumerate(LENGTHS):
        alone = model(clips[i : i + 1, :length])
        np.testing.assert_allclose(logits[i, :length], alone[0], atol=1e-6)
        total += float(loss(labels[i : i + 1], alone))
    np.testing.assert_allclose(loss(labels, logits), total / 3, rtol=1e-5)
    np.testing.assert_allclose(
        classifier.evaluate(together, labels, verbose=0), total / 3, rtol=1e-5
    )


def test_pictures_that_are_padded(clips):
    """Also where a row of a picture is black."""
    pictures = np.abs(clips.reshape(3, TIME, 3, 3)) / 9
    pictures[:, :, 0] = 0
    _, mask = padded(clips)
    pictures[~mask] = 0
    encoder = make()
    model = keras.Sequential([keras.layers.Masking(), encoder])
    np.testing.assert_allclose(
        model(pictures), encoder(pictures, mask=mask), atol=1e-6
    )


def test_dropout_in_a_model_around(clips):
    class Around(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = make(input_dropout=0.5)

        def call(self, clips):
            return self.encoder.encode_sequence(clips)

    model = Around()
    assert np.abs(model(clips, training=True) - model(clips)).max() > 0.01


def test_an_encoder_of_ones_own(tmp_path, clips):
    """That of docs/extend.md, as printed."""
    page = pathlib.Path(__file__).parents[2] / "docs" / "extend.md"
    [source] = re.findall(
        r"```python\n(@keras.*?)```", page.read_text(), re.DOTALL
    )
    names = {"keras": keras, "Encoder": Encoder}
    exec(source, names)
    own = names["SquareRootEncoder"]((4,), dropout=0.1)
    clips = np.abs(clips)
    want = own(clips)
    plain = Encoder((4,))
    plain.build(clips.shape)
    plain.set_weights(own.get_weights())
    np.testing.assert_allclose(want, plain(np.sqrt(clips)), atol=1e-6)
    export_encoder(own, tmp_path / "own", (FEATURES,))
    served = SavedModelEncoder(tmp_path / "own")
    np.testing.assert_allclose(served(clips), want, atol=1e-6)
    step = tf.saved_model.load(tmp_path / "own").signatures["step"]
    states = {name: np.zeros((3, 4), np.float32) for name in ("h_1", "c_1")}
    for frame in np.moveaxis(clips, 1, 0):
        states = step(frame=tf.constant(frame), **states)
    np.testing.assert_allclose(states["h_1"], want, atol=1e-6)


def test_what_an_export_does_not_take(export, clips):
    """Nor what nobody takes, under the name of what was called."""
    taken = SavedModelEncoder(export)
    with pytest.raises(InputError, match=r"without mask .* takes mask\. Rec"):
        taken(clips, mask=np.ones((3, TIME), bool))
    states = taken.encode_states(clips)
    with pytest.raises(InputError, match=r"takes initial_states\. Received"):
        taken.encode_states(clips, initial_states=states)
    for one in (taken, make()):
        with pytest.raises(TypeError, match=r"encode_states\(\).*'state'"):
            one.encode_states(clips, state=states)


def made():
    """One of each, of arguments that are not the defaults."""
    given = {
        "units": (4, 5),
        "return_sequences": True,
        "return_state": True,
        "dropout": 0.1,
        "input_dropout": 0.2,
        "recurrent_dropout": 0.3,
        "forget_bias": 1.5,
        "offset": 0.5,
        "scale": 2.0,
        "pixels": False,
    }
    encoder = Encoder(**given, dtype="mixed_bfloat16")
    yield encoder, given
    given = {
        "units": (4, 5),
        "output_dim": 9,
        "conditional": True,
        "output": "linear",
        "first_step": "copy",
        "residual": True,
        "scheduled_sampling": 0.25,
        "dropout": 0.1,
        "forget_bias": 1.0,
        "output_bias": -1.0,
        "seed": 3,
    }
    decoder = Decoder(**given, dtype="mixed_bfloat16")
    yield decoder, given
    given = {
        "encoder": encoder,
        "decoders": {"future": decoder},
        "input_frames": 3,
        "future_frames": 2,
    }
    yield VideoSeq2Seq(**given, dtype="mixed_bfloat16"), given
    given = {
        "encoder": encoder,
        "classes": 3,
        "dropout": 0.25,
        "block": 5,
        "stride": 2,
        "seed": 3,
    }
    yield ActionClassifier(**given, dtype="mixed_bfloat16"), given


def test_arguments_are_mirrored_and_the_dtype_is_handed_down():
    for layer, given in made():
        parameters = inspect.signature(type(layer).__init__).parameters
        assert set(given) == set(parameters) - {"self", "kwargs"}
        for name, value in given.items():
            assert getattr(layer, name) == value, (layer, name)
        config = layer.get_config()
        for name in set(given) - {"encoder", "decoders", "units"}:
            assert config[name] == given[name], (layer, name)
        for inner in layer._flatten_layers():
            assert inner.dtype_policy.name == "mixed_bfloat16", inner.path
