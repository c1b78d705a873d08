import av
import numpy as np
import pytest
from films import write_film
from films import write_gif

from video_repr import InputError
from video_repr.data import read_clip


@pytest.fixture
def clip(rng):
    """A bright square that moves to the right: [6, 32, 48] uint8."""
    frames = np.zeros((6, 32, 48), np.uint8)
    for t, frame in enumerate(frames):
        frame[8:24, 6 * t : 6 * t + 16] = 255
    return frames


def test_npy_comes_as_stored(tmp_path, rng):
    array = rng.random((4, 5, 6))
    np.save(tmp_path / "clip.npy", array)
    np.testing.assert_array_equal(read_clip(tmp_path / "clip.npy"), array)


def test_gif(tmp_path, clip):
    got = read_clip(write_gif(tmp_path / "clip.gif", clip))
    np.testing.assert_array_equal(got, clip)


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mp4", "libx264"), ("clip.avi", "mpeg4")]
)
def test_films(tmp_path, clip, name, codec):
    got = read_clip(write_film(tmp_path / name, clip, codec))
    assert got.shape == clip.shape
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - clip).mean() < 6


def test_the_last_frames(tmp_path, clip):
    for write, name in ((write_gif, "a.gif"), (write_film, "a.mp4")):
        path = write(tmp_path / name, clip)
        whole, end = read_clip(path), read_clip(path, last=2)
        np.testing.assert_array_equal(end, whole[-2:])


def test_a_film_that_was_cut_off_says_so(tmp_path, rng, capsys):
    clip = rng.integers(0, 256, (20, 64, 64), np.uint8)
    path = write_film(tmp_path / "film.avi", clip, "mpeg4")
    assert len(read_clip(path)) == 20
    assert capsys.readouterr().err == ""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    count = len(read_clip(path))
    assert 0 < count < 20
    error = capsys.readouterr().err
    assert f"{count} of 20 promised frames" in error
    assert str(path) in error


def test_colour(tmp_path, clip):
    path = write_film(tmp_path / "clip.mp4", clip)
    assert read_clip(path, grey=False).shape == (6, 32, 48, 3)


def test_frames_are_scaled_and_cropped_to_the_centre(tmp_path, clip):
    got = read_clip(write_gif(tmp_path / "clip.gif", clip), size=16)
    assert got.shape == (6, 16, 16)
    # The shorter side of 32 px becomes 16: half the size, and of 24 px of
    # width the 16 in the middle.
    expected = clip[:, ::2, ::2][:, :, 4:20]
    assert np.abs(got.astype(int) - expected).mean() < 12


@pytest.mark.parametrize("name", ["x.npy", "x.gif", "x.mp4", "x.txt"])
@pytest.mark.parametrize("data", [None, b"", b"no clip at all"])
def test_files_that_are_no_clips(tmp_path, name, data):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=f"Received: .*{name}"):
        read_clip(tmp_path / name)


def test_a_film_without_pictures(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        film.mux(stream.encode(frame))
        film.mux(stream.encode())
    with pytest.raises(InputError, match="no video"):
        read_clip(path)


def test_an_array_that_is_no_clip(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(5))
    with pytest.raises(InputError, match=r"Received: shape \(5,\)"):
        read_clip(tmp_path / "x.npy")


def test_truncated_films_and_gifs(tmp_path, clip):
    for path in (
        write_gif(tmp_path / "x.gif", clip),
        write_film(tmp_path / "x.mp4", clip),
    ):
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(InputError, match="Received"):
            read_clip(path)


def test_a_film_that_changes_its_size(tmp_path, rng):
    path = tmp_path / "sizes.h264"
    with open(path, "wb") as both:
        for side in (32, 48):
            part = tmp_path / f"{side}.h264"
            write_film(part, rng.integers(0, 256, (9, side, side), np.uint8))
            both.write(part.read_bytes())
    with pytest.raises(InputError, match="32 x 32 px and 48 x 48 px"):
        read_clip(path)
    assert read_clip(path, size=24).shape == (18, 24, 24)
    # All that is asked for has one size.
    assert read_clip(path, last=5).shape == (5, 48, 48)


@pytest.mark.parametrize(
    "given", [["a.mp4", "b.mp4"], ("a.gif",), b"a.mp4", None, 3,
              np.zeros((4, 8, 8))],
)  # fmt: skip
def test_what_is_no_path(given):
    with pytest.raises(InputError, match=r"the path of one clip\. Received"):
        read_clip(given)


@pytest.mark.parametrize("given", [{"size": 0}, {"last": 0}, {"last": -1}])
def test_numbers_of_which_there_is_none(tmp_path, clip, given):
    path = write_film(tmp_path / "a.mp4", clip)
    (name,) = given
    with pytest.raises(InputError, match=f"Expected {name} of at least 1"):
        read_clip(path, **given)


def test_a_film_that_is_broken_in_the_middle(tmp_path, rng, capsys):
    clip = rng.integers(0, 256, (20, 64, 64), np.uint8)
    path = write_film(tmp_path / "film.avi", clip, "png", "rgb24")
    data = bytearray(path.read_bytes())
    at = data.index(b"00dc", len(data) // 2)
    data[at + 100 : at + 200] = bytes(100)
    path.write_bytes(data)
    assert len(read_clip(path)) == 19
    assert "1 packets or frames left out" in capsys.readouterr().err


@pytest.mark.shared
def test_real_films(shared_data):
    for path in sorted((shared_data / "natural_video").iterdir()):
        clip = read_clip(path, size=64)
        assert len(clip) > 30
        assert clip.shape[1:] == (64, 64)
