"""What may enter a model is one rule at every entrance."""

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
from video_repr.errors import DivergedError
from video_repr.export.saved_model import export_encoder
from video_repr.inputs import DeviceBatches
from video_repr.layers import PeepholeLSTM
from video_repr.layers import PeepholeLSTMCell
from video_repr.losses import BceSumPerFrame
from video_repr.losses import HalfSsePerFrame

pytestmark = pytest.mark.slow

TIME, SIZE, CLASSES = 5, 4, 3
LABELS = np.arange(8) % CLASSES


def pixels(count=8):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, TIME, SIZE, SIZE), np.uint8)


def floats(count=8):
    return (pixels(count) / 255).astype("float32")


def spoiled(value):
    """Clips the last of which holds a value in its second frame."""
    clips = floats()
    clips[-1, 1, 1, 1] = value
    return clips


# What cannot be read, and what is said of it.
BAD = {
    "int64": (pixels().astype("int64"), "dtype int64"),
    "int32": (pixels().astype("int32"), "dtype int32"),
    "uint16": (pixels().astype("uint16"), "dtype uint16"),
    "bool": (pixels() > 99, "dtype bool"),
    "NaN": (spoiled(np.nan), "NaN or infinity"),
    "infinity": (spoiled(np.inf), "NaN or infinity"),
    "above 1": (spoiled(1.5), r"pixels in \[0, 1\].* to 1.5"),
    "below 0": (spoiled(-0.5), r"pixels in \[0, 1\].*from -0.5"),
    "0 to 255": (pixels().astype("float64"), r"pixels in \[0, 1\].* to 255"),
}
bad = pytest.mark.parametrize(("clips", "message"), BAD.values(), ids=list(BAD))


@pytest.fixture(scope="module")
def encoder():
    keras.utils.set_random_seed(0)
    return Encoder((3,))


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(0)
    model = ActionClassifier(Encoder((3,)), CLASSES, block=TIME)
    model.compile("sgd", jit_compile=False)
    model.fit(floats(), LABELS, batch_size=4, verbose=0)
    return model


@pytest.fixture(scope="module")
def seq2seq():
    keras.utils.set_random_seed(0)
    model = VideoSeq2Seq(
        Encoder((3,)),
        {"future": Decoder((3,), SIZE * SIZE, conditional=True)},
        input_frames=3,
        future_frames=2,
    )
    model.compile("sgd", jit_compile=False)
    model.fit(floats(), batch_size=4, verbose=0)
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    encoder = Encoder((3,))
    encoder.build((None, None, SIZE, SIZE))
    directory = tmp_path_factory.mktemp("export") / "encoder"
    export_encoder(encoder, directory, (SIZE, SIZE))
    return SavedModelEncoder(directory)


class Batches(keras.utils.PyDataset):
    """Batches of four."""

    def __init__(self, *arrays):
        super().__init__()
        self._arrays = arrays

    def __len__(self):
        return len(self._arrays[0]) // 4

    def __getitem__(self, index):
        return tuple(a[4 * index :][:4] for a in self._arrays)


def generator(*arrays):
    # Keras looks at the first two before it begins.
    good = floats(), *arrays[1:]
    yield from (*Batches(*good), *Batches(*arrays))


def dataset(*arrays):
    # An iterator that failed waits for its tuning when it is collected, a
    # sixth of a second each.
    options = tf.data.Options()
    options.autotune.enabled = False
    slices = tf.data.Dataset.from_tensor_slices(arrays)
    return slices.batch(4).with_options(options)


KINDS = {
    "arrays": lambda *arrays: arrays,
    "a dataset": lambda *arrays: (dataset(*arrays),),
    "a generator": lambda *arrays: (generator(*arrays),),
    "a PyDataset": lambda *arrays: (Batches(*arrays),),
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


@bad
def test_direct_calls(clips, message, encoder, classifier, seq2seq, exported):
    for model in (encoder, classifier, seq2seq, exported):
        with pytest.raises(InputError, match=message):
            model(clips)
    with pytest.raises(InputError, match=message):
        encoder.activations(clips)
    with pytest.raises(InputError, match=message):
        seq2seq.predict_future(clips, 2)
    with pytest.raises(InputError, match=message):
        classifier.predict_videos([*floats(2), *clips])


@bad
@kinds
def test_fit_evaluate_and_predict_of_a_classifier(
    clips, message, kind, classifier
):
    before = classifier.get_weights()
    for method in ("fit", "evaluate"):
        with pytest.raises(InputError, match=message):
            getattr(classifier, method)(
                *kind(clips, LABELS), batch_size=None, verbose=0
            )
    with pytest.raises(InputError, match=message):
        classifier.predict(*kind(clips), verbose=0)
    assert all(np.isfinite(w).all() for w in classifier.get_weights())
    classifier.set_weights(before)


@bad
@kinds
def test_fit_evaluate_and_predict_of_a_seq2seq(clips, message, kind, seq2seq):
    before = seq2seq.get_weights()
    for method in ("fit", "evaluate", "predict"):
        with pytest.raises(InputError, match=message):
            getattr(seq2seq, method)(*kind(clips), verbose=0)
    assert all(np.isfinite(w).all() for w in seq2seq.get_weights())
    seq2seq.set_weights(before)


@bad
def test_batches_and_validation(clips, message, encoder, classifier, seq2seq):
    for method in ("train_on_batch", "test_on_batch"):
        with pytest.raises(InputError, match=message):
            getattr(classifier, method)(clips, LABELS)
        with pytest.raises(InputError, match=message):
            getattr(seq2seq, method)(clips)
    for model in (encoder, classifier, seq2seq):
        with pytest.raises(InputError, match=message):
            model.predict_on_batch(clips)
    with pytest.raises(InputError, match=message):
        classifier.fit(floats(), LABELS, validation_data=(clips, LABELS))
    with pytest.raises(InputError, match=message):
        encoder.predict(clips, verbose=0)


@pytest.mark.parametrize(
    ("flat", "jit_compile"),
    [
        (False, True),
        (True, False),
        pytest.param(False, False, marks=pytest.mark.hard),
        pytest.param(True, True, marks=pytest.mark.hard),
    ],
)
def test_functional_models(exported, flat, jit_compile):
    """Keras has made floats of uint8 before an encoder sees them."""
    shape = (TIME, SIZE * SIZE) if flat else (TIME, SIZE, SIZE)
    u = pixels().reshape(8, *shape)
    own = Encoder((3,), pixels=True if flat else None)
    for encoder in (own, exported):
        want = np.asarray(encoder(u))
        for dtype in ("float32", "uint8"):
            inputs = keras.Input(shape, dtype=dtype)
            model = keras.Model(inputs, encoder(inputs))
            model.compile(jit_compile=jit_compile)
            if dtype == "uint8":
                got = model.predict(u, verbose=0)
                np.testing.assert_allclose(got, want, atol=1e-6)
            elif jit_compile:
                # Where nothing can be said nothing is known.
                assert np.isnan(model.predict(u, verbose=0)).all()
            else:
                with pytest.raises(
                    tf.errors.InvalidArgumentError,
                    match=r"Expected pixels in \[0, 1\]",
                ):
                    model.predict(u, verbose=0)


@pytest.mark.parametrize("dtype", ["int64", "uint16", "bool"])
def test_inputs_of_functional_models(dtype, encoder, exported):
    inputs = keras.Input((TIME, SIZE, SIZE), dtype=dtype)
    for one in (encoder, exported):
        with pytest.raises(InputError, match=f"dtype {dtype}"):
            one(inputs)


def test_encoders_know_whether_they_read_pixels(tmp_path):
    percepts = np.full((2, TIME, 6), 7.5, "float32")
    of_percepts = Encoder((3,))
    of_percepts(percepts)
    assert of_percepts.pixels is None
    maps = np.full((2, TIME, SIZE, SIZE, 3), -7.5, "float32")
    Encoder((3,), pixels=False)(maps)
    with pytest.raises(InputError, match=r"from -7\.5"):
        Encoder((3,))(maps)
    told = Encoder((3,), pixels=True)
    with pytest.raises(InputError, match=r"to 7\.5"):
        told(percepts)
    for encoder, flat in ((told, percepts), (Encoder((3,)), maps)):
        if not encoder.built:
            encoder.build(flat.shape)
        encoder.save(tmp_path / "encoder.keras")
        again = keras.models.load_model(tmp_path / "encoder.keras")
        assert again.pixels is True
    logistic = VideoSeq2Seq(
        Encoder((3,)),
        {"reconstruction": Decoder((3,), 6)},
        input_frames=TIME,
    )
    logistic.build(percepts.shape)
    assert logistic.encoder.pixels is True


def test_uint8_and_floats_are_read_alike(encoder, classifier, seq2seq):
    for model in (classifier, seq2seq):
        a, b = (model.predict(x, verbose=0) for x in (pixels(), floats()))
        for x, y in zip(
            keras.tree.flatten(a), keras.tree.flatten(b), strict=True
        ):
            np.testing.assert_allclose(x, y, atol=1e-6)
    mixed = classifier.predict_videos([pixels(1)[0], floats(1)[0]])
    np.testing.assert_allclose(mixed[0], mixed[1], atol=1e-6)
    # Targets too.
    losses = [
        seq2seq.evaluate(x, seq2seq.targets(x), verbose=0)
        for x in (pixels(), floats())
    ]
    np.testing.assert_allclose(
        losses[0], seq2seq.evaluate(pixels(), verbose=0), rtol=1e-5
    )
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_layers_read_floating_point():
    for dtype in ("uint8", "int64", "bool"):
        sequences = np.ones((2, TIME, 3), dtype)
        for layer in (
            PeepholeLSTM(2),
            keras.layers.RNN(PeepholeLSTMCell(2)),
        ):
            with pytest.raises(InputError, match=f"dtype {dtype}"):
                layer(sequences)
        decoder = Decoder((2,), 3)
        with pytest.raises(InputError, match=f"dtype {dtype}"):
            decoder([[np.ones((2, 2), dtype)] * 2], steps=2)


def test_states_to_go_on_from(encoder):
    states = encoder.encode_states(floats())
    encoder(floats(), initial_states=states)
    for bad_states, message in (
        ([[np.full((8, 3), np.inf, "float32")] * 2], "NaN or infinity"),
        ([[np.ones((8, 3), "int64")] * 2], "dtype int64"),
    ):
        with pytest.raises(InputError, match=message):
            encoder(floats(), initial_states=bad_states)


def test_frames_that_are_not_read_are_not_looked_at(seq2seq):
    clips = floats()
    want = seq2seq(clips)["future"]
    clips[:, 3:] = np.nan
    np.testing.assert_array_equal(seq2seq(clips)["future"], want)


def test_a_decoders_states_and_truth():
    decoder = Decoder((2,), 3, conditional=True)
    states = [[np.zeros((4, 2), "float32")] * 2]
    truth = pixels()[:4, :, 0, :3]
    a, b = (
        decoder(states, steps=TIME, truth=t, training=True)
        for t in (truth, (truth / 255).astype("float32"))
    )
    np.testing.assert_allclose(a, b, atol=1e-6)
    for bad_truth, message in (
        (truth.astype("int32"), "dtype int32"),
        (truth.astype("float32"), "pixels in"),
        (truth / np.float32("nan"), "NaN"),
    ):
        with pytest.raises(InputError, match=message):
            decoder(states, steps=TIME, truth=bad_truth, training=True)
    with pytest.raises(InputError, match="NaN or infinity"):
        decoder([[np.full((4, 2), np.inf, "float32")] * 2], steps=2)


WRONG_LABELS = {
    "counted from 1": (LABELS + 1, "as 3"),
    "all of no class": (np.full(8, CLASSES), "count from 0"),
    "no label": (np.full(8, -1), "as -1"),
    "NaN": (np.full(8, np.nan), "as nan"),
    "infinity": (np.full(8, np.inf), "as inf"),
    "between two": (LABELS + 0.5, "as 0.5"),
    "one-hot": (np.eye(CLASSES)[LABELS], r"shape \(.*, 3\).*argmax"),
    "of every step": (np.zeros((8, TIME), int), "shape"),
    "names": (np.array(["a", "b"] * 4), "dtype"),
}
wrong_labels = pytest.mark.parametrize(
    ("labels", "message"), WRONG_LABELS.values(), ids=list(WRONG_LABELS)
)


def one_by_one(*arrays):
    return (tf.data.Dataset.from_tensor_slices(arrays).batch(1),)


@wrong_labels
@pytest.mark.parametrize(
    "kind",
    [*KINDS.values(), one_by_one],
    ids=[*KINDS, "batches of one"],
)
def test_labels_of_no_class(labels, message, kind, classifier):
    for method in ("fit", "evaluate"):
        with pytest.raises(InputError, match=r"from 0 to 2: labels count from"):
            getattr(classifier, method)(*kind(floats(), labels), verbose=0)


@wrong_labels
def test_batches_of_labels_of_no_class(labels, message, classifier):
    for method in ("train_on_batch", "test_on_batch"):
        with pytest.raises(InputError, match=message):
            getattr(classifier, method)(floats(), labels)
    with pytest.raises(InputError, match=message):
        classifier.fit(floats(), LABELS, validation_data=(floats(), labels))


def test_a_classifier_needs_labels(classifier):
    for data in ((floats(),), KINDS["a dataset"](floats())):
        with pytest.raises(InputError, match=r"count from 0\. Received"):
            classifier.fit(*data, verbose=0)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.astype("uint8"),
        LABELS.astype("float64"),
        LABELS[:, None],
        LABELS > 0,
    ],
)
def test_labels_of_any_type(labels, classifier):
    want = classifier.evaluate(floats(), labels.ravel().astype(int), verbose=0)
    got = classifier.evaluate(floats(), labels, verbose=0)
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_a_label_of_no_class(smoothing):
    loss = CrossEntropySumOverSteps(smoothing)
    logits = np.zeros((2, TIME, CLASSES), "float32")
    in_graph, by_xla = (
        tf.function(loss, jit_compile=jit) for jit in (False, True)
    )
    for label in (CLASSES, -1, np.nan, 0.5):
        labels = tf.constant([0, label], "float32")
        with pytest.raises(InputError, match="count from 0"):
            loss(labels, logits)
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="count from 0"
        ):
            in_graph(labels, logits)
        assert np.isnan(by_xla(labels, logits))
    labels = tf.constant([0, 2], "float32")
    want = TIME * np.log(CLASSES)
    for found in (loss, in_graph, by_xla):
        np.testing.assert_allclose(found(labels, logits), want, rtol=1e-5)


def test_a_loss_that_is_no_number_is_explained():
    """Under XLA nothing can be said by whoever finds it."""
    model = ActionClassifier(Encoder((3,)), CLASSES)
    model.compile(keras.optimizers.SGD(1e38), jit_compile=True)
    with pytest.raises(DivergedError, match=r"epoch [12]\..*lower learning"):
        model.fit(floats(), LABELS, epochs=3, verbose=0)


def test_the_step_makes_what_comes_from_the_device(seq2seq):
    clips, weights = pixels(), seq2seq.get_weights()
    indices = tf.data.Dataset.range(8).batch(4, drop_remainder=True)

    def made_of(clips):
        return DeviceBatches(
            indices, tf.function(lambda i: tf.gather(clips, i))
        )

    found = []
    # The others are made anew, and arrays are not taken for indices.
    for data in made_of(255 - clips), made_of(clips), clips:
        seq2seq.set_weights(weights)
        seq2seq.fit(data, batch_size=4, shuffle=False, verbose=0)
        found.append(seq2seq.get_weights())
    for other, made, given in zip(*found, strict=True):
        np.testing.assert_array_equal(made, given)
        assert (made != other).any()
    with pytest.raises(InputError, match=r"at least 5 frames\. .*: 4"):
        seq2seq.fit(made_of(clips[:, :4]), verbose=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.full(8, np.nan), "from nan"),
        (np.full(8, np.inf), "to inf"),
        (-np.ones(8), "from -1"),
        (np.ones((8, TIME)), "shape"),
    ],
)
def test_weights_of_clips(weights, message, classifier):
    with pytest.raises(InputError, match=f"finite weights.*{message}"):
        classifier.fit(floats(), LABELS, sample_weight=weights, verbose=0)
    for kind in ("a dataset", "a generator", "a PyDataset"):
        with pytest.raises(InputError, match="finite weights"):
            classifier.fit(*KINDS[kind](floats(), LABELS, weights), verbose=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({1: 1.0, 2: 1.0, 3: 2.0}, "Received: one of 3"),
        ({0: -1.0}, "from -1"),
        ({0: np.nan}, "finite"),
    ],
)
def test_weights_of_classes(weights, message, classifier):
    with pytest.raises(InputError, match=message):
        classifier.fit(floats(), LABELS, class_weight=weights, verbose=0)


def test_weights_that_mean_something(classifier):
    weights = np.array([2.0, *[0.0] * 7])
    alone = classifier.evaluate(floats()[:1], LABELS[:1], verbose=0)[0]
    found = classifier.evaluate(
        floats(), LABELS, sample_weight=weights, verbose=0
    )[0]
    np.testing.assert_allclose(found, 2 * alone / 8, rtol=1e-5)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"future": floats()[:, 3:] * 255}, "to 255"),
        ({"future": pixels()[:, 3:].astype("int64")}, "dtype int64"),
        ({"future": spoiled(np.nan)[:, 1:3]}, "NaN"),
        ({"past": floats()[:, 3:]}, "'future'.*'past'"),
        (LABELS, "model.targets"),
    ],
)
def test_targets_of_ones_own(targets, message, seq2seq):
    with pytest.raises(InputError, match=message):
        seq2seq.fit(floats(), targets, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((floats(), targets)).batch(8)
    with pytest.raises(InputError, match=message):
        seq2seq.fit(dataset, verbose=0)


@pytest.mark.parametrize("loss", [BceSumPerFrame(), HalfSsePerFrame()])
def test_losses_compare_frames_of_one_shape(loss):
    outputs = np.zeros((2, 3, 4, 4), "float32")
    for shape in ((2, 1, 4, 4), (2, 3, 4, 1), (1, 3, 4, 4)):
        with pytest.raises(ValueError, match="frames of one shape"):
            loss(np.zeros(shape, "float32"), outputs)
    u = pixels(2)[:, :3]
    np.testing.assert_allclose(
        loss(u, outputs), loss((u / 255).astype("float32"), outputs), rtol=1e-6
    )


def test_cross_entropy_is_of_values_in_0_to_1():
    """Beyond, being wrong would cost less than nothing."""
    loss = BceSumPerFrame()
    outputs, truth = np.ones((2, 3, 4), "float32"), np.full((2, 3, 4), 9.0)
    with pytest.raises(InputError, match="pixels in"):
        loss(truth, outputs)
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels in"):
        tf.function(loss)(truth, outputs)
    assert np.isnan(tf.function(loss, jit_compile=True)(truth, outputs))


def operations(function, *arguments):
    """Types of all operations of a graph and what it calls."""
    graph = tf.function(function).get_concrete_function(
        *tf.nest.map_structure(tf.constant, arguments)
    )
    graph = graph.graph.as_graph_def()
    return {
        node.op
        for nodes in (graph.node, *(f.node_def for f in graph.library.function))
        for node in nodes
    }


def test_a_step_asserts_nothing(classifier, seq2seq):
    """On a GPU an assertion would make the host wait for every step."""
    for model, data in (
        (classifier, (floats(), LABELS)),
        (seq2seq, (floats(),)),
    ):
        assert "Assert" not in operations(model.train_step, data)
        assert "Assert" in operations(model, data[0])
