"""Two hundred films that are broken in every way that came to mind."""

import json
import os
import pathlib

import av
import numpy as np
import pytest
from films import write_film

from video_repr.data import ClipDataset

pytestmark = pytest.mark.slow


def audio_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 4410), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def changing_size(path, rng):
    """Raw H.264 of two sizes, one after the other."""
    with open(path, "wb") as both:
        for side in (32, 48):
            part = path.with_suffix(f".{side}.h264")
            write_film(part, rng.integers(0, 256, (9, side, side), np.uint8))
            both.write(part.read_bytes())
            part.unlink()


def variable_rate(path, rng):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        pixels = rng.integers(0, 256, (40, 48, 3), np.uint8)
        for time in (0, 3, 400, 410, 411, 900, 2000, 2001, 2500, 2600):
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def mutate(data, kind, rng):
    data = bytearray(data)
    at = int(rng.integers(1, len(data)))
    if kind == "truncated":
        return data[:at]
    if kind == "hole":
        end = min(len(data), at + int(rng.integers(1, 400)))
        data[at:end] = bytes(end - at)
    if kind == "flipped":
        for place in rng.integers(0, len(data), 10):
            data[place] ^= 1 << int(rng.integers(8))
    if kind == "missing piece":
        del data[at : at + int(rng.integers(1, 200))]
    return data


def write_bad_films(folder, originals, rng, count):
    """Writes films of all sorts; returns the number that should be listed."""
    kinds = ("truncated", "hole", "flipped", "missing piece")
    for number in range(count):
        original = originals[number % len(originals)]
        kind = kinds[number // len(originals) % len(kinds)]
        name = f"{number:03} {kind}{original.suffix}"
        (folder / name).write_bytes(mutate(original.read_bytes(), kind, rng))
    (folder / "zero.mp4").touch()
    (folder / "text.mp4").write_text("no film at all\n" * 50)
    (folder / "frames.mp4").write_bytes(originals[0].read_bytes()[:64])
    audio_only(folder / "audio.mp4")
    write_film(folder / "one.mp4", np.zeros((1, 40, 48), np.uint8))
    changing_size(folder / "sizes.mp4", rng)
    variable_rate(folder / "rate.mp4", rng)
    (folder / "wrong.avi").write_bytes(originals[0].read_bytes())
    (folder / "folder.mp4").mkdir()
    (folder / "фильм 映画 🎞.mp4").write_bytes(originals[0].read_bytes())
    (folder / f"{'long' * 60}.mp4").write_bytes(originals[0].read_bytes())
    (folder / "new\nline.mp4").write_bytes(originals[0].read_bytes())
    locked = folder / "locked.mp4"
    locked.write_bytes(originals[0].read_bytes())
    locked.chmod(0)
    (folder / "dangling.mp4").symlink_to(folder / "nowhere")
    (folder / "notes.txt").write_text("ignored")


def check(folder, dataset, code):
    assert code == 0
    info = ClipDataset(dataset).info
    failures = {
        f["media_id"]: f
        for f in map(
            json.loads,
            (dataset / "failures.jsonl").read_text().splitlines(),
        )
    }
    names = {p.relative_to(folder).as_posix() for p in folder.iterdir()}
    sources = {s["media_id"]: s for s in info["sources"]}
    ignored = {os.path.basename(path) for path in info["ignored"]}
    assert names == set(sources) | ignored
    assert ignored == {"notes.txt"}
    for name, source in sources.items():
        # Used, or said why not.
        assert bool(source["clips"]) or failures[name]["failed"], name
        if name in failures:
            assert failures[name]["reason"], name
            assert failures[name]["frames_recovered"] == source["frames"]
    for name in ("zero", "text", "frames", "audio", "one", "folder",
                 "dangling"):  # fmt: skip
        assert failures[f"{name}.mp4"]["failed"], name
    assert "no video stream" in failures["audio.mp4"]["reason"]
    assert "1 frames in a row are less" in failures["one.mp4"]["reason"]
    assert sources["rate.mp4"]["clips"] == 2
    assert sources["sizes.mp4"]["clips"] == 4
    for name in ("wrong.avi", "фильм 映画 🎞.mp4", "new\nline.mp4"):
        assert sources[name]["clips"], name
    if os.geteuid():
        assert "Permission" in failures["locked.mp4"]["reason"]
    else:
        # Nothing is locked for root.
        assert sources["locked.mp4"]["clips"]
    for split, told in info["splits"].items():
        clips = list(ClipDataset(dataset).examples(split).as_numpy_iterator())
        assert len(clips) == told["clips"]


def test_two_hundred_bad_films(cut, films, rng, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    originals = sorted(films.rglob("*.mp4"))
    avi = tmp_path / "film.avi"
    write_film(avi, rng.integers(0, 256, (12, 40, 48), np.uint8), "mpeg4")
    write_bad_films(folder, [*originals, avi], rng, 186)
    assert len(list(folder.iterdir())) == 201
    code = cut("--max-failure-rate", 0.9, path=folder)
    check(folder, tmp_path / "cut/1", code)


@pytest.mark.hard
@pytest.mark.shared
def test_two_hundred_bad_films_of_the_real_world(
    cut, rng, tmp_path, shared_data
):
    folder = tmp_path / "bad"
    folder.mkdir()
    originals = sorted(
        p for p in (shared_data / "natural_video").iterdir()
        if p.stat().st_size < 1_300_000
    )  # fmt: skip
    write_bad_films(folder, [pathlib.Path(p) for p in originals], rng, 186)
    code = cut("--max-failure-rate", 0.9, path=folder)
    check(folder, tmp_path / "cut/1", code)
