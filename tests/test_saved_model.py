import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr import ActionClassifier
from video_repr import Encoder
from video_repr import InputError
from video_repr import SavedModelEncoder
from video_repr.saved_model import export_encoder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    keras.utils.set_random_seed(0)
    encoder = Encoder((5, 6), dropout=0.3)
    encoder.build((None, None, 4, 4))
    directory = tmp_path_factory.mktemp("export") / "encoder"
    export_encoder(encoder, directory, (4, 4), {"a": 1})
    return encoder, directory


def test_a_process_without_video_repr(exported, fresh_process, tmp_path, rng):
    encoder, directory = exported
    clips = rng.random((3, 7, 4, 4)).astype("float32")
    sequence, states = encoder(clips, return_sequences=True)
    np.savez(tmp_path / "x.npz", clips=clips, s=sequence, c1=states[0][1])
    fresh_process(
        "import sys, numpy as np, tensorflow as tf\n"
        "a = np.load('x.npz')\n"
        "m = tf.saved_model.load(sys.argv[1])\n"
        "assert 'video_repr' not in sys.modules\n"
        "x, s = a['clips'], m.signatures\n"
        "close = np.testing.assert_allclose\n"
        "close(m(x), a['s'][:, -1], atol=1e-6)\n"
        "close(m(x.reshape(3, 7, 16)), a['s'][:, -1], atol=1e-6)\n"
        "close(s['serving_default'](clips=x)['features'], m(x), atol=1e-6)\n"
        "close(s['sequence'](clips=x)['features'], a['s'], atol=1e-6)\n"
        "close(s['states'](clips=x)['c_1'], a['c1'], atol=1e-6)\n"
        "assert m.regularization_losses == []\n"
        "before = [v.numpy() for v in m.trainable_variables]\n"
        "with tf.GradientTape() as tape:\n"
        "    loss = tf.reduce_sum(m(x, training=True) ** 2)\n"
        "for v, g in zip(m.trainable_variables,\n"
        "                tape.gradient(loss, m.trainable_variables)):\n"
        "    v.assign_sub(g)\n"
        "for v, old in zip(m.trainable_variables, before):\n"
        "    assert not np.array_equal(v.numpy(), old), v.name\n"
        "assert not np.allclose(m(x), a['s'][:, -1])\n",
        directory,
    )


def test_gradients_of_the_artefact_are_the_models(exported, rng):
    encoder, directory = exported
    clips = tf.constant(rng.random((3, 7, 4, 4)), tf.float32)
    loaded = tf.saved_model.load(str(directory))
    with tf.GradientTape(persistent=True) as tape:
        ours = tf.reduce_sum(encoder(clips)[-1][0] ** 2)
        theirs = tf.reduce_sum(loaded(clips) ** 2)
    wanted = tape.gradient(ours, [v.value for v in encoder.trainable_variables])
    got = tape.gradient(theirs, list(loaded.trainable_variables))
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_keras_file_beside_it(exported, rng):
    encoder, directory = exported
    again = keras.models.load_model(directory / "encoder.keras")
    clips = rng.random((2, 3, 4, 4)).astype("float32")
    np.testing.assert_allclose(again(clips)[1][0], encoder(clips)[1][0])


def test_a_frame_shape_that_does_not_fit(exported, tmp_path):
    with pytest.raises(InputError, match="frame shape of 16 values"):
        export_encoder(exported[0], tmp_path / "new", (5, 5))
    assert not (tmp_path / "new").exists()


def test_a_layer_of_the_saved_model(exported, rng, tmp_path, fresh_process):
    """In a Keras model: fine-tuned, frozen, saved and loaded again."""
    encoder, directory = exported
    clips = rng.random((6, 7, 4, 4)).astype("float32")
    labels = np.arange(6) % 2
    layer = SavedModelEncoder(directory)
    inputs = keras.Input((None, 4, 4))
    model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
    np.testing.assert_allclose(layer(clips), encoder(clips)[-1][0], atol=1e-6)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    assert len(layer.trainable_variables) == len(encoder.trainable_variables)
    before = layer.get_weights()
    model.fit(clips, labels, epochs=1, verbose=0)
    after = layer.get_weights()
    for old, new in zip(before, after, strict=True):
        assert np.abs(new - old).max() > 0
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "a.npz", clips=clips, want=model(clips))
    fresh_process(
        "import keras, numpy as np, video_repr\n"
        "a = np.load('a.npz')\n"
        "model = keras.models.load_model('model.keras')\n"
        "np.testing.assert_allclose(model(a['clips']), a['want'], atol=1e-6)\n"
    )
    layer.trainable = False
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(clips, labels, epochs=1, verbose=0)
    for old, new in zip(after, layer.get_weights(), strict=True):
        # Dropout draws on.
        if old.dtype.kind == "f":
            np.testing.assert_array_equal(old, new)


def test_it_is_finetuned_like_the_encoder(exported, rng):
    """The same weights after the same steps, around a classifier."""
    encoder, directory = exported
    clips = rng.random((6, 7, 4, 4)).astype("float32")
    labels = np.arange(6) % 3
    plain = Encoder.from_config({**encoder.get_config(), "dropout": 0.0})
    plain.build(clips.shape)
    plain.set_weights(encoder.get_weights())
    export_encoder(plain, directory.parent / "plain", (4, 4))
    taken = SavedModelEncoder(directory.parent / "plain")
    found = []
    for one in (plain, taken):
        model = ActionClassifier(one, 3)
        model.build(clips.shape)
        model.compile(keras.optimizers.Adam(0.01))
        model.fit(clips, labels, epochs=3, shuffle=False, verbose=0)
        found.append(model.get_weights())
        np.testing.assert_allclose(
            model.predict(clips, verbose=0).sum(axis=1), 1, rtol=1e-5
        )
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_no_export(tmp_path, exported):
    with pytest.raises(InputError, match=r"an export with saved_model\.pb"):
        SavedModelEncoder(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\x00garbage")
    with pytest.raises(InputError, match="a whole export"):
        SavedModelEncoder(tmp_path)
    other = tf.train.Checkpoint()
    other.f = tf.function(lambda x: x, input_signature=[tf.TensorSpec(())])
    tf.saved_model.save(other, str(tmp_path / "other"))
    with pytest.raises(InputError, match="that video_repr exported"):
        SavedModelEncoder(tmp_path / "other")
