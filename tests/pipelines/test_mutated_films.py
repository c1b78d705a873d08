"""Films that are damaged in nine ways: used, used in part, or said why not.

Each is read as the pipelines read it. `make test-hard` takes a thousand.
"""

import collections
import re

import av
import numpy as np
import pytest

from pipelines.sources import Source
from pipelines.sources import attempt
from pipelines.transforms.crop import Patches
from pipelines.transforms.frame_sampling import FrameSampling
from video_repr.data.film import Decoded

FRAMES = 40
CONTAINERS = {
    "mp4": "libx264", "mov": "mpeg4", "mkv": "libx264", "webm": "libvpx",
    "avi": "mpeg4", "flv": "flv", "ts": "libx264", "mpg": "mpeg2video",
}  # fmt: skip
# Of these no header says how long they are; and Matroska's reader leaps over
# what it does not understand without a word.
UNTOLD = ("ts", "mpg")
LEAPING = ("mkv", "webm")


def original(path):
    """Two seconds of noise that moves, with a tone and tags."""
    rng = np.random.default_rng(0)
    field = rng.integers(0, 256, (6, 16, 3), np.uint8)
    field = field.repeat(8, axis=0).repeat(8, axis=1)
    kind = path.suffix[1:]
    sound = {"webm": "libopus", "flv": "libmp3lame"}.get(kind, "mp2")
    with av.open(str(path), "w") as made:
        made.metadata["title"] = "A film"
        stream = made.add_stream(
            CONTAINERS[kind], rate=20, options={"g": "8", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        rate = {"webm": 48_000, "flv": 44_100}.get(kind, 16_000)
        tone = made.add_stream(sound, rate=rate, layout="mono")
        for t in range(FRAMES):
            pixels = np.ascontiguousarray(field[:, t : t + 64])
            made.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
            wave = np.zeros((1, rate // 20), np.int16)
            form = {"libmp3lame": "s16p"}.get(sound, "s16")
            heard = av.AudioFrame.from_ndarray(wave, form, "mono")
            heard.sample_rate, heard.pts = rate, t * (rate // 20)
            made.mux(tone.encode(heard))
        made.mux(stream.encode())
        made.mux(tone.encode())
    return path.read_bytes()


def cut_off(data, rng):
    return data[: rng.integers(1, len(data))]


def beginning_lost(data, rng):
    return data[rng.integers(1, len(data) // 2) :]


def piece_lost(data, rng):
    at = rng.integers(len(data))
    return data[:at] + data[at + rng.integers(1, 2000) :]


def piece_twice(data, rng):
    at = rng.integers(len(data))
    return data[: at + rng.integers(1, 2000)] + data[at:]


def zeros(data, rng):
    at, size = rng.integers(len(data)), rng.integers(1, 2000)
    return (data[:at] + bytes(size) + data[at + size :])[: len(data)]


def noise(data, rng):
    at, size = rng.integers(len(data)), rng.integers(1, 2000)
    return (data[:at] + rng.bytes(size) + data[at + size :])[: len(data)]


def bits(data, rng):
    data = bytearray(data)
    for at in rng.integers(0, len(data), rng.integers(1, 30)):
        data[at] ^= 1 << rng.integers(8)
    return bytes(data)


def header(data, rng):
    """Bytes of the first and the last kilobyte, where headers are."""
    data = bytearray(data)
    for at in rng.integers(-1000, 1000, rng.integers(1, 6)):
        data[at] = rng.integers(256)
    return bytes(data)


def pieces_swapped(data, rng):
    size = len(data) // 8
    one, two = sorted(rng.choice(8, 2, replace=False) * size)
    data = bytearray(data)
    data[one : one + size], data[two : two + size] = (
        data[two : two + size], data[one : one + size],
    )  # fmt: skip
    return bytes(data)


DAMAGES = (
    cut_off, beginning_lost, piece_lost, piece_twice, zeros, noise, bits,
    header, pieces_swapped,
)  # fmt: skip


def outcome(path, rate):
    """What became of it, the words that go with it, and what was decoded."""
    decoded = Decoded()
    reader = Patches(
        FrameSampling(rate=rate), clip_frames=4, size=32, whole=True
    )
    clips = reader.clips(Source(str(path), "film", "film"), decoded)
    count, failure = 0, None
    while failure is None:
        clip, failure = attempt(clips)
        if clip is None:
            break
        assert clip.values.shape == (4, 32, 32, 3)
        count += 1
    # As `Part.close` has it.
    if failure and count:
        decoded.problems.append(failure)
        failure = None
    words = failure or "; ".join(decoded.problems)
    # Neither Python's words nor the computer's.
    assert not re.search(
        r"Errno|Error\b|Traceback|codec can't|NoneType|object|0x|/tmp|"
        r"not supported between|division",
        words,
    ), words
    assert words.strip() == words
    if not count:
        assert words
        return "listed", words, decoded
    return "in part" if words else "whole", words, decoded


def check(folder, originals, count, seed):
    rng = np.random.default_rng(seed)
    found = collections.Counter()
    for number in range(count):
        kind = list(originals)[number % len(originals)]
        damage = DAMAGES[number // len(originals) % len(DAMAGES)]
        path = folder / f"film.{kind}"
        path.write_bytes(damage(originals[kind], rng))
        rate = (None, 10.0)[number % 2]
        what, words, decoded = outcome(path, rate)
        about = (number, kind, damage.__name__, words)
        found[what] += 1
        # What has been lost is said, where a header can tell it.
        silent = (
            kind in UNTOLD
            or damage is beginning_lost
            or (kind in LEAPING and damage is not cut_off)
        )
        if what == "whole" and not silent:
            assert decoded.frames >= FRAMES - 10, about
        if what == "in part":
            assert re.search(r"\d", words), about
    return found


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    return {kind: original(folder / f"a.{kind}") for kind in CONTAINERS}


def test_what_is_not_damaged_is_whole(tmp_path, originals):
    for kind, data in originals.items():
        path = tmp_path / f"film.{kind}"
        path.write_bytes(data)
        what, words, decoded = outcome(path, None)
        assert (what, words, decoded.frames) == ("whole", "", FRAMES), kind


def test_some_damaged_films(tmp_path, originals):
    found = check(tmp_path, originals, 72, seed=1)
    assert min(found[what] for what in ("whole", "in part", "listed")) > 3


@pytest.mark.hard
@pytest.mark.parametrize("seed", range(10, 14))
def test_a_thousand_damaged_films(tmp_path, originals, seed):
    found = check(tmp_path, originals, 252, seed)
    assert found.total() == 252
