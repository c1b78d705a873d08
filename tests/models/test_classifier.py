"""The action classifier against NumPy, and through files."""

import keras
import numpy as np
import pytest

from video_repr import ActionClassifier
from video_repr import CrossEntropySumOverSteps
from video_repr import Encoder
from video_repr import InputError
from video_repr.data.clips import block_starts

CLASSES = 3


@pytest.fixture
def classifier(rng):
    keras.utils.set_random_seed(0)
    model = ActionClassifier(Encoder((5, 4)), CLASSES, block=6, stride=3)
    model.build((None, 6, 7))
    # Softmaxes that start at zero would hide what is wrong.
    model.readout.kernel.assign(rng.normal(size=(4, CLASSES)))
    return model


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_a_softmax_at_every_step(classifier, rng):
    clips = rng.random((2, 6, 7), np.float32)
    sequence = classifier.encoder.encode_sequence(clips)
    expected = np.asarray(sequence) @ np.asarray(classifier.readout.kernel)
    expected = expected + np.asarray(classifier.readout.bias)
    np.testing.assert_allclose(classifier(clips), expected, atol=1e-5)
    np.testing.assert_allclose(
        classifier.predict(clips, verbose=0),
        softmax(expected).mean(axis=1),
        atol=1e-5,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_sums_over_steps(rng, smoothing):
    logits = rng.normal(size=(4, 6, CLASSES)).astype(np.float32)
    labels = np.array([0, 2, 1, 2])
    truth = np.eye(CLASSES)[labels]
    truth = (1 - smoothing) * truth + smoothing / CLASSES
    each = -(truth[:, None] * np.log(softmax(logits))).sum(axis=(1, 2))
    loss = CrossEntropySumOverSteps(smoothing)
    np.testing.assert_allclose(loss(labels, logits), each.mean(), rtol=1e-5)


def test_videos_are_means_over_their_blocks(classifier, rng):
    lengths = (4, 6, 8, 9, 20)
    videos = [rng.random((n, 7), np.float32) for n in lengths]
    found = classifier.predict_videos(videos, batch_size=3)
    for video, probabilities in zip(videos, found, strict=True):
        # By hand: blocks of 6 frames, one every 3.
        starts = [s for s in (0, 3, 6, 9, 12, 15) if s + 6 <= len(video)]
        blocks = [video[s : s + 6] for s in starts or [0]]
        if len(video) == 4:
            blocks = [video[[0, 1, 2, 3, 3, 3]]]
        each = [
            softmax(np.asarray(classifier(block[None])))[0].mean(axis=0)
            for block in blocks
        ]
        np.testing.assert_allclose(
            probabilities, np.mean(each, axis=0), atol=1e-5
        )


@pytest.mark.parametrize(
    ("frames", "starts"),
    [(1, [0]), (16, [0]), (23, [0]), (24, [0, 8]), (40, [0, 8, 16, 24])],
)
def test_blocks_of_16_frames_with_stride_8(frames, starts):
    assert list(block_starts(frames, 16, 8)) == starts


@pytest.mark.oldest
@pytest.mark.parametrize(
    "jit_compile", [pytest.param(False, marks=pytest.mark.hard), True]
)
def test_it_learns_and_is_loaded_again(rng, tmp_path, jit_compile):
    keras.utils.set_random_seed(0)
    labels = rng.integers(0, CLASSES, 60)
    means = rng.random((CLASSES, 7))
    clips = means[labels][:, None] + 0.1 * rng.random((60, 6, 7))
    clips = clips.astype(np.float32)
    model = ActionClassifier(Encoder((8,), dropout=0.1), CLASSES, dropout=0.2)
    model.compile(keras.optimizers.Adam(0.02), jit_compile=jit_compile)
    before = None
    model.fit(clips, labels, batch_size=20, epochs=1, verbose=0)
    before = [np.array(v) for v in model.encoder.trainable_variables]
    model.fit(clips, labels, batch_size=20, epochs=20, verbose=0)
    assert (
        model.evaluate(clips, labels, verbose=0, return_dict=True)[
            "clip_accuracy"
        ]
        > 0.9
    )
    for old, new in zip(before, model.encoder.trainable_variables, strict=True):
        assert np.abs(old - np.array(new)).max() > 0
    model.save(tmp_path / "classifier.keras")
    again = keras.models.load_model(tmp_path / "classifier.keras")
    np.testing.assert_allclose(
        again.predict(clips, verbose=0),
        model.predict(clips, verbose=0),
        atol=1e-6,
    )


def test_a_frozen_encoder_stays(rng):
    model = ActionClassifier(Encoder((8,)), CLASSES)
    model.encoder.trainable = False
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    clips = rng.random((6, 5, 7), np.float32)
    model.build(clips.shape)
    before = model.encoder.get_weights()
    model.fit(clips, np.array([0, 1, 2, 0, 1, 2]), epochs=2, verbose=0)
    for old, new in zip(before, model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(model.readout.kernel).max() > 0


class WithoutSize(keras.layers.Layer):
    """A layer that lacks an encoder's `feature_size`."""

    def encode_sequence(self, clips, mask=None, training=None):
        return clips


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 1}, "classes must be a whole number of at least 2"),
        ({"classes": 3.5}, "classes=3.5"),
        ({"block": 0}, "block must be a whole number of at least 1"),
        ({"stride": None}, "stride=None"),
        ({"dropout": 1.5}, "dropout of at least 0 and below 1"),
        ({"encoder": keras.layers.LSTM(4)}, "and feature_size.*encoder=<LSTM"),
        ({"encoder": "encoder.keras"}, "and feature_size.*='encoder.keras'"),
        ({"encoder": Encoder}, "and feature_size.*encoder=<class"),
        ({"encoder": WithoutSize()}, "and feature_size.*=<WithoutSize"),
    ],
)
def test_wrong_arguments(arguments, message):
    given = {"encoder": Encoder((3,)), "classes": 2, **arguments}
    with pytest.raises(InputError, match=message):
        ActionClassifier(**given).build((None, 5, 7))


def test_what_is_refused(classifier):
    with pytest.raises(InputError, match="at least one video"):
        classifier.predict_videos([])
    with pytest.raises(InputError, match="0 frames"):
        classifier.predict_videos([np.zeros((0, 7), np.float32)])
    with pytest.raises(ValueError, match="Expected frames of 7"):
        classifier.predict_videos([np.zeros((6, 8), np.float32)])
