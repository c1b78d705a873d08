import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr import ActionClassifier
from video_repr import Decoder
from video_repr import Encoder
from video_repr import InputError
from video_repr import SavedModelEncoder
from video_repr.export import layout
from video_repr.export.saved_model import export_encoder
from video_repr.transfer.encoders import load_encoder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    keras.utils.set_random_seed(0)
    encoder = Encoder((5, 6), dropout=0.3)
    encoder.build((None, None, 4, 4))
    directory = tmp_path_factory.mktemp("export") / "encoder"
    export_encoder(encoder, directory, (4, 4), input_frames=7)
    return encoder, directory


@pytest.fixture
def copy(exported, tmp_path):
    """An export to damage."""
    return shutil.copytree(exported[1], tmp_path / "copy")


@pytest.mark.parametrize(
    ("jit_compile", "time"),
    [
        pytest.param(False, 7, marks=pytest.mark.hard),
        (False, None),
        # tests/test_takers.py has them of a stranger's process under XLA.
        pytest.param(True, 7, marks=pytest.mark.hard),
        pytest.param(True, None, marks=pytest.mark.hard),
    ],
)
def test_gradients_of_the_export_are_the_models(
    exported, rng, jit_compile, time
):
    encoder, directory = exported
    clips = tf.constant(rng.random((3, 7, 4, 4)), tf.float32)
    taken = tf.saved_model.load(str(directory))
    spec = tf.TensorSpec((None, time, 4, 4))

    @tf.function(jit_compile=jit_compile, input_signature=[spec])
    def gradients_of_taken(clips):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(taken(clips) ** 2)
        return tape.gradient(loss, list(taken.trainable_variables))

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(clips) ** 2)
    wanted = tape.gradient(loss, [v.value for v in encoder.trainable_variables])
    for a, b in zip(gradients_of_taken(clips), wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("conditional", "first_step"),
    [
        (False, "step"),
        (True, "copy"),
        pytest.param(False, "copy", marks=pytest.mark.hard),
        pytest.param(True, "step", marks=pytest.mark.hard),
    ],
)
def test_every_decoder_predicts(rng, tmp_path, conditional, first_step):
    encoder = Encoder((5,), offset=0.5, scale=2.0)
    encoder.build((None, None, 12))
    options = {"conditional": conditional, "first_step": first_step}
    decoder = Decoder((5,), 12, output="linear", **options)
    decoder.build()
    export_encoder(encoder, tmp_path / "e", (2, 2, 3), future=decoder)
    signatures = tf.saved_model.load(str(tmp_path / "e")).signatures
    clips = rng.random((3, 4, 2, 2, 3)).astype("float32")
    states = signatures["states"](clips=clips)
    for steps in (1, 2, 7):
        want = encoder.unscaled(
            decoder(encoder.encode_states(clips), steps=steps)
        )
        frames = signatures["predict_future"](
            steps=tf.constant(steps), **states
        )["frames"]
        assert frames.shape == (3, steps, 2, 2, 3)
        np.testing.assert_allclose(
            frames, np.reshape(want, frames.shape), atol=1e-6
        )
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 1"):
        signatures["predict_future"](steps=tf.constant(0), **states)


def test_what_computes_in_bfloat16_is_exported_in_float32(rng, tmp_path):
    encoder = Encoder((5,), dtype="mixed_bfloat16")
    encoder.build((None, None, 16))
    export_encoder(encoder, tmp_path / "e", (4, 4))
    clips = rng.random((3, 7, 4, 4)).astype("float32")
    found = tf.saved_model.load(str(tmp_path / "e"))(clips)
    assert found.dtype == tf.float32
    plain = load_encoder(tmp_path / "e")
    assert plain.compute_dtype == "float32"
    np.testing.assert_allclose(found, plain(clips), atol=1e-6)
    np.testing.assert_allclose(
        found, tf.cast(encoder(clips), tf.float32), atol=0.02
    )


def test_a_frame_shape_that_does_not_fit(exported, tmp_path):
    with pytest.raises(InputError, match="frames of 16 values"):
        export_encoder(exported[0], tmp_path / "new", (5, 5))
    assert not any(tmp_path.iterdir())


def test_a_layer_whose_dropout_draws(exported, rng):
    layer = SavedModelEncoder(exported[1])
    clips = rng.random((2, 7, 4, 4)).astype("float32")
    np.testing.assert_array_equal(layer(clips), layer(clips))
    assert np.abs(layer(clips, training=True) - layer(clips)).max() > 0.01


# tests/test_takers.py has the same by Keras.
@pytest.mark.hard
def test_it_is_finetuned_like_the_encoder(rng, tmp_path):
    """Around a classifier, whose predictions add up to 1."""
    clips = rng.random((6, 7, 4, 4)).astype("float32")
    plain = Encoder((5, 6))
    plain.build(clips.shape)
    export_encoder(plain, tmp_path / "plain", (4, 4))
    taken = SavedModelEncoder(tmp_path / "plain")
    found = []
    for one in (plain, taken):
        keras.utils.set_random_seed(0)
        model = ActionClassifier(one, 3)
        model.build(clips.shape)
        model.compile(keras.optimizers.Adam(0.01))
        # Batches of a known size: the encoder's outputs have none.
        model.fit(
            clips,
            np.arange(6) % 3,
            batch_size=6,
            epochs=3,
            shuffle=False,
            verbose=0,
        )
        found.append(model.get_weights())
        np.testing.assert_allclose(
            model.predict(clips, verbose=0).sum(axis=1), 1, rtol=1e-5
        )
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_uint8_pixels_are_scaled(exported, rng):
    pixels = rng.integers(0, 256, (2, 7, 4, 4), np.uint8)
    layer = SavedModelEncoder(exported[1])
    want = layer((pixels / 255).astype("float32"))
    np.testing.assert_allclose(layer(pixels), want, atol=1e-6)


@pytest.mark.parametrize(
    "shape",
    [
        (2, 7, 4),
        (2, 7, 5, 4),
        (2, 7, 4, 4, 3),
        (2, 0, 4, 4),
    ],
)
def test_clips_of_another_shape(exported, shape):
    layer = SavedModelEncoder(exported[1])
    expected = "frames of 16 values|at least 1 frame"
    with pytest.raises(ValueError, match=expected) as e:
        layer(np.zeros(shape, "float32"))
    assert str(shape if 0 in shape else shape[2:]) in str(e.value)


def test_what_does_not_fit_is_not_exported(tmp_path, exported):
    encoder = exported[0]
    unbuilt, other = Decoder((5, 6), 16), Decoder((5, 6), 20)
    other.build()
    for parts, message in (
        ((Encoder((5,)), None), "a built encoder"),
        ((encoder, unbuilt), "a built future decoder"),
        ((encoder, other), "20 values for the future decoder"),
    ):
        with pytest.raises(InputError, match=message):
            export_encoder(parts[0], tmp_path / "e", (4, 4), future=parts[1])
    assert not list(tmp_path.iterdir())


def test_its_graph_does_not_turn_the_weights(tmp_path):
    """What is served without XLA is traced for that, by saving too."""
    encoder = Encoder((8,))
    encoder.build((None, None, 4, 4))
    export_encoder(encoder, tmp_path / "e", (4, 4))
    graph = tf.saved_model.load(str(tmp_path / "e")).signatures["encode"].graph
    definition = graph.as_graph_def()
    turned = [
        node.name
        for function in definition.library.function
        for node in function.node_def
        if node.op == "Transpose" and "ReadVariableOp" in node.input[0]
    ]
    assert definition.library.function
    assert not turned


def newer(path):
    change_config(path, lambda config: {**config, "format_version": 2})


def no_version(path):
    change_config(path, lambda config: {"units": [5]})


def change_config(path, change):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(change(config)))


def cut_weights(path):
    [file] = path.glob("variables/*.data*")
    file.write_bytes(file.read_bytes()[:-8])


def other_weights(path):
    [file] = path.glob("variables/*.data*")
    values = bytearray(file.read_bytes())
    values[100] ^= 1
    file.write_bytes(values)


def other_graph(path):
    (path / "saved_model.pb").write_bytes(b"\x00garbage")


def other_keras_file(path):
    (path / "encoder.keras").write_bytes(b"PK")


def no_sums(path):
    (path / "SHA256SUMS").unlink()


def empty_sums(path):
    (path / "SHA256SUMS").write_text("")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (newer, "version 2 in .*, of a newer video_repr than this"),
        (no_version, "that video_repr exported, with a readable config.json"),
        (no_sums, "readable config.json and SHA256SUMS"),
        (empty_sums, "where config.json has none"),
        (cut_weights, "data-00000-of-00001 has been altered or cut short"),
        (other_weights, "data-00000-of-00001 has been altered or cut short"),
        (other_graph, "saved_model.pb has been altered or cut short"),
        (other_keras_file, "encoder.keras has been altered or cut short"),
        (lambda path: shutil.rmtree(path / "variables"), "without variables/"),
    ],
)
@pytest.mark.parametrize(
    "load", [SavedModelEncoder, load_encoder, Encoder.from_preset]
)
def test_damaged_exports(copy, load, damage, message):
    damage(copy)
    with pytest.raises(InputError, match=message) as refused:
        load(copy)
    assert "\n" not in str(refused.value)


def test_only_an_export_is_replaced(exported, copy, tmp_path):
    encoder, _ = exported
    export_encoder(encoder, copy, (4, 4))
    assert layout.check(copy)["encoder"]["input_frames"] is None
    # A home of versions, a project, an export that is a repository as well.
    home, project = tmp_path / "saved_models", tmp_path / "project"
    shutil.copytree(copy, home / "1")
    (project / "src").mkdir(parents=True)
    (project / "src" / "train.py").write_text("mine")
    (copy / ".git").mkdir()
    (copy / ".git" / "HEAD").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for path in (home, project, copy):
        with pytest.raises(InputError, match="an export to replace"):
            export_encoder(encoder, path, (4, 4))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "load", [SavedModelEncoder, load_encoder, Encoder.from_preset]
)
def test_an_export_that_a_kill_left_aside(copy, load):
    """It is put back by whoever reads it, and no other takes its version."""
    home = copy.parent
    copy.rename(home / ".7.replaced")
    assert layout.next_version(home) == home / "8"
    load(home / "7")
    assert [path.name for path in home.iterdir()] == ["7"]


@pytest.mark.parametrize(
    "around",
    [
        lambda layer: keras.Sequential([layer]),
        lambda layer: ActionClassifier(layer, 2),
    ],
    ids=["Sequential", "ActionClassifier"],
)
def test_a_model_whose_export_is_gone(copy, rng, tmp_path, around):
    model = around(SavedModelEncoder(copy))
    model(rng.random((2, 3, 4, 4), np.float32))
    model.save(tmp_path / "model.keras")
    copy.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError) as refused:
        keras.models.load_model(tmp_path / "model.keras")
    message = str(refused.value)
    assert "needs its export, at the same path" in message
    assert message.endswith(f"Received: '{copy}', which does not exist")


def test_no_export(tmp_path):
    with pytest.raises(InputError, match=r"an export with saved_model\.pb"):
        SavedModelEncoder(tmp_path)
    other = tf.train.Checkpoint()
    other.f = tf.function(lambda x: x, input_signature=[tf.TensorSpec(())])
    tf.saved_model.save(other, str(tmp_path / "other"))
    with pytest.raises(InputError, match="that video_repr exported"):
        SavedModelEncoder(tmp_path / "other")


def test_a_keras_file_does_not_run_code(copy):
    """Keras's safe mode, which nothing here turns off."""
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Lambda(lambda x: x)]
    )
    model.save(copy / "encoder.keras")
    from video_repr.export import layout

    layout.seal(copy)
    with pytest.raises(InputError, match="safe_mode"):
        load_encoder(copy)
