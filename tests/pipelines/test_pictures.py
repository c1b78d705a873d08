"""Folders of pictures, as a viewer shows them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from pipelines.pictures import read_pictures
from video_repr.data.film import Decoded
from video_repr.data.film import UndecodableError


def read(folder, rate=10):
    decoded = Decoded()
    shown = list(read_pictures(str(folder), rate, decoded))
    return shown, [s.frame.to_ndarray(format="rgb24") for s in shown], decoded


def test_pictures_of_all_sorts(tmp_path, rng):
    picture = rng.integers(0, 256, (3, 4, 3), np.uint8)
    picture = cv2.resize(picture, (40, 30), interpolation=cv2.INTER_CUBIC)
    turned = Image.Exif()
    turned[0x0112] = 6
    hidden = np.concatenate([picture, np.zeros((30, 40, 1), np.uint8)], -1)
    hidden[:, 20:, 3] = 255
    Image.fromarray(picture).save(tmp_path / "1.jpg", quality=95, exif=turned)
    Image.fromarray(picture).save(tmp_path / "2.png", exif=turned)
    Image.fromarray(hidden).save(tmp_path / "3.png")
    (tmp_path / "4.png").write_bytes(b"\x89PNG and nothing else")
    Image.fromarray(picture).convert("L").save(tmp_path / "10.png")
    shown, found, decoded = read(tmp_path)
    assert decoded.problems == ["4.png cannot be decoded"]
    assert (decoded.gaps, decoded.promised) == (1, 5)
    assert [s.seconds for s in shown] == [0, 0.1, 0.2, 0.4]
    assert [s.until for s in shown] == [0.1, 0.2, 0.3, 0.5]
    upright = np.rot90(picture, -1)
    assert found[0].shape == upright.shape
    assert np.abs(found[0].astype(int) - upright).mean() < 4
    np.testing.assert_array_equal(found[1], upright)
    assert not found[2][:, :20].any()
    np.testing.assert_array_equal(found[2][:, 20:], picture[:, 20:])
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    np.testing.assert_array_equal(found[3], grey[..., None].repeat(3, -1))


def test_ordinary_pictures_are_what_opencv_makes_of_them(tmp_path, rng):
    for number, ending in enumerate(("jpg", "png")):
        field = rng.integers(0, 256, (9, 11, 3), np.uint8)
        picture = cv2.resize(field, (88, 72), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f"{number}.{ending}"), picture)
    _, found, _ = read(tmp_path)
    for pixels, file in zip(found, sorted(tmp_path.iterdir()), strict=True):
        np.testing.assert_array_equal(pixels[..., ::-1], cv2.imread(str(file)))


def test_no_picture_that_can_be_read(tmp_path):
    for data in (b"", b"no picture"):
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(UndecodableError, match=r"a\.png cannot be decoded"):
            read(tmp_path)
