import fractions
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import av
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipelines import directory
from pipelines.sources import Source
from pipelines.transforms.frame_sampling import FrameSampling
from video_repr.data import ClipDataset
from video_repr.data import read_clip
from video_repr.data.film import Decoded
from video_repr.data.film import Shown
from video_repr.data.splits import SPLITS

pytestmark = pytest.mark.slow


def read_all(path):
    dataset = ClipDataset(path)
    return [
        {**example, "split": split}
        for split in dataset.info["splits"]
        for example in dataset.examples(split).as_numpy_iterator()
    ]


def test_a_patch_is_one_place_of_the_film(cut, films, tmp_path):
    assert cut("--crops", 2) == 0
    examples = read_all(tmp_path / "cut/1")
    # 9, 12 and 15 frames give 2, 3 and 3 clips, twice.
    assert len(examples) == 2 * 2 * (2 + 3 + 3)
    places = set()
    for example in examples:
        film = read_clip(films / example["media_id"].decode(), grey=False)
        start = round(example["start"] / 1e6 * 10)
        frames = film[start : start + 4]
        windows = np.lib.stride_tricks.sliding_window_view(
            frames, (16, 16), axis=(1, 2)
        )
        # [time, row, column, channel, 16, 16]
        patch = np.moveaxis(example["clip"], -1, 1)[:, None, None]
        (found,) = np.argwhere((windows == patch).all(axis=(0, 3, 4, 5)))
        places.add(tuple(found))
    assert len(places) > len(examples) // 2


def test_what_a_directory_says_of_itself(cut, tmp_path):
    assert cut("--labels", "--grey") == 0
    path = tmp_path / "cut/1"
    examples = read_all(path)
    info = ClipDataset(path).info
    for split, told in info["splits"].items():
        pixels = np.stack(
            [e["clip"] for e in examples if e["split"] == split]
        ).astype(float)
        assert told["clips"] == len(pixels)
        assert told["mean"] == pytest.approx([pixels.mean()])
        assert told["std"] == pytest.approx([pixels.std()])
    assert ClipDataset(path).labels == ("run", "walk")
    for example in examples:
        label = ("run", "walk")[example["label"]]
        assert example["media_id"].decode().startswith(label)
    schema = text_format.Parse(
        (path / "schema.pbtxt").read_text(), schema_pb2.Schema()
    )
    names = {feature.name for feature in schema.feature}
    (shard, *_) = sorted(path.glob("*.tfrecord"))
    record = next(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    assert names == set(tf.train.Example.FromString(record).features.feature)
    statistics = statistics_pb2.DatasetFeatureStatisticsList.FromString(
        (path / "stats.pb").read_bytes()
    )
    assert {d.name: d.num_examples for d in statistics.datasets} == {
        split: told["clips"] for split, told in info["splits"].items()
    }
    assert "0 of 6 sources failed" in (path / "README.md").read_text()


def test_groups_stay_together(cut, tmp_path):
    pattern = r"_(g\d)_"
    shares = ("--validation", 0.1, "--test", 0)
    assert cut("--group-pattern", pattern, *shares) == 0
    splits = {}
    for example in read_all(tmp_path / "cut/1"):
        splits.setdefault(example["group"], set()).add(example["split"])
    assert splits == {b"g0": {"train"}, b"g1": {"validation"}}
    # Nothing to train on is no dataset.
    out = tmp_path / "no" / "1"
    shares = ("--validation", 0.4, "--test", 0.3)
    assert cut("--group-pattern", pattern, *shares, out=out) == 2
    assert not out.exists()


def test_whole_frames(cut, films, tmp_path):
    assert cut("--whole", "--size", 20) == 0
    for example in read_all(tmp_path / "cut/1"):
        film = read_clip(
            films / example["media_id"].decode(), size=20, grey=False
        )
        start = round(example["start"] / 1e6 * 10)
        difference = film[start : start + 4].astype(int) - example["clip"]
        # Pillow scales in another way than FFmpeg.
        assert np.abs(difference).mean() < 12
    assert cut("--whole", "--crops", 2, out=tmp_path / "two" / "1") == 2


def test_frames_scaled_before_patches_are_cut(cut, films, tmp_path):
    """What is cut lies somewhere in the scaled frame."""
    assert cut("--shorter-side", 20) == 0
    for example in read_all(tmp_path / "cut/1"):
        film = read_clip(
            films / example["media_id"].decode(), size=20, grey=False
        )
        # That is the middle 20 of 24 columns: places are further apart than
        # scaled frames differ.
        start = round(example["start"] / 1e6 * 10)
        windows = np.lib.stride_tricks.sliding_window_view(
            film[start].astype(int), (16, 12, 3)
        )
        differences = np.abs(windows - example["clip"][0][:, 2:14])
        assert differences.mean(axis=(-3, -2, -1)).min() < 14
    refused = tmp_path / "refused" / "1"
    assert cut("--shorter-side", 15, out=refused) == 2
    assert cut("--shorter-side", 20, "--whole", out=refused) == 2
    assert not refused.exists()


def test_spans_of_films_that_begin_late(cut, films, tmp_path):
    """As those that a camera cuts out of a long recording."""
    late = tmp_path / "late"
    late.mkdir()
    for number in range(4):
        with av.open(str(late / f"{number}.ts"), "w") as film:
            stream = film.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
            for t in range(30):
                frame = av.VideoFrame.from_ndarray(
                    np.full((40, 48, 3), 8 * t, np.uint8)
                )
                frame.pts = t + 90_000
                frame.time_base = fractions.Fraction(1, 25)
                film.mux(stream.encode(frame))
            film.mux(stream.encode())
    spans = ("--clips-per-video", 1, "--clip-seconds", 0.5)
    assert cut(*spans, "--test", 0, path=late) == 0
    for example in read_all(tmp_path / "cut/1"):
        assert 0 <= example["start"] < 1.2e6


def test_a_list_of_films(cut, films, tmp_path):
    names = sorted(p.relative_to(films).as_posix() for p in films.rglob("*4"))
    (films / "list.txt").write_text("\n".join([*names, f"./{names[0]}", ""]))
    try:
        assert cut("--layout", "list", path=films / "list.txt") == 0
    finally:
        (films / "list.txt").unlink()
    found = {e["media_id"].decode() for e in read_all(tmp_path / "cut/1")}
    assert found == set(names)


def test_ucf101(cut, films, tmp_path):
    folder, lists = tmp_path / "ucf", tmp_path / "lists"
    lists.mkdir()
    names = {"train": [], "test": []}
    for label in ("run", "walk"):
        (folder / label).mkdir(parents=True)
        for group, split in ((1, "test"), (2, "train"), (3, "train")):
            name = f"{label}/v_{label}_g{group:02}_c01.avi"
            # Each another film: copies would be left out of training.
            film = sorted((films / label).iterdir())[group - 1]
            (folder / name).write_bytes(film.read_bytes())
            names[split].append(name)
    (lists / "classInd.txt").write_text("1 walk\n2 run\n")
    for split, videos in names.items():
        (lists / f"{split}list01.txt").write_text("\n".join(videos))
    given = ("--layout", "ucf101", "--lists", lists)
    assert cut(*given, "--validation", 0, path=folder) == 0
    assert ClipDataset(tmp_path / "cut/1").labels == ("walk", "run")
    for example in read_all(tmp_path / "cut/1"):
        video = example["media_id"].decode()
        assert video in names[example["split"]]
        assert video.startswith(("walk", "run")[example["label"]])
    # A video that the lists have and the folder does not.
    (folder / names["train"][0]).unlink()
    out = tmp_path / "absent" / "1"
    assert cut(*given, path=folder, out=out) == 1


def test_many_shards(cut, films, tmp_path, monkeypatch, sums):
    from pipelines import job

    monkeypatch.setattr(job, "_shards", lambda *_: dict.fromkeys(SPLITS, 3))
    assert cut() == 0
    path = tmp_path / "cut/1"
    shards = ClipDataset(path).info["shards"]
    assert len(shards) >= 3
    one = tmp_path / "one" / "cut" / "1"
    monkeypatch.undo()
    assert cut(out=one) == 0
    many, few = ({e["id"] for e in read_all(p)} for p in (path, one))
    assert many == few
    assert len(read_all(path)) == len(many)


def test_motion(cut, tmp_path):
    # The films move; nothing moves by half of the range in each pixel.
    assert cut("--motion", 0.01) == 0
    assert cut("--motion", 0.9, out=tmp_path / "still" / "1") == 2


def test_random_spans(cut, tmp_path):
    spans = ("--clips-per-video", 1, "--clip-seconds", 0.5)
    assert cut(*spans) == 0
    examples = read_all(tmp_path / "cut/1")
    # Half a second is 5 frames: one clip of 4.
    assert len(examples) == 6
    other = tmp_path / "other" / "1"
    assert cut(*spans, "--seed", 1, out=other) == 0
    starts = [sorted(e["start"] for e in read_all(p))
              for p in (tmp_path / "cut/1", other)]  # fmt: skip
    assert starts[0] != starts[1]


def test_another_rate(cut, tmp_path):
    # 10 frames a second as 20: each is there twice.
    assert cut("--rate", 20) == 0
    for example in read_all(tmp_path / "cut/1"):
        clip = example["clip"]
        np.testing.assert_array_equal(clip[0::2], clip[1::2])


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


@pytest.fixture
def job_service():
    """Beam's job service: the protocol of Flink, Spark and Dataflow."""
    port = free_port()
    service = subprocess.Popen(
        [
            *(sys.executable, "-m"),
            "apache_beam.runners.portability.local_job_service_main",
            *("--port", str(port)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(300):
        with socket.socket() as ours:
            if not ours.connect_ex(("localhost", port)):
                break
        time.sleep(0.1)
    yield f"localhost:{port}"
    service.terminate()
    service.wait()


@pytest.mark.hard
def test_the_same_bytes_by_way_of_a_job_service(
    cut, tmp_path, sums, job_service
):
    assert cut() == 0
    options = (
        "--",
        "--runner=PortableRunner",
        f"--job_endpoint={job_service}",
        "--environment_type=LOOPBACK",
    )
    out = tmp_path / "portable" / "cut" / "1"
    assert cut(*options, out=out) == 0
    assert sums(out) == sums(tmp_path / "cut/1")


def test_the_same_bytes_again_and_by_two_workers(cut, films, tmp_path, sums):
    assert cut() == 0
    expected = sums(tmp_path / "cut/1")
    assert any(name.endswith(".tfrecord") for name in expected)
    out = tmp_path / "again" / "cut" / "1"
    assert cut(out=out) == 0
    assert sums(out) == expected
    # By workers that know nothing of the program's main module.
    out = tmp_path / "two" / "cut" / "1"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pipelines.patches", "--workers", "2"),
            *("--input", films, "--output", out),
            *("--clip-frames", "4", "--size", "16"),
        ],
        check=True,
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
    )
    assert sums(out) == expected
    # TensorFlow prints such lines while it is imported.
    assert b"absl::InitializeLog" not in done.stderr


def test_what_is_there_is_kept(cut, tmp_path, sums, capsys):
    out = tmp_path / "cut/1"
    assert cut() == 0
    before = sums(out)
    assert cut() == 0
    assert "complete already" in capsys.readouterr().out
    assert cut("--crops", 2) == 2
    assert "made with other patches" in capsys.readouterr().err
    assert sums(out) == before
    assert cut("--crops", 2, "--overwrite") == 0
    assert sums(out) != before
    other = tmp_path / "other" / "1"
    other.mkdir(parents=True)
    (other / "letter.txt").write_text("mine")
    for place in (other, other.parent):
        assert cut(out=place) == 2
        assert cut("--overwrite", out=place) == 2
        assert (other / "letter.txt").read_text() == "mine"


@pytest.fixture
def with_a_bad_one(films, tmp_path):
    folder = tmp_path / "films"
    for film in sorted(films.rglob("*.mp4")):
        os.makedirs(folder / film.parent.name, exist_ok=True)
        (folder / film.parent.name / film.name).symlink_to(film)
    (folder / "run" / "bad.mp4").write_text("no film")
    return folder


def test_too_many_failures_end_the_job_and_nothing_is_lost(
    cut, with_a_bad_one, tmp_path, capsys
):
    out = tmp_path / "cut/1"
    assert cut(path=with_a_bad_one) == 1
    error = capsys.readouterr().err
    assert "1 of 7 sources failed" in error
    assert "run/bad.mp4" in error
    assert not out.exists()
    parts = sorted(out.parent.glob(".*/*/parts/*.tfrecord"))
    times = [part.stat().st_mtime_ns for part in parts]
    assert len(parts) == 6
    # Asked for something else, it does not mix the two.
    assert cut("--crops", 2, path=with_a_bad_one) == 2
    assert "begun with other patches" in capsys.readouterr().err
    assert [part.stat().st_mtime_ns for part in parts] == times
    # What failed is tried again, for it may have been mended.
    rate = ("--max-failure-rate", 0.2)
    assert cut(*rate, path=with_a_bad_one) == 0
    assert "6 of 7 sources are done already" in capsys.readouterr().out
    (failure,) = map(
        json.loads, (out / "failures.jsonl").read_text().splitlines()
    )
    assert failure["media_id"] == "run/bad.mp4"
    assert failure["failed"]
    assert "Invalid data" in failure["reason"]
    assert not list(out.parent.glob(".*"))


def test_a_film_that_was_mended_after_the_shards(
    cut, films, with_a_bad_one, tmp_path, sums, monkeypatch
):
    rate = ("--max-failure-rate", 0.2)
    with monkeypatch.context() as patched:
        patched.setattr(directory, "describe", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cut(*rate, path=with_a_bad_one)
    film = sorted(films.rglob("*.mp4"))[-1]
    # No copy, which would be in another's group.
    data = film.read_bytes() + b"\0"
    (with_a_bad_one / "run" / "bad.mp4").write_bytes(data)
    assert cut(*rate, path=with_a_bad_one) == 0
    out, whole = tmp_path / "cut" / "1", tmp_path / "whole" / "cut" / "1"
    assert cut(*rate, path=with_a_bad_one, out=whole) == 0
    assert sums(out) == sums(whole)
    found = ClipDataset(out)
    (mended,) = [
        s for s in found.info["sources"] if s["media_id"] == "run/bad.mp4"
    ]
    assert mended["clips"] == 3
    for split, told in found.info["splits"].items():
        assert len(list(found.examples(split))) == told["clips"]


def test_training_films_that_all_fail(cut, films, tmp_path, capsys):
    folder = tmp_path / "films"
    (folder / "g1").mkdir(parents=True)
    (folder / "g0").mkdir()
    (folder / "g0" / "a_g0.mp4").write_text("no film")
    good = films / "run" / "run_g0_0.mp4"
    (folder / "g1" / "a_g1.mp4").write_bytes(good.read_bytes())
    given = ("--group-pattern", r"_(g\d+)", "--max-failure-rate", 1)
    assert cut(*given, "--validation", 0.5, "--test", 0, path=folder) == 2
    assert "Expected clips to train on" in capsys.readouterr().err
    assert not (tmp_path / "cut" / "1").exists()


def test_frames_that_are_lost_are_not_filled_in():
    decoded = Decoded()

    def timed():
        for t in range(60):
            if t == 20:
                decoded.gaps += 1
            if not 20 <= t < 45:
                yield Shown(t / 10, t / 10, (t + 1) / 10, t)

    frames = FrameSampling(rate=10.0)
    source = Source("film", "film", "film")
    found = list(frames._spans(source, timed(), 6.0, decoded))
    assert [frame for _, _, frame in found] == [*range(20), *range(45, 60)]
    assert len({key for key, _, _ in found[:20]}) == 1
    assert len({key for key, _, _ in found}) == 2


def test_names_that_are_no_text(cut, films, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    name = os.fsencode(folder) + b"/\xff\xfe.mp4"
    good = (films / "run" / "run_g0_0.mp4").read_bytes()
    with open(name, "wb") as file:
        file.write(good)
    assert cut(path=folder) == 0
    (clip, *_) = ClipDataset(tmp_path / "cut" / "1").examples("train")
    assert clip["media_id"].numpy() == rb"\udcff\udcfe.mp4"


def test_paths_that_nobody_can_read(cut, films, tmp_path):
    file = tmp_path / "list.txt"
    good = films / "run" / "run_g0_0.mp4"
    os.mkfifo(tmp_path / "pipe.mp4")
    # A film by two names is one.
    twice = os.path.relpath(good, tmp_path)
    file.write_text(f"{good}\n{twice}\nhttp://a.b/c.mp4\npipe.mp4\n")
    rate = ("--max-failure-rate", 0.9)
    assert cut("--layout", "list", *rate, path=file) == 0
    out = tmp_path / "cut" / "1"
    reasons = {
        f["path"]: f["reason"]
        for f in map(
            json.loads, (out / "failures.jsonl").read_text().splitlines()
        )
    }
    assert "filesystem" in reasons["http://a.b/c.mp4"].lower()
    assert reasons[str(tmp_path / "pipe.mp4")] == "it is no file"
    assert len(ClipDataset(out).info["sources"]) == 3


def test_no_clip_at_all(cut, tmp_path, capsys):
    folder = tmp_path / "empty"
    folder.mkdir()
    assert cut(path=folder) == 2
    assert "Expected at least one source" in capsys.readouterr().err
    (folder / "a.mp4").write_bytes(b"")
    assert cut("--max-failure-rate", 1, path=folder) == 2
    assert "1 sources without any" in capsys.readouterr().err
    assert not (tmp_path / "cut/1").exists()


KILLED = """
import sys, time
from pipelines import arguments, directory, patches
from pipelines.transforms import crop

def wait():
    print("now", flush=True)
    time.sleep(60)

count = 0
clips = crop.Patches.clips
def slow(self, source, decoded):
    global count
    count += 1
    if count == 4:
        wait()
    yield from clips(self, source, decoded)

where = sys.argv.pop(1)
if where == "in the films":
    crop.Patches.clips = slow
else:
    directory.describe = lambda *_: wait()
arguments.main(patches.Arguments, "pipelines.patches", sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("where", "done"),
    [
        ("in the films", 3),
        pytest.param("after the shards", 6, marks=pytest.mark.hard),
    ],
)
def test_a_job_that_is_killed_goes_on(
    cut, films, tmp_path, sums, capsys, where, done
):
    out = tmp_path / "cut/1"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", KILLED, where, "--input", str(films)),
            *("--output", str(out), "--clip-frames", "4"),
            *("--size", "16"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=pathlib.Path(__file__).parents[2],
        text=True,
    )
    for line in process.stdout:
        if line == "now\n":
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert len(list(out.parent.glob(".*/*/parts/*.json"))) == done
    assert cut() == 0
    assert f"{done} of 6 sources are done already" in capsys.readouterr().out
    whole = tmp_path / "whole" / "cut" / "1"
    assert cut(out=whole) == 0
    assert sums(out) == sums(whole)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", 0), "size of at least 1. Received: 0"),
        (("--clip-frames", 70_000), "70000 frames of 16 px"),
        (("--rate", -1), "rate above 0 and at most 1000. Received: -1"),
        (("--rate", 0), "rate above 0 and at most 1000. Received: 0"),
        (("--rate", "inf"), "rate above 0 and at most 1000. Received: inf"),
        (("--rate", "nan"), "rate above 0 and at most 1000. Received: nan"),
        (("--rate", 1e9), "rate above 0 and at most 1000. Received: 1000000"),
        (("--picture-rate", "inf"), "picture_rate above 0 and at most 1000"),
        (("--clip-seconds", "nan"), "clip_seconds above 0 and finite"),
        (("--clip-seconds", "inf"), "clip_seconds above 0 and finite"),
        (("--motion", "nan"), "motion from 0 to 1. Received: nan"),
        (("--max-failure-rate", "nan"), "max_failure_rate from 0 to 1"),
        (("--validation", "nan"), "validation from 0 to 1. Received: nan"),
        (("--output", "/output"), "path <data_dir>/<name>/<version>"),
        (("--output", "data/a*/1"), "path <data_dir>/<name>/<version>"),
        (("--motion", 2), "motion from 0 to 1. Received: 2"),
        (("--workers", 0), "workers of at least 1. Received: 0"),
        (("--validation", 1), "groups to train on"),
        (("--shard-mb", 0), "shard_mb of at least 1. Received: 0"),
        (("--layout", "ucf101"), "the folder of ucf101's official"),
        (("--layout", "list"), "a path in each line. Received"),
        (("--group-pattern", "x(y)z"), "finds a group in"),
        (("--group-pattern", "("), "a regular expression"),
        (("--group-pattern", "(x)|mp4"), "finds a group in"),
        (("--lists", "x"), "with --layout ucf101 or hmdb51"),
        (("--input", "/none"), "/none, which does not exist"),
        (("--input", __file__), "a file"),
        (("--", "--runner=Bogus"), "a runner of Beam"),
        (("--", "--runner=DaskRunner"), "loses data without an error"),
        (
            ("--workers", 2, "--", "--runner=PrismRunner"),
            "Received: 2 workers and PrismRunner",
        ),
    ],
)
def test_bad_arguments(cut, tmp_path, capsys, arguments, message):
    assert cut(*arguments) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.replace("│", " ").split())
    assert not (tmp_path / "cut").exists()


def test_links_that_lead_back_up(cut, films, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.mp4").symlink_to(films / "run" / "run_g0_0.mp4")
    (folder / "up").symlink_to(folder)
    assert cut("--validation", 0, "--test", 0, path=folder) == 0
    assert len(ClipDataset(tmp_path / "cut" / "1").info["sources"]) == 1
