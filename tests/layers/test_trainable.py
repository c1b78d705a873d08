"""What is saved as frozen stays frozen: Keras's own LSTM is the oracle."""

import keras
import numpy as np
import pytest

from video_repr import ActionClassifier
from video_repr import Decoder
from video_repr import Encoder
from video_repr import VideoSeq2Seq
from video_repr.layers import PeepholeLSTM
from video_repr.optimizers import LayerwiseAdam

pytestmark = pytest.mark.oldest

TIME, FEATURES, UNITS = 5, 6, 3


def classifier(**options):
    return ActionClassifier(Encoder((UNITS, UNITS)), 3, **options)


def seq2seq(**options):
    return VideoSeq2Seq(
        Encoder((UNITS,)),
        {
            # Of one name: which is frozen has to be known all the same.
            "reconstruction": Decoder((UNITS,), FEATURES, name="decoder"),
            "future": Decoder((UNITS,), FEATURES, name="decoder"),
        },
        input_frames=3,
        future_frames=2,
        **options,
    )


def freeze(*parts):
    def act(layer):
        for part in parts:
            part(layer).trainable = False

    return act


WHOLE = freeze(lambda layer: layer)


CASES = {
    "a frozen encoder": (lambda: Encoder((UNITS,)), WHOLE),
    "the lower layer of an encoder": (
        lambda: Encoder((UNITS, UNITS)),
        freeze(lambda e: e.lstms[0]),
    ),
    "a frozen classifier": (classifier, WHOLE),
    "a linear probe": (classifier, freeze(lambda c: c.encoder)),
    "a readout alone": (classifier, freeze(lambda c: c.readout)),
    "half an encoder in a classifier": (
        classifier,
        freeze(lambda c: c.encoder.lstms[0]),
    ),
    "a frozen seq2seq": (seq2seq, WHOLE),
    "the encoder of a seq2seq": (seq2seq, freeze(lambda s: s.encoder)),
    "a decoder": (seq2seq, freeze(lambda s: s.decoders["future"])),
    "a decoder's readout": (
        seq2seq,
        freeze(lambda s: s.decoders["reconstruction"].readout),
    ),
    "nothing": (seq2seq, freeze()),
}


def flags(layer):
    return [variable.trainable for variable in layer.weights]


@pytest.mark.parametrize("name", CASES)
def test_what_is_loaded_trains_what_was_saved_as_trainable(name, tmp_path):
    make, act = CASES[name]
    model = make()
    model.build((None, TIME, FEATURES))
    act(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    copy = type(model).from_config(model.get_config())
    copy.build((None, TIME, FEATURES))
    for again in (loaded, copy):
        assert flags(again) == flags(model)
        assert len(again.trainable_variables) == len(model.trainable_variables)
        # What is thawed trains again; Keras hands down what changes.
        again.trainable = False
        again.trainable = True
        assert all(flags(again))


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.LSTM(UNITS, trainable=False),
        lambda: PeepholeLSTM(UNITS, trainable=False),
        lambda: PeepholeLSTM(UNITS, trainable=False, dropout=0.1),
    ],
)
@pytest.mark.parametrize("how", ["as it is", "cloned", "loaded"])
def test_a_layer_that_is_made_frozen_does_not_move(rng, tmp_path, make, how):
    model = keras.Sequential(
        [
            keras.Input((TIME, FEATURES)),
            make(),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    if how == "cloned":
        model = keras.models.clone_model(model)
    if how == "loaded":
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")
    model.compile(
        keras.optimizers.Adam(0.1),
        keras.losses.SparseCategoricalCrossentropy(True),
        jit_compile=False,
    )
    layer, head = model.layers[0], model.layers[-1]
    before, head_before = layer.get_weights(), head.get_weights()
    clips = rng.random((6, TIME, FEATURES), np.float32)
    model.fit(clips, np.arange(6) % 3, verbose=0)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(head_before[0] - head.get_weights()[0]).max() > 0.01


@pytest.mark.parametrize(
    "make",
    [
        lambda: Encoder((UNITS, UNITS), trainable=False),
        lambda: classifier(trainable=False),
        lambda: seq2seq(trainable=False),
    ],
)
def test_a_model_that_is_made_frozen_is_frozen_inside_of_another(make):
    model = make()
    model.build((None, TIME, FEATURES))
    assert not any(flags(model))
    model.trainable = True
    assert all(flags(model))


def test_a_decoder_that_is_made_frozen():
    decoder = Decoder((UNITS,), FEATURES, conditional=True, trainable=False)
    decoder.build()
    assert decoder.weights and not any(flags(decoder))


def test_a_frozen_cell():
    layer = PeepholeLSTM(UNITS)
    layer.cell.trainable = False
    again = PeepholeLSTM.from_config(layer.get_config())
    again.build((None, TIME, FEATURES))
    assert again.trainable
    assert not again.trainable_variables


def test_a_file_of_version_0_1_that_was_frozen():
    """It tells of the encoder, and not of what is inside."""
    encoder = Encoder((UNITS,))
    encoder.trainable = False
    config = encoder.get_config()
    for key in ("frozen", "pixels"):
        del config[key]
    again = Encoder.from_config(config)
    again.build((None, TIME, FEATURES))
    assert not any(flags(again))


def adam(model):
    return keras.optimizers.Adam(0.1)


def layerwise(model):
    """As fine-tuning has it, by the paths of the layers."""
    upper = model.encoder.lstms[1]
    return LayerwiseAdam(0.1, factors={f"{upper.path}/": 0.01})


@pytest.mark.parametrize(
    ("optimizer", "frozen"), [(adam, True), (layerwise, False)]
)
def test_training_goes_on_where_it_was(rng, tmp_path, optimizer, frozen):
    """Of a probe too, whose optimizer has the readout's moments alone."""
    clips, labels = (
        rng.random((6, TIME, FEATURES), np.float32),
        np.arange(6) % 3,
    )
    model = classifier()
    # Before the classifier: as when it is loaded.
    model.encoder.build(clips.shape)
    model.build(clips.shape)
    model.encoder.lstms[0].trainable = not frozen
    model.compile(optimizer(model), jit_compile=False)
    model.fit(clips, labels, shuffle=False, epochs=2, verbose=0)
    model.save(tmp_path / "classifier.keras")
    again = keras.models.load_model(tmp_path / "classifier.keras")
    for one in (model, again):
        one.fit(clips, labels, shuffle=False, epochs=2, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
