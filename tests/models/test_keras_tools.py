"""What Keras offers for its own models, with those of the package."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr import ActionClassifier
from video_repr import Decoder
from video_repr import Encoder
from video_repr import PeepholeLSTM
from video_repr import VideoSeq2Seq

DOT = shutil.which("dot")
TIME, FEATURES = 5, 9


def encoder():
    return Encoder((4, 3))


def composite():
    decoders = {
        "reconstruction": Decoder((4, 3), FEATURES),
        "future": Decoder((4, 3), FEATURES, conditional=True),
    }
    return VideoSeq2Seq(encoder(), decoders, input_frames=3, future_frames=2)


def classifier():
    return ActionClassifier(encoder(), 2, dropout=0.5)


def functional():
    clips = keras.Input((TIME, FEATURES))
    h = PeepholeLSTM(4, return_sequences=True)(clips)
    return keras.Model(clips, keras.layers.Dense(2)(Encoder((3,))(h)))


@pytest.fixture(params=[encoder, composite, classifier, functional])
def model(request, clips):
    keras.utils.set_random_seed(1)
    model = request.param()
    model(clips)
    return model


@pytest.fixture
def clips(rng):
    return rng.random((2, TIME, FEATURES), np.float32)


def assert_close(got, want):
    for a, b in zip(
        keras.tree.flatten(got), keras.tree.flatten(want), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_summary_has_every_layer_and_its_shape(model):
    lines = []
    model.summary(expand_nested=True, print_fn=lambda s, **_: lines.append(s))
    text = "\n".join(lines)
    assert "?" not in text
    for layer in model.layers:
        assert layer.name in text
        assert model.get_layer(layer.name) is layer


@pytest.mark.skipif(DOT is None, reason="needs Graphviz's dot")
def test_plots(tmp_path):
    """Of each model by itself, and of a functional model with all of them."""
    entrance = keras.Input((TIME, FEATURES))
    models = [encoder(), composite(), classifier()]
    together = keras.Model(entrance, [model(entrance) for model in models])
    options = {
        "show_shapes": True,
        "show_dtype": True,
        "show_layer_names": True,
        "show_layer_activations": True,
        "show_trainable": True,
        "expand_nested": True,
    }
    for plotted in (*models, together):
        path = tmp_path / f"{plotted.name}.png"
        keras.utils.plot_model(plotted, path, **options)
        assert path.read_bytes().startswith(b"\x89PNG")
        written = keras.utils.model_to_dot(plotted, **options).to_string()
        for model in models if plotted is together else [plotted]:
            assert f"<b>{model.name}</b>" in written
            for output in keras.tree.flatten(model.output):
                assert str(output.shape) in written


def test_shapes_are_what_a_call_returns(model, clips):
    shapes = keras.tree.map_structure(lambda x: tuple(x.shape), model(clips))
    assert model.compute_output_shape(clips.shape) == shapes


def test_copies_by_config(model, clips):
    for copy in (
        keras.models.clone_model(model),
        keras.models.model_from_json(model.to_json()),
    ):
        copy(clips)
        copy.set_weights(model.get_weights())
        assert_close(copy(clips), model(clips))


def test_a_loaded_model_has_a_summary(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    lines = []
    again.summary(expand_nested=True, print_fn=lines.append)
    assert f"{model.count_params():,}" in "".join(lines)


def test_padded_clips_in_a_sequential_model(clips):
    model = keras.Sequential([Encoder((4,)), keras.layers.Dense(2)])
    mask = np.arange(clips.shape[1]) < [[2], [clips.shape[1]]]
    padded = {"clips": clips, "mask": mask}
    found = model(padded)
    assert_close(found[:1], model(clips[:1, :2]))
    assert_close(found[1:], model(clips[1:]))
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(padded, np.zeros((len(clips), 2)), verbose=0)


def test_weights_by_themselves(model, clips, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    copy = keras.models.clone_model(model)
    copy(clips)
    copy.load_weights(tmp_path / "model.weights.h5")
    assert_close(copy(clips), model(clips))


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        composite,
        classifier,
        # A layer of the classifier, and a layer of Keras's own.
        pytest.param(encoder, marks=pytest.mark.hard),
        pytest.param(functional, marks=pytest.mark.hard),
    ],
    indirect=True,
)
def test_exports_of_keras(model, clips, tmp_path):
    model.export(tmp_path / "export", verbose=False)
    exported = tf.saved_model.load(tmp_path / "export")
    assert_close(exported.serve(clips), model(clips))


def test_states_are_not_exported_by_keras(tmp_path, clips):
    with_states = Encoder((4,), return_state=True)
    with_states(clips)
    with pytest.raises(ValueError, match="or export_encoder"):
        with_states.export(tmp_path / "export")


def test_several_clips_of_a_video(clips):
    one = encoder()
    videos = np.stack([clips, clips[::-1], clips])
    features = keras.layers.TimeDistributed(one)(videos)
    assert_close(features[1], one(clips[::-1]))
