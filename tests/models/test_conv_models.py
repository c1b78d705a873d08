"""Convolutional encoders and decoders, and what a picture is to them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr import ConvDecoder
from video_repr import ConvEncoder
from video_repr import Decoder
from video_repr import Encoder
from video_repr import InputError
from video_repr import SavedModelEncoder
from video_repr import VideoSeq2Seq
from video_repr import export_encoder
from video_repr.layers.patches import from_patches
from video_repr.layers.patches import to_patches

HEIGHT, WIDTH, PATCH = 8, 12, 4


def make_clips(*channels, height=HEIGHT, width=WIDTH, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((2, 5, height, width, *channels), np.float32)


def encoder(filters=(5,), channels=(), **options):
    made = ConvEncoder(filters, 3, PATCH, **options)
    made.build((None, None, HEIGHT, WIDTH, *channels))
    return made


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_patches_are_cut_as_by_slices(patch):
    pictures = make_clips(3)
    grid = to_patches(tf.constant(pictures), patch).numpy()
    for row, column in ((0, 0), (1, 2), (HEIGHT // patch - 1, 0)):
        cut = pictures[
            :,
            :,
            row * patch : (row + 1) * patch,
            column * patch : (column + 1) * patch,
        ]
        np.testing.assert_array_equal(
            grid[:, :, row, column], cut.reshape(2, 5, -1)
        )
    np.testing.assert_array_equal(from_patches(grid, patch), pictures)


def test_it_is_its_layers_on_patches():
    made, clips = encoder((5, 4)), make_clips()
    sequence = to_patches(tf.constant(clips[..., None]), PATCH)
    states = []
    for layer in made.lstms:
        sequence, h, c = layer(sequence)
        states.append([h, c])
    for ours, theirs in zip(made.encode_states(clips), states, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    h = sequence.numpy()
    features = np.concatenate([h.mean((2, 3)), h.max((2, 3))], axis=-1)
    np.testing.assert_allclose(made.encode_sequence(clips), features, atol=1e-6)
    np.testing.assert_allclose(made(clips), features[:, -1], atol=1e-6)
    assert made.feature_size == 8


@pytest.mark.parametrize("cells", [(1, 3), (2, 2)])
def test_features_are_means_and_maxima_of_cells(cells):
    made, clips = encoder(pooling=cells), make_clips()
    h = made.encode_states(clips)[0][0].numpy()
    features = np.concatenate(
        [
            pooled
            for row in np.array_split(h, cells[0], axis=1)
            # Of three columns the first of two cells has one.
            for cell in np.split(
                row, [3 * i // cells[1] for i in range(1, cells[1])], axis=2
            )
            for pooled in (cell.mean((1, 2)), cell.max((1, 2)))
        ],
        axis=-1,
    )
    assert features.shape[1] == made.feature_size
    np.testing.assert_allclose(made(clips), features, atol=1e-6)


def test_under_xla_features_of_wrong_values_are_nan():
    """Its maximum alone would be the lowest number."""
    h = np.zeros((2, 2, 3, 5), np.float32)
    h[0, 1, 2] = np.nan
    found = tf.function(encoder().read_out, jit_compile=True)(h)
    assert np.isnan(found[0]).all()
    assert not np.isnan(found[1]).any()


def test_uint8_and_one_channel_are_the_same_pictures():
    made = encoder()
    pixels = (make_clips() * 255).astype(np.uint8)
    want = made(pixels.astype(np.float32) / 255)
    for same in (pixels, pixels[..., None]):
        np.testing.assert_allclose(made(same), want, atol=1e-6)
    mask = np.array([[True] * 3 + [False] * 2] * 2)
    np.testing.assert_allclose(
        made({"clips": pixels, "mask": mask}), made(pixels[:, :3]), atol=1e-6
    )


def test_a_still_picture_repeated_is_the_same_at_every_place():
    """Far from the borders, a map knows nothing of where it is."""
    made = encoder()
    tile = make_clips(height=PATCH, width=PATCH)
    h = made.encode_states(np.tile(tile, (1, 1, 16, 16)))[0][0].numpy()
    inner = h[:, 6:-6, 6:-6]
    np.testing.assert_allclose(inner, inner[:, :1, :1] + 0 * inner, atol=1e-6)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (make_clips().reshape(2, 5, -1), r"Expected pictures.*\(96,\)"),
        (make_clips(3), r"pictures of 1 channel\. .*\(8, 12, 3\)"),
        (make_clips(width=10), r"patches of 4 x 4 px divide.*\(8, 10\)"),
    ],
)
def test_what_is_no_picture_of_its_kind(clips, message):
    with pytest.raises(InputError, match=message):
        encoder()(clips)
    if clips.ndim == 3:
        with pytest.raises(InputError, match=message):
            ConvEncoder((5,))(clips)


def test_grey_where_colour_is_expected():
    with pytest.raises(InputError, match=r"3 channels\. .*\(8, 12\)"):
        encoder(channels=(3,))(make_clips())


def test_full_peepholes_fit_one_size():
    made = encoder(peepholes="full")
    assert made.lstms[0].cell.peephole.shape == (3, 2, 3, 5)
    with pytest.raises(InputError, match="8 x 12 px, which the full peep"):
        made(make_clips(height=16))


def test_options_that_cannot_be():
    for options in ({"patch": 0}, {"pooling": (0, 1)}, {"filters": 3}):
        with pytest.raises(ValueError, match=r"Expected|needs|whole number"):
            ConvEncoder(**{"filters": (3,), **options})
    with pytest.raises(InputError, match="at least 3 rows and columns"):
        encoder(pooling=(3, 1))(make_clips())
    with pytest.raises(ValueError, match="residual needs linear outputs"):
        ConvDecoder((3,), residual=True)


def model_of(decoders, channels=1, filters=(5,), **options):
    return VideoSeq2Seq(
        ConvEncoder(filters, 3, PATCH, **options),
        {
            branch: ConvDecoder(filters, channels, 3, PATCH, **given)
            for branch, given in decoders.items()
        },
        input_frames=3,
        future_frames=2,
    )


@pytest.mark.parametrize("first_step", ["step", "copy"])
@pytest.mark.parametrize("residual", [False, True])
def test_a_conditional_decoder_reads_its_own_frames(first_step, residual):
    """Step by step by the cells, as the equations say."""
    decoder = ConvDecoder(
        (5, 4), 1, 3, PATCH, conditional=True, output="linear",
        first_step=first_step, residual=residual,
    )  # fmt: skip
    clips = make_clips()
    states = ConvEncoder((5, 4), 3, PATCH).encode_states(clips)
    last = clips[:, -1]
    found = decoder(states, steps=3, last=last)
    frame = last[..., None] if residual else np.zeros((2, HEIGHT, WIDTH, 1))
    frames = []
    if first_step == "copy":
        frame = decoder.read_out(states[-1][0]) + (residual and frame)
        frames.append(frame)
    while len(frames) < 3:
        x = to_patches(tf.cast(frame, tf.float32), PATCH)
        new = []
        for layer, state in zip(decoder.lstms, states, strict=True):
            x, state = layer.cell(x, state)
            new.append(state)
        states = new
        frame = decoder.read_out(x) + (residual and frame)
        frames.append(frame)
    np.testing.assert_allclose(found, np.stack(frames, 1), atol=1e-5)


@pytest.mark.parametrize("kind", [Decoder, ConvDecoder])
def test_a_residual_decoder_adds_changes_to_the_last_frame(kind):
    clips = make_clips()
    if kind is Decoder:
        options, states = {"output_dim": 96}, Encoder((5,)).encode_states(clips)
    else:
        options, states = {"patch": PATCH}, encoder().encode_states(clips)
    given = {"output": "linear", **options}
    plain, residual = kind((5,), **given), kind((5,), residual=True, **given)
    changes = plain(states, steps=4).numpy()
    residual(states, steps=1, last=clips[:, -1])
    residual.set_weights(plain.get_weights())
    found = residual(states, steps=4, last=clips[:, -1]).numpy()
    last = clips[:, -1].reshape(2, 1, *changes.shape[2:])
    np.testing.assert_allclose(
        found, last + np.cumsum(changes, axis=1), atol=1e-5
    )
    with pytest.raises(ValueError, match="the last frame that was read"):
        residual(states, steps=4)


def test_states_of_another_kind_or_grid():
    clips = make_clips()
    states = Encoder((5,)).encode_states(clips)
    with pytest.raises(
        ValueError, match=r"\(None, None, 5\).* Received: \[\[\(5,\)"
    ):
        ConvDecoder((5,), 1, 3, PATCH)(states, steps=2)
    with pytest.raises(ValueError, match=r"Received: \[\[\(2, 3, 5\)"):
        Decoder((5,), 96)(encoder().encode_states(clips), steps=2)
    mixed = VideoSeq2Seq(
        ConvEncoder((5,), 3, 2), {"future": ConvDecoder((5,), 1, 3, PATCH)},
        input_frames=3, future_frames=2,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"a grid of \(4, 6\)\. .*\(2, 3\)"):
        mixed(clips)


def test_states_of_another_size_of_frames():
    made, clips = encoder(), make_clips()
    (own,) = made.encode_states(clips)
    (other,) = made.encode_states(make_clips(height=16))
    with pytest.raises(InputError, match=r"\(2, 3, 5\).*\[\[\(4, 3, 5\)"):
        made(clips, initial_states=[other])
    decoder = ConvDecoder(
        (5,), 1, 3, PATCH, conditional=True, output="linear", residual=True
    )
    with pytest.raises(InputError, match=r"frames, \(2, 3\)\. .* of \(4, 3\)"):
        decoder([other], steps=2, last=clips[:, -1])
    with pytest.raises(InputError, match=r"\[\[\(2, 3, 5\), \(4, 3, 5\)"):
        decoder.activations([[own[0], other[1]]], 2, clips[:, -1])
    unknown = tf.TensorSpec((None, None, None, None))
    read = tf.function(
        lambda clips, *state: made(clips, initial_states=[list(state)]),
        input_signature=[unknown, *[tf.TensorSpec((None, None, None, 5))] * 2],
    )
    np.testing.assert_allclose(
        read(clips, *own), made(clips, initial_states=[own]), atol=1e-6
    )
    for state in (other, (own[0], other[1])):
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match=r"grid of the frames,\] \[2 3\] \[\. Received:\] \[4 3\]",
        ):
            read(clips, *state)


@pytest.mark.usefixtures("eager")
def test_it_learns_colour_and_predicts_on_larger_pictures(tmp_path):
    model = model_of(
        {"future": {"output": "linear", "residual": True}}, channels=3,
        scale=(2.0, 1.0, 0.5), offset=0.25,
    )  # fmt: skip
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(make_clips(3), epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    large = make_clips(3, height=16, width=20)
    found = again.predict_future(large, 4)
    assert found.shape == (2, 4, 16, 20, 3)
    np.testing.assert_allclose(found, model.predict_future(large, 4))
    np.testing.assert_allclose(
        found[:, :2], model.predict(large, verbose=0)["future"], atol=1e-6
    )


def test_an_export_reads_pictures_of_any_size(tmp_path):
    made = encoder((5, 4), pooling=(1, 2))
    decoder = ConvDecoder(
        (5, 4), 1, 3, PATCH, output="linear", residual=True, conditional=True
    )
    clips = make_clips()
    decoder(made.encode_states(clips), steps=1, last=clips[:, -1])
    export_encoder(made, tmp_path / "e", (HEIGHT, WIDTH), future=decoder)
    layer = SavedModelEncoder(tmp_path / "e")
    saved = tf.saved_model.load(str(tmp_path / "e"))
    signatures = saved.signatures
    loaded = Encoder.from_preset(tmp_path / "e")
    assert type(loaded) is ConvEncoder
    assert layer.feature_size == made.feature_size
    for read in (clips, make_clips(height=12, width=20)):
        np.testing.assert_allclose(saved(read), made(read), atol=1e-6)
        np.testing.assert_allclose(layer(read), made(read), atol=1e-6)
        np.testing.assert_allclose(layer(read[..., None]), made(read))
        np.testing.assert_allclose(loaded(read), made(read), atol=1e-6)
        np.testing.assert_allclose(
            layer.encode_sequence(read), made.encode_sequence(read), atol=1e-6
        )
        states = signatures["states"](clips=tf.constant(read))
        # The first frames at once, the last one as it comes.
        before = signatures["states"](clips=tf.constant(read[:, :-1]))
        streamed = signatures["step"](frame=tf.constant(read[:, -1]), **before)
        for name, value in states.items():
            np.testing.assert_allclose(streamed[name], value, atol=1e-6)
        frames = signatures["predict_future"](
            steps=tf.constant(3), frame=tf.constant(read[:, -1]), **states
        )["frames"]
        want = decoder(made.encode_states(read), steps=3, last=read[:, -1])
        np.testing.assert_allclose(frames, want[..., 0], atol=1e-5)
    with pytest.raises(InputError, match="patches of 4 x 4 px"):
        layer(make_clips(width=10))
    with pytest.raises(tf.errors.InvalidArgumentError, match="4 px divide"):
        signatures["encode"](clips=tf.constant(make_clips(width=10)))
