import dataclasses
import itertools

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf

from video_repr import BceSumPerFrame
from video_repr import Decoder
from video_repr import Encoder
from video_repr import HalfSsePerFrame
from video_repr import InputError
from video_repr import VideoSeq2Seq
from video_repr import configs
from video_repr.training import build_model

pytestmark = pytest.mark.slow

INPUT, FUTURE, SIZE = 4, 3, 3
FEATURES = SIZE * SIZE
UNITS = (5, 6)


def make(branches=("reconstruction", "future"), units=UNITS, **options):
    keras.utils.set_random_seed(0)
    model = VideoSeq2Seq(
        Encoder(units),
        {branch: Decoder(units, FEATURES, **options) for branch in branches},
        input_frames=INPUT,
        future_frames=FUTURE,
    )
    model.build((None, INPUT + FUTURE, SIZE, SIZE))
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def make_clips(count=2, frames=INPUT + FUTURE, seed=2):
    rng = np.random.default_rng(seed)
    return rng.random((count, frames, SIZE, SIZE)).astype("float32")


def expected_outputs(model, clips, branch, truth=None):
    """The oracle's outputs of a decoder, [batch, time, FEATURES]."""
    x = clips.reshape(*clips.shape[:2], FEATURES).astype(np.float64)
    states = oracle.encoder(
        x[:, :INPUT], [oracle.lstm_weights(m) for m in model.encoder.lstms]
    )
    decoder = model.decoders[branch]
    return oracle.decoder(
        states,
        [oracle.lstm_weights(m) for m in decoder.lstms],
        *(np.asarray(w, np.float64) for w in decoder.readout.weights),
        steps=INPUT if branch == "reconstruction" else FUTURE,
        truth=truth,
        conditional=decoder.conditional,
        first_step=decoder.first_step,
        to_frame={
            "logistic": oracle.sigmoid,
            "linear": lambda y: y,
            "rectified": lambda y: np.maximum(y, 0),
        }[decoder.output],
    )


def flat(frames):
    return np.asarray(frames).reshape(*frames.shape[:2], FEATURES)


@pytest.mark.parametrize("first_step", ["step", "copy"])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("units", [(5,), (5, 6), (4, 3, 5)])
def test_own_predictions_equal_the_oracle(units, conditional, first_step):
    model = make(units=units, conditional=conditional, first_step=first_step)
    clips = make_clips()
    outputs = model(clips)
    for branch, output in outputs.items():
        np.testing.assert_allclose(
            flat(output), expected_outputs(model, clips, branch), atol=1e-5
        )


@pytest.mark.parametrize("first_step", ["step", "copy"])
def test_training_of_conditional_decoders_sees_the_truth(first_step):
    model = make(conditional=True, first_step=first_step)
    clips = make_clips()
    outputs = model(clips, training=True)
    x = flat(clips)
    truths = {"reconstruction": x[:, INPUT - 1 :: -1], "future": x[:, INPUT:]}
    for branch, output in outputs.items():
        np.testing.assert_allclose(
            flat(output),
            expected_outputs(model, clips, branch, truths[branch]),
            atol=1e-5,
        )


@pytest.mark.parametrize("output", ["linear", "rectified"])
def test_outputs_that_are_not_logistic(output):
    model = make(conditional=True, output=output)
    clips = make_clips()
    expected = expected_outputs(model, clips, "future")
    if output == "rectified":
        expected = np.maximum(expected, 0)
    np.testing.assert_allclose(
        flat(model(clips)["future"]), expected, atol=1e-5
    )
    model.compile("sgd", run_eagerly=True)
    assert isinstance(model.loss["future"], HalfSsePerFrame)
    # Values beyond [0, 1] are percepts here, not a mistake.
    model.fit(100 * clips, verbose=0)


@pytest.mark.parametrize(
    ("conditional", "jit_compile"),
    [
        pytest.param(False, False, marks=pytest.mark.hard),
        (True, False),
        pytest.param(True, True, marks=pytest.mark.hard),
    ],
)
def test_future_frames_are_never_read_outside_training(
    conditional, jit_compile
):
    model = make(conditional=conditional)
    model.compile("sgd", jit_compile=jit_compile)
    clips, others = make_clips(), make_clips()
    others[:, INPUT:] = 0
    want = model.predict(clips, verbose=0)
    for given in (others, clips[:, :INPUT]):
        got = model.predict(given, verbose=0)
        for branch in want:
            np.testing.assert_allclose(got[branch], want[branch], atol=1e-6)


def test_reconstruction_is_learned_in_reverse_and_given_in_order():
    model = make()
    clips = make_clips()
    targets = model.targets(clips)
    np.testing.assert_array_equal(
        targets["reconstruction"], clips[:, INPUT - 1 :: -1]
    )
    np.testing.assert_array_equal(targets["future"], clips[:, INPUT:])
    outputs, frames = model(clips), model.predict(clips, verbose=0)
    np.testing.assert_allclose(
        frames["reconstruction"],
        oracle.sigmoid(np.asarray(outputs["reconstruction"]))[:, ::-1],
        atol=1e-6,
    )
    assert frames["future"].shape == (2, FUTURE, SIZE, SIZE)


def test_loss_is_the_sum_of_the_branches_on_their_targets():
    model = make()
    model.compile("sgd", run_eagerly=True)
    clips = make_clips(8)
    logs = model.evaluate(clips, verbose=0, return_dict=True)
    targets, total = model.targets(clips), 0
    for branch, output in model(clips).items():
        z, y = np.asarray(output, np.float64), targets[branch]
        p = oracle.sigmoid(z)
        bce = -(y * np.log(p) + (1 - y) * np.log(1 - p))
        want = bce.sum(axis=(2, 3)).mean()
        assert logs[f"{branch}_loss"] == pytest.approx(want, rel=1e-5)
        total += want
    assert logs["loss"] == pytest.approx(total, rel=1e-5)


def test_gradients_of_the_composite_equal_finite_differences():
    """Through decoders, encoder and teacher forcing, for every weight."""
    model = make(units=(3, 2), conditional=True)
    clips = make_clips()
    with tf.GradientTape() as tape:
        loss = sum(
            BceSumPerFrame()(y, z)
            for y, z in zip(
                model.targets(clips).values(),
                model(clips, training=True).values(),
                strict=True,
            )
        )
    ours = tape.gradient(loss, [w.value for w in model.trainable_variables])
    x = flat(clips).astype(np.float64)
    truths = {"reconstruction": x[:, INPUT - 1 :: -1], "future": x[:, INPUT:]}
    arrays = [np.asarray(w, np.float64) for w in model.trainable_variables]
    by_path = dict(
        zip([w.path for w in model.trainable_variables], arrays, strict=True)
    )

    def weights(lstm):
        cell = lstm.cell
        return tuple(
            by_path[w.path]
            for w in (
                cell.kernel,
                cell.recurrent_kernel,
                cell.peephole,
                cell.bias,
            )
        )

    def expected_loss():
        states = oracle.encoder(
            x[:, :INPUT], [weights(m) for m in model.encoder.lstms]
        )
        total = 0
        for branch, decoder in model.decoders.items():
            y = truths[branch]
            z = oracle.decoder(
                states,
                [weights(m) for m in decoder.lstms],
                *(by_path[w.path] for w in decoder.readout.weights),
                steps=y.shape[1],
                truth=y,
                conditional=True,
            )
            total += (np.logaddexp(0, z) - y * z).sum(axis=2).mean()
        return total

    assert float(loss) == pytest.approx(expected_loss(), rel=1e-5)
    expected = oracle.finite_differences(expected_loss, arrays)
    for gradient, want in zip(ours, expected, strict=True):
        scale = np.abs(want).max()
        assert np.abs(gradient - want).max() < 1e-4 * scale


def test_every_state_is_handed_to_every_decoder():
    model = make()
    states = model.encoder.encode_states(make_clips())
    for decoder in model.decoders.values():
        before = np.asarray(decoder(states, steps=2))
        for layer, part in itertools.product(range(2), range(2)):
            changed = [list(state) for state in states]
            changed[layer][part] = changed[layer][part] + 1
            after = np.asarray(decoder(changed, steps=2))
            assert not np.allclose(before, after)


def test_scheduled_sampling_from_truth_to_own_predictions():
    clips = make_clips()
    forced = make(conditional=True)
    own = forced(clips)["future"]
    for rate, want in (
        (1e-9, forced(clips, training=True)["future"]),
        (1.0, own),
    ):
        model = make(conditional=True, scheduled_sampling=rate)
        for mine, theirs in zip(
            model.trainable_variables, forced.trainable_variables, strict=True
        ):
            mine.assign(theirs)
        got = model(clips, training=True)["future"]
        np.testing.assert_allclose(got, want, atol=1e-6)
        np.testing.assert_allclose(model(clips)["future"], own, atol=1e-6)


def test_scheduled_sampling_follows_its_schedule():
    ramp = keras.optimizers.schedules.PolynomialDecay(0.0, 4, 1.0)
    options = {"conditional": True, "scheduled_sampling": ramp}
    model = make(("future",), units=(5,), **options)
    model.compile("sgd", run_eagerly=True)
    decoder = model.decoders["future"]
    model.fit(make_clips(6), batch_size=2, epochs=2, verbose=0)
    assert int(decoder.training_steps) == 6
    # At its end only own predictions are left: the truth plays no part.
    clips, others = make_clips(), make_clips()
    others[:, INPUT:] = 0
    np.testing.assert_allclose(
        model(clips, training=True)["future"],
        model(others, training=True)["future"],
        atol=1e-6,
    )
    again = Decoder.from_config(decoder.get_config())
    assert float(again.scheduled_sampling(2)) == 0.5


@pytest.mark.parametrize("conditional", [False, True])
def test_any_number_of_future_frames(conditional):
    model = make(("future",), units=(5,), conditional=conditional)
    clips = make_clips(5)
    short = model.predict(clips, verbose=0)["future"]
    long = model.predict_future(clips, 50, batch_size=2)
    assert long.shape == (5, 50, SIZE, SIZE)
    np.testing.assert_allclose(long[:, :FUTURE], short, atol=1e-6)
    assert ((long >= 0) & (long <= 1)).all()
    model.compile("sgd", jit_compile=True)
    compiled = model.predict_future(clips, 50, batch_size=2)
    np.testing.assert_allclose(compiled, long, atol=1e-5)


def test_uint8_pixels_are_scaled():
    model = make(conditional=True)
    model.compile("sgd", run_eagerly=True)
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (4, INPUT + FUTURE, SIZE, SIZE), np.uint8)
    scaled = clips.astype("float32") / 255
    assert model.evaluate(clips, verbose=0) == pytest.approx(
        model.evaluate(scaled, verbose=0), rel=1e-6
    )
    np.testing.assert_allclose(
        model(clips, training=True)["future"],
        model(scaled, training=True)["future"],
        atol=1e-5,
    )


def test_frames_of_any_shape():
    model = make()
    clips = make_clips()
    flattened = clips.reshape(2, INPUT + FUTURE, FEATURES)
    images = clips[..., None]
    want = np.asarray(model(clips)["future"])
    assert model(flattened)["future"].shape == (2, FUTURE, FEATURES)
    got = model(images)["future"]
    assert got.shape == (2, FUTURE, SIZE, SIZE, 1)
    np.testing.assert_allclose(got[..., 0], want, atol=1e-6)


def test_encoder_goes_on_from_its_states():
    encoder = make().encoder
    clips = make_clips(frames=7)
    sequence = encoder.encode_sequence(clips)
    whole = encoder.encode_states(clips)
    np.testing.assert_array_equal(sequence[:, -1], whole[-1][0])
    states = None
    for t in range(7):
        states = encoder.encode_states(
            clips[:, t : t + 1], initial_states=states
        )
        np.testing.assert_allclose(states[-1][0], sequence[:, t], atol=1e-6)
    for got, want in zip(states, whole, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_output_bias_is_where_predictions_start():
    share = 0.05
    decoder = Decoder(UNITS, 12, output_bias=np.log(share / (1 - share)))
    states = [[np.zeros((2, size), "float32")] * 2 for size in UNITS]
    frames = decoder.to_frames(decoder(states, steps=3))
    np.testing.assert_allclose(frames, share, rtol=1e-5)
    config = configs.Config()
    config = dataclasses.replace(
        config, model=dataclasses.replace(config.model, units=(4,))
    )
    for decoder in build_model(config).decoders.values():
        assert set(decoder.readout.bias.numpy()) == {-3.0}


def test_a_trained_encoder_keeps_its_weights_in_a_new_model():
    encoder = make().encoder
    before = encoder.get_weights()
    model = VideoSeq2Seq(
        encoder,
        {"future": Decoder(UNITS, FEATURES)},
        input_frames=INPUT,
        future_frames=FUTURE,
    )
    model.build((None, INPUT + FUTURE, SIZE, SIZE))
    for got, want in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_dropout_acts_in_training_alone():
    model = make(dropout=0.5)
    clips = make_clips()
    draws = [model(clips, training=True)["future"] for _ in range(2)]
    assert not np.allclose(*draws)
    np.testing.assert_array_equal(
        model(clips)["future"], model(clips)["future"]
    )


def test_input_dropout_hides_frames_from_the_encoder_alone():
    """Denoising: the values that are dropped are still what is learned."""
    encoder = Encoder(UNITS, input_dropout=0.5)
    model = VideoSeq2Seq(
        encoder, {"future": Decoder(UNITS, FEATURES)},
        input_frames=INPUT, future_frames=FUTURE,
    )  # fmt: skip
    clips = make_clips()
    model.build(clips.shape)
    draws = [model(clips, training=True)["future"] for _ in range(2)]
    assert not np.allclose(*draws)
    zeros = np.zeros_like(clips)
    np.testing.assert_array_equal(
        model(zeros, training=True)["future"], model(zeros)["future"]
    )
    again = Encoder.from_config(encoder.get_config())
    assert again.lstms[0].cell.dropout == 0.5


def count(branches, layers, **options):
    units = (2048,) * layers
    model = VideoSeq2Seq(
        Encoder(units),
        {b: Decoder(units, 4096, **options) for b in branches},
        input_frames=10,
        future_frames=10,
    )
    # Shapes alone: 142 million parameters need no memory to be counted.
    with keras.StatelessScope():
        model.build((None, 20, 64, 64))
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(
    ("branches", "layers", "parameters"),
    [
        # The number that the ConvLSTM paper gives for its FC-LSTM.
        (("future",), 2, 142_667_776),
        (("future",), 1, 75_530_240),
        (("reconstruction",), 1, 75_530_240),
        (("reconstruction", "future"), 1, 100_714_496),
        (("reconstruction", "future"), 2, 201_420_800),
    ],
)
def test_parameters_are_the_papers(branches, layers, parameters):
    assert count(branches, layers) == parameters


def test_a_conditional_decoder_adds_its_input_weights():
    assert count(("future",), 1, conditional=True) == (
        75_530_240 + 4096 * 4 * 2048
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decoders": {}}, "Received: decoders={}"),
        ({"decoders": {"past": Decoder((2,), 4)}}, "decoders={'past': <Decod"),
        ({"decoders": {"future": None}}, "decoders={'future': None}"),
        ({"decoders": Decoder((2,), 4)}, "be a dict .* decoders=<Decoder"),
        ({"encoder": Decoder((2,), 4)}, "be an Encoder.* encoder=<Decoder"),
        ({"future_frames": 0}, "future_frames must be .* at least 1"),
        ({"input_frames": 0}, "input_frames must be .* at least 1"),
        ({"input_frames": 2.5}, "input_frames=2.5"),
    ],
)
def test_wrong_models(arguments, message):
    defaults = {
        "encoder": Encoder((2,)),
        "decoders": {"future": Decoder((2,), 4)},
        "input_frames": 2,
        "future_frames": 2,
    }
    with pytest.raises(InputError, match=message):
        VideoSeq2Seq(**{**defaults, **arguments})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "softmax"}, "output must be one of 'logistic', 'linear'"),
        ({"scheduled_sampling": 7}, "a share from 0 to 1, or a schedule"),
        ({"first_step": "jump"}, "first_step must be one of 'step', 'copy'"),
        ({"output_dim": (8, 8)}, r"output_dim must be .* output_dim=\(8, 8\)"),
        ({"dropout": 1.0}, "dropout of at least 0 and below 1"),
    ],
)
def test_wrong_decoders(options, message):
    with pytest.raises(ValueError, match=message):
        Decoder(**{"units": (2,), "output_dim": 4, **options})


def test_layers_need_units():
    for units in ((), 512, None):
        with pytest.raises(ValueError, match="the size of each"):
            Encoder(units)
        with pytest.raises(ValueError, match="the size of each"):
            Decoder(units, 4)
    with pytest.raises(InputError, match="dropout of at least 0"):
        Encoder((2,), dropout=1)
    assert Encoder(np.array([3, 4]))(make_clips()).shape[1] == 4


@pytest.mark.parametrize(
    ("states", "received"),
    [
        ([[np.ones((2, 5))] * 2], r"\[\[\(5,\), \(5,\)\]\]"),
        ([[np.ones((2, 5))] * 2, [np.ones((2, 7))] * 2], r".*\(7,\)\]\]"),
        ([np.ones((2, 5)), np.ones((2, 6))], r"\[\[\(\), \(\)\]"),
        (None, "NoneType"),
    ],
)
def test_states_that_do_not_fit(states, received):
    message = rf"sizes .*\(6,\), \(6,\)\]\] for a clip. Received: {received}"
    with pytest.raises(InputError, match=message):
        Decoder((5, 6), 4)(states, steps=1)
    if states is not None:
        with pytest.raises(InputError, match=message):
            Encoder((5, 6))(make_clips(), initial_states=states)


@pytest.mark.parametrize("steps", [0, 2.5])
def test_steps_that_cannot_be_taken(steps):
    with pytest.raises(InputError, match=f"steps must be .* steps={steps}"):
        Decoder((5,), 4)([[np.ones((2, 5), "float32")] * 2], steps=steps)


def test_sizes_that_do_not_fit():
    model = make()
    with pytest.raises(ValueError, match="Expected frames of 9 values"):
        model.encoder(np.zeros((1, 2, 4, 4), "float32"))
    wrong = VideoSeq2Seq(
        Encoder((2,)),
        {"future": Decoder((2,), 7)},
        input_frames=2,
        future_frames=2,
    )
    with pytest.raises(ValueError, match="of 7 values for the future decoder"):
        wrong.build((None, 4, SIZE, SIZE))
    autoencoder = make(("reconstruction",))
    with pytest.raises(ValueError, match="needs a model with a future"):
        autoencoder.predict_future(make_clips(), 2)


@pytest.fixture(scope="module")
def compiled():
    """A model that nothing is to reach."""
    model = make()
    model.compile("sgd", jit_compile=False)
    before = model.get_weights()
    yield model
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("as_dataset", [False, True])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x[:0], "at least one (clip|batch)"),
        (lambda x: x[:, :2], "at least [47] frames. Received: 2 frames"),
        (lambda x: x * 255, "uint8 pixels in .0, 255.. Received: float32"),
        (lambda x: x.astype("int64"), "Received: dtype int64"),
        (lambda x: np.where(x > 0.99, np.nan, x), "NaN or infinity"),
        (lambda x: x[:, :, 0, 0], "Received: shape"),
    ],
)
def test_clips_that_cannot_be_used(
    compiled, method, as_dataset, spoil, message
):
    clips = spoil(make_clips(40))
    if as_dataset:
        clips = tf.data.Dataset.from_tensor_slices(clips).batch(40)
    with pytest.raises(InputError, match=message):
        getattr(compiled, method)(clips)


def test_validation_clips_are_looked_at_before_training():
    model = make()
    model.compile("sgd", jit_compile=False)
    for bad in (make_clips() * 255, (make_clips() * 255,)):
        with pytest.raises(InputError, match=r"pixels in \[0, 1\]"):
            model.fit(make_clips(), validation_data=bad)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize(
    "weights", [{"sample_weight": np.zeros(2)}, {"class_weight": {0: 1.0}}]
)
def test_weights_without_targets(weights):
    model = make()
    model.compile("sgd", jit_compile=False)
    with pytest.raises(ValueError, match=r"y=model.targets\(clips\)"):
        model.fit(make_clips(2), **weights)


def test_futures_of_lists_and_of_several_lengths():
    model, clips = make(), make_clips(3)
    far = model.predict_future(clips, 9)
    near = model.predict_future(clips.tolist(), 4, batch_size=2)
    np.testing.assert_allclose(near, far[:, :4], atol=1e-6)


def test_activations_of_encoder_and_decoder_are_those_of_their_calls():
    for options in ({}, {"conditional": True}, {"first_step": "copy"}):
        model = make(("future",), output="linear", **options)
        clips = make_clips()[:, :INPUT]
        layers = model.encoder.activations(clips)
        states = model.encoder.encode_states(clips)
        for found, (h, c) in zip(layers, states, strict=True):
            np.testing.assert_allclose(found["output"][:, -1], h, atol=1e-6)
            np.testing.assert_allclose(found["cell"][:, -1], c, atol=1e-6)
        decoder = model.decoders["future"]
        top = decoder.activations(states, steps=5)[-1]["output"]
        assert top.shape == (2, 5, UNITS[-1])
        copied = "first_step" in options
        np.testing.assert_allclose(
            decoder.readout(top),
            decoder(states, steps=6 if copied else 5)[:, int(copied) :],
            atol=1e-5,
        )
