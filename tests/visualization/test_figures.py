import sys

import numpy as np
import pytest
from PIL import Image

from video_repr import visualization
from video_repr.errors import MissingExtraError

pytestmark = pytest.mark.oldest


def test_strips_show_the_frames_that_were_given(rng, tmp_path):
    clip = rng.integers(0, 256, (5, 8, 8), np.uint8)
    guess = rng.random((5, 8, 8))
    figure = visualization.strips(
        {"input": clip[:3], "reconstruction": guess[:3]},
        {"truth": clip[3:], "prediction": guess[3:]},
        title="one",
    )
    left, right = figure.subfigs
    shown = [axis.images[0].get_array() for axis in left.axes + right.axes]
    wanted = [clip[:3], guess[:3], clip[3:], guess[3:]]
    for row, frames in zip(shown, wanted, strict=True):
        if frames.dtype != np.uint8:
            # Black is 0 and white is 1 in every frame, however dark.
            frames = np.round(255 * frames)
        assert row.shape == (8, 9 * len(frames) - 1, 3)
        for t, frame in enumerate(frames):
            for channel in range(3):
                np.testing.assert_array_equal(
                    row[:, 9 * t : 9 * t + 8, channel], frame
                )
            assert (row[:, 9 * t + 8 : 9 * t + 9] == 255).all()
    words = [t.get_text() for a in left.axes + right.axes for t in a.texts]
    assert words == [
        *("input", "1", "2", "3", "reconstruction"),
        *("truth", "4", "5", "prediction"),
    ]
    figure.savefig(tmp_path / "strips.png")
    assert Image.open(tmp_path / "strips.png").size[0] > 400


def test_strips_of_one_block_in_colour(rng):
    figure = visualization.strips({"input": rng.random((4, 8, 8, 3))})
    (axis,) = figure.subfigs[0].axes
    assert axis.images[0].get_array().shape == (8, 4 * 9 - 1, 3)


def test_gif_has_the_frames_their_order_and_their_time(rng, tmp_path):
    truth = rng.integers(0, 256, (2, 6, 8, 8), np.uint8)
    prediction = truth[:, ::-1] / 255
    path = tmp_path / "a.gif"
    visualization.write_gif(
        path,
        {"truth": truth, "model": prediction},
        visualization.input_and_future(4, 2),
        milliseconds=120,
        zoom=2,
    )
    with Image.open(path) as gif:
        assert gif.n_frames == 6
        assert gif.info["loop"] == 0
        for t in range(6):
            gif.seek(t)
            assert gif.info["duration"] == 120
            pixels = np.asarray(gif.convert("L")).astype(int)
            # Rows under captions of 16 px, cells of 16 px and gaps of 6 px.
            for row, clips in enumerate((truth, truth[:, ::-1])):
                for column, clip in enumerate(clips):
                    top, left = 16 + row * 38, column * 22
                    cell = pixels[top : top + 16 : 2, left : left + 16 : 2]
                    # A GIF has 256 colours for all of the picture.
                    assert abs(cell - clip[t]).max() <= 8


def test_gif_of_colour_and_of_values_outside_the_range(rng, tmp_path):
    clips = rng.normal(0.5, 1, (1, 3, 8, 8, 3))
    visualization.write_gif(tmp_path / "a.gif", {"": clips})
    assert Image.open(tmp_path / "a.gif").n_frames == 3


def test_error_curves():
    figure = visualization.error_curves(
        {"model": [3.0, 4, 5], "mean frame": [9.0, 9, 9]},
        "bce_sum_per_frame",
        title="on 10 sequences",
    )
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["model", "mean frame"]
    assert axis.lines[0].get_xydata().tolist() == [[1, 3], [2, 4], [3, 5]]
    assert axis.get_ylabel() == "cross entropy, nats a frame"


def test_strip_arrays_put_predictions_below_their_frames(rng):
    clips = rng.integers(0, 256, (2, 5, 4, 4), np.uint8)
    frames = {"future": rng.random((2, 2, 4, 4)).astype("float32")}
    arrays = visualization.strip_arrays(clips, frames, input_frames=3)
    assert arrays.shape == (2, 8, 20, 1)
    np.testing.assert_allclose(arrays[1, :4, 8:12, 0], clips[1, 2] / 255)
    np.testing.assert_array_equal(arrays[1, 4:, 16:, 0], frames["future"][1, 1])
    assert not arrays[:, 4:, :12].any()


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("matplotlib", lambda path: visualization.strips({"a": []})),
        ("matplotlib", lambda path: visualization.error_curves({}, "ssim")),
        ("PIL", lambda path: visualization.write_gif(path, {"a": []})),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch, tmp_path, module, call
):
    for name in list(sys.modules):
        if name.split(".")[0] == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        MissingExtraError, match=rf"'{module}.*pip install 'video_repr\[report"
    ):
        call(tmp_path / "a.gif")


def test_features_stand_by_their_norm_and_keep_their_signs(rng):
    weights = rng.normal(size=(6, 5)) * [1, 0, 3, 2, 4]
    grid = visualization.feature_grid(weights, (2, 3), count=4, columns=2)
    assert grid.shape == (2 * 3 - 1, 2 * 4 - 1)
    for place, unit in zip(
        ((0, 0), (0, 4), (3, 0), (3, 4)), (4, 2, 3, 0), strict=True
    ):
        shown = grid[place[0] : place[0] + 2, place[1] : place[1] + 3]
        expected = weights[:, unit] / np.abs(weights[:, unit]).max()
        np.testing.assert_allclose(2 * shown.ravel() - 1, expected, atol=1e-6)
    # A unit that reads nothing is grey, not an error.
    assert visualization.feature_grid(np.zeros((6, 1)), (2, 3)).mean() == 0.5
    colour = visualization.feature_grids(
        {"a": rng.normal(size=(18, 4)), "b": rng.normal(size=(18, 4))},
        (2, 3, 3),
    )
    assert [axis.get_title() for axis in colour.axes] == ["a", "b"]
    assert not any(axis.axison for axis in colour.axes)


@pytest.mark.parametrize("grid", [(), (4, 3)])
def test_gate_images_show_time_from_left_to_right(rng, grid):
    """Of maps, at the patch in the middle."""
    activations = {
        name: rng.random((7, *grid, 9))
        for name in (
            "input_gate",
            "forget_gate",
            "output_gate",
            "cell",
            "output",
        )
    }
    figure = visualization.gate_images(activations, units=3)
    images = [axis.images[0] for axis in figure.axes if axis.images]
    for image, values in zip(images, activations.values(), strict=False):
        shown = values[:, 2, 1] if grid else values
        np.testing.assert_array_equal(image.get_array(), shown[:, [0, 4, 8]].T)
    assert len(images) >= 5


def test_peepholes_of_channels_and_of_all_places(rng):
    figure = visualization.peephole_histograms(
        {"a": rng.random((3, 5)), "b": rng.random((3, 2, 4, 5))}
    )
    heights = [
        sum(bar.get_height() for bar in axis.patches) for axis in figure.axes
    ]
    assert heights == [5] * 3 + [40] * 3
