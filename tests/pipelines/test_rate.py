"""Which frames `--rate` takes, in every container."""

import fractions
import math

import av
import numpy as np
import pytest

from pipelines.sources import Source
from pipelines.transforms import sample
from pipelines.transforms.frame_sampling import FrameSampling
from video_repr.data import film
from video_repr.data.film import Decoded
from video_repr.data.film import Shown

CODECS = {
    "mp4": "libx264", "mov": "mpeg4", "mkv": "libx264", "webm": "libvpx",
    "flv": "libx264", "avi": "mpeg4", "ts": "libx264", "mpg": "mpeg2video",
}  # fmt: skip
NTSC = {"23.976": "24000/1001", "29.97": "30000/1001"}


def written(path, rate, stamps=None, count=61, codec=None):
    """A film of `count` frames, or of some at places of a rate."""
    codec = codec or CODECS[path.suffix[1:]]
    rate = fractions.Fraction(rate)
    options = {
        "libx264": {"preset": "ultrafast", "bf": "2", "threads": "1"},
        "libvpx": {"deadline": "realtime", "threads": "1"},
        "mpeg2video": {"bf": "2"},
    }.get(codec, {})
    with av.open(str(path), "w") as made:
        stream = made.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
        for number, place in enumerate(stamps or range(count)):
            # A frame that changes wholly: none is taken for another.
            frame = np.full((48, 48, 3), 40 + number * 97 % 170, np.uint8)
            frame = av.VideoFrame.from_ndarray(frame)
            frame.pts, frame.time_base = place, 1 / rate
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
    return path


def taken(path, rate):
    """Numbers of the frames that a rate takes, in their order."""
    decoded = Decoded()
    frames = list(film.read(path, decoded))
    assert decoded.problems == []
    numbers = {id(shown.frame): n for n, shown in enumerate(frames)}
    found = list(sample.at_rate(iter(frames), rate))
    seconds = [seconds for _, seconds, _ in found]
    np.testing.assert_allclose(seconds, np.arange(len(found)) / rate, atol=2e-3)
    return [numbers[id(frame)] for _, _, frame in found], len(frames)


@pytest.mark.parametrize(
    ("container", "own"),
    [
        (container, own)
        for container in CODECS
        for own in ("23.976", "24", "25", "29.97", "30", "50", "60")
        # MPEG-2 has no other rates.
        if container != "mpg" or own in ("24", "25", "29.97", "30", "50")
    ],
)
def test_constant_rates(tmp_path, container, own):
    exact = fractions.Fraction(NTSC.get(own, own))
    path = written(tmp_path / f"a.{container}", exact)
    for rate in (exact, exact / 2, exact * 2, 25, 30, 10, 24, 7):
        # As a user gives it, 29.97.
        numbers, count = taken(path, round(float(rate), 3))
        assert count == 61
        expected = [
            math.floor(k * exact / rate)
            for k in range(math.ceil(61 * rate / exact))
        ]
        assert numbers[: len(expected) - 1] == expected[:-1], rate
        # How long the last is held is rounded as well.
        assert abs(len(numbers) - len(expected)) <= (rate > exact), rate


@pytest.mark.parametrize(
    "container", ["mp4", "mov", "mkv", "webm", "flv", "avi", "ts"]
)
@pytest.mark.parametrize("grid", ["30", "60", "24000/1001"])
def test_variable_rates(tmp_path, container, grid):
    """Frames at some of the places of a grid, held until the next."""
    steps = np.random.default_rng(0).integers(1, 6, 39)
    places = [0, *np.cumsum(steps).tolist()]
    grid = fractions.Fraction(grid)
    path = written(tmp_path / f"a.{container}", grid, places)
    for rate in (grid, grid / 2, grid * 2, 25, 10):
        numbers, count = taken(path, float(rate))
        assert count == 40
        expected = [
            np.searchsorted(places, math.floor(k * grid / rate), "right") - 1
            for k in range(math.ceil(places[-1] * rate / grid))
        ]
        assert numbers[: len(expected)] == expected, rate


def test_stamps_in_milliseconds_that_were_copied(tmp_path):
    """From FLV into MP4, as FFmpeg's copying does."""
    first = written(tmp_path / "a.flv", 30)
    second = tmp_path / "b.mp4"
    with av.open(str(first)) as film, av.open(str(second), "w") as copy:
        stream = film.streams.video[0]
        added = copy.add_stream_from_template(stream)
        for packet in film.demux(stream):
            if packet.dts is not None:
                packet.stream = added
                copy.mux(packet)
    assert taken(second, 30.0)[0][:60] == list(range(60))
    assert taken(second, 15.0)[0] == list(range(0, 61, 2))


def at(*moments, held=0.5):
    """Frames 0, 1, ... at some moments, the last of them held."""
    until = [*moments[1:], moments[-1] + held]
    return [
        Shown(moment, moment, end, number)
        for number, (moment, end) in enumerate(zip(moments, until, strict=True))
    ]


def test_pictures_that_are_held():
    """As often as they are held for; more than ten seconds end a run."""
    found = list(sample.at_rate(at(0, 3, 15, 18, held=2), 2))
    assert [n for _, _, n in found] == [0] * 6 + [1] * 24 + [2] * 6 + [3] * 4
    assert [run for run, _, _ in found] == [0] * 30 + [1] * 10
    assert [seconds for _, seconds, _ in found[30:]] == [
        15 + k / 2 for k in range(10)
    ]
    # As they are, each once.
    found = list(sample.at_rate(at(0, 3, 15, 18), None))
    assert found == [(0, t, n) for n, t in enumerate((0, 3, 15, 18))]


@pytest.mark.parametrize(
    ("moments", "held", "rate", "expected"),
    [
        ((0,), 0, 10, [0]),
        ((0,), 0.35, 10, [0] * 4),
        ((0, 0.1), 0, 10, [0, 1]),
        ((0, 0.1), 0.1, 10, [0, 1]),
        ((0, 0.04), 0.04, 10, [0]),
        ((0, 0.25), 0.1, 10, [0, 0, 0, 1]),
        ((), 0, 10, []),
    ],
)
def test_the_last_frame_is_held(moments, held, rate, expected):
    frames = at(*moments, held=held) if moments else []
    assert [n for _, _, n in sample.at_rate(frames, rate)] == expected


def test_times_that_leap(tmp_path):
    """An hour within a film is no hour of one picture."""
    stamps = [*range(10), *range(36_000, 36_010)]
    path = written(tmp_path / "a.mkv", 10, stamps)
    decoded = Decoded()
    frames = FrameSampling(rate=10.0)
    source = Source(str(path), "film", "film")
    found = [(key, seconds) for key, seconds, _ in frames.read(source, decoded)]
    assert [round(seconds * 10) for _, seconds in found] == stamps
    assert len({key for key, _ in found}) == 2
    (said,) = decoded.problems
    assert "leap by 3599 s after 0.9 s" in said


def test_the_length_is_that_of_the_pictures(tmp_path):
    for container in ("mp4", "mkv", "mov", "avi", "ts"):
        path = tmp_path / f"a.{container}"
        with av.open(str(path), "w") as made:
            stream = made.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
            sound = made.add_stream("mp2", rate=16000, layout="mono")
            for _ in range(20):
                frame = np.zeros((48, 48, 3), np.uint8)
                made.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            made.mux(stream.encode())
            for number in range(60):
                frame = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1600), np.int16), format="s16", layout="mono"
                )
                frame.sample_rate, frame.pts = 16000, 1600 * number
                made.mux(sound.encode(frame))
            made.mux(sound.encode())
        with av.open(str(path)) as made:
            assert made.duration > 5.9 * av.time_base
        assert film.length(path) == pytest.approx(2, abs=0.11), container
    # Without any times.
    path = written(tmp_path / "a.h264", 10, codec="libx264")
    assert film.length(path) == pytest.approx(6.1, abs=0.2) or (
        # H.264 alone does not say its rate: FFmpeg takes it for 25.
        film.length(path) == pytest.approx(61 / 25, abs=0.2)
    )
    path.write_bytes(b"no film")
    assert film.length(path) is None
