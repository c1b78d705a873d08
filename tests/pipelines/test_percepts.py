import csv
import json
import pathlib
import shutil
import subprocess
import sys

import cv2
import h5py
import keras
import numpy as np
import pytest

from pipelines import arguments
from pipelines import import_features
from pipelines import moving_mnist
from pipelines import percepts
from video_repr.data import ClipDataset
from video_repr.data import MovingMNIST
from video_repr.data import load_digits
from video_repr.models import convnets

pytestmark = pytest.mark.slow


def call(command, *given):
    try:
        return arguments.main(command, "test", [*map(str, given)])
    except SystemExit as ended:
        return ended.code


def examples(path, split):
    return list(ClipDataset(path).examples(split).as_numpy_iterator())


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((28, 28, 3))
    x = keras.layers.Conv2D(5, 7, strides=7, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(x))
    path = tmp_path_factory.mktemp("network") / "small.keras"
    model.save(path)
    return model, path


@pytest.fixture
def make(films, network, tmp_path):
    def run(*extra, out=tmp_path / "percepts" / "1", path=films):
        return call(
            percepts.Arguments,
            *("--input", path, "--output", out),
            *("--network", network[1], "--clip-frames", 4, *extra),
        )

    return run


def frames_of(film):
    import av

    with av.open(str(film)) as container:
        # 240 x 320 for 224, so 30 x 40 for 28.
        return np.stack(
            [
                frame.reformat(40, 30, "rgb24").to_ndarray()
                for frame in container.decode(video=0)
            ]
        )


@pytest.mark.parametrize("crops", ["centre", "five"])
@pytest.mark.parametrize("batch", [3, 32])
def test_percepts_are_those_of_the_network(
    make, films, network, tmp_path, crops, batch
):
    assert make("--crops", crops, "--batch", batch) == 0
    path = tmp_path / "percepts/1"
    found = [
        e
        for split in ClipDataset(path).info["splits"]
        for e in examples(path, split)
    ]
    assert len(found) == 2 * (2 + 3 + 3)
    places = [(1, 6)]
    if crops == "five":
        places += [(0, 0), (0, 12), (2, 0), (2, 12)]
    for example in found:
        frames = frames_of(films / example["media_id"].decode())
        start = round(example["start"] / 1e6 * 10)
        expected = np.mean(
            [
                network[0](frames[start : start + 4, y : y + 28, x : x + 28])
                for y, x in places
            ],
            axis=0,
        )
        np.testing.assert_allclose(
            example["clip"], expected, rtol=1e-4, atol=1e-3
        )


@pytest.mark.hard
def test_bytes_do_not_depend_on_what_shares_a_batch(
    make, films, tmp_path, sums
):
    out = tmp_path / "percepts/1"
    assert make("--batch", 8) == 0
    two = tmp_path / "two" / "percepts" / "1"
    assert make("--batch", 8, "--workers", 2, out=two) == 0
    assert sums(two) == sums(out)


def test_whole_videos(make, tmp_path):
    assert make("--clip-frames", "None") == 0
    lengths = {
        e["media_id"]: len(e["clip"])
        for split in ClipDataset(tmp_path / "percepts/1").info["splits"]
        for e in examples(tmp_path / "percepts/1", split)
    }
    assert sorted(lengths.values()) == [9, 9, 12, 12, 15, 15]


def test_spans_whose_leftovers_wait_in_a_batch(make, tmp_path):
    # Spans of 7 frames: a clip of 4, and 3 that are none.
    spans = ("--clips-per-video", 1, "--clip-seconds", 0.7)
    assert make(*spans, "--batch", 5) == 0
    path = tmp_path / "percepts/1"
    for split in ClipDataset(path).info["splits"]:
        videos = [e["media_id"] for e in examples(path, split)]
        assert len(videos) == len(set(videos))
    assert (path / "failures.jsonl").read_text() == ""


def test_films_that_fail_beside_others(make, films, tmp_path):
    folder = tmp_path / "films"
    shutil.copytree(films, folder)
    (folder / "a.mp4").write_text("no film")
    whole = (folder / "run" / "run_g0_0.mp4").read_bytes()
    (folder / "b.mp4").write_bytes(whole[: len(whole) // 2])
    assert make("--max-failure-rate", 0.5, path=folder) == 0
    lines = (tmp_path / "percepts/1/failures.jsonl").read_text().splitlines()
    failures = {f["media_id"]: f for f in map(json.loads, lines)}
    assert failures["a.mp4"]["failed"]
    clips = {
        e["media_id"]
        for split in ClipDataset(tmp_path / "percepts/1").info["splits"]
        for e in examples(tmp_path / "percepts/1", split)
    }
    assert len(clips) >= 6


def test_another_network_under_the_same_name(films, network, tmp_path, capsys):
    path = tmp_path / "small.keras"
    shutil.copy(network[1], path)
    arguments = (
        *("--input", films, "--output", tmp_path / "percepts" / "1"),
        *("--network", path, "--clip-frames", 4),
    )
    assert call(percepts.Arguments, *arguments) == 0
    assert call(percepts.Arguments, *arguments) == 0
    assert "complete already" in capsys.readouterr().out
    other = keras.models.load_model(path)
    other.set_weights([2 * weights for weights in other.get_weights()])
    other.save(path)
    assert call(percepts.Arguments, *arguments) == 2
    assert "a dataset made with other files" in capsys.readouterr().err


def test_random_weights_are_always_the_same(rng):
    pixels = rng.uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    first, second = (
        np.asarray(
            convnets.network("efficientnet-lite0", "random").percepts(pixels)
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_folders_of_pictures(make, rng, tmp_path):
    folder = tmp_path / "frames"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            picture = rng.integers(0, 256, (30, 40, 3), np.uint8)
            cv2.imwrite(str(folder / name / f"{number:03}.jpg"), picture)
    (folder / "two" / "004.jpg").write_bytes(b"no picture")
    assert make("--layout", "pictures", path=folder) == 0
    (line,) = (tmp_path / "percepts/1/failures.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "004.jpg cannot be decoded"
    info = ClipDataset(tmp_path / "percepts/1").info
    assert sum(s["clips"] for s in info["splits"].values()) == 2


def write_index(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


ROWS = [
    {"clip": "a", "label": "run", "group": "g1", "split": "train"},
    {"clip": "b", "label": "walk", "group": "g2", "split": "train"},
    {"clip": "c", "label": "run", "group": "g3", "split": "test"},
]


@pytest.fixture
def bring(tmp_path):
    def run(arrays, rows=ROWS, extra=("--validation", 0)):
        index = write_index(tmp_path / "index.csv", rows)
        return call(
            import_features.Arguments,
            *("--arrays", arrays, "--index", index, *extra),
            *("--output", tmp_path / "brought" / "1"),
        )

    return run


@pytest.mark.parametrize("form", ["npy", "npz", "h5", "named.npz", "named.h5"])
def test_features_from_elsewhere(bring, rng, tmp_path, form):
    values = rng.random((3, 5, 7)).astype("float32")
    path = tmp_path / f"arrays.{form}"
    named = {row["clip"]: v for row, v in zip(ROWS, values, strict=True)}
    if form == "npy":
        np.save(path, values)
    elif form.endswith("npz"):
        np.savez(path, **(named if "named" in form else {"x": values}))
    else:
        with h5py.File(path, "w") as file:
            for name, value in (
                named if "named" in form else {"x": values}
            ).items():
                file[name] = value
    assert bring(path) == 0
    out = tmp_path / "brought/1"
    assert ClipDataset(out).labels == ("run", "walk")
    for split, rows in (("train", (0, 1)), ("test", (2,))):
        found = {e["id"].decode(): e for e in examples(out, split)}
        assert sorted(found) == [ROWS[row]["clip"] for row in rows]
        for row in rows:
            example = found[ROWS[row]["clip"]]
            np.testing.assert_array_equal(example["clip"], values[row])
            assert example["group"].decode() == ROWS[row]["group"]


@pytest.mark.parametrize(
    ("form", "frame_shape"), [("npy", (4, 6)), ("npz", (3, 5, 2))]
)
def test_pictures_from_elsewhere(bring, rng, tmp_path, form, frame_shape):
    values = rng.integers(0, 256, (3, 5, *frame_shape), np.uint8)
    path = tmp_path / f"arrays.{form}"
    if form == "npy":
        np.save(path, values)
    else:
        names = [row["clip"] for row in ROWS]
        np.savez(path, **dict(zip(names, values, strict=True)))
    assert bring(path) == 0
    found = {
        example["id"].decode(): example["clip"]
        for split in ("train", "test")
        for example in examples(tmp_path / "brought/1", split)
    }
    for row, clip in zip(ROWS, values, strict=True):
        assert found[row["clip"]].dtype == np.uint8
        np.testing.assert_array_equal(found[row["clip"]], clip)


def test_pictures_are_no_flow(bring, tmp_path, capsys):
    np.save(tmp_path / "arrays.npy", np.zeros((3, 5, 4, 6), np.uint8))
    assert bring(tmp_path / "arrays.npy", extra=("--stream", "flow")) == 2
    assert "pictures of (4, 6)" in capsys.readouterr().err


def changed(number, **fields):
    rows = [dict(row) for row in ROWS]
    rows[number].update(fields)
    return rows


@pytest.mark.parametrize(
    ("values", "rows", "message"),
    [
        (np.zeros((2, 5, 7)), ROWS, "has, 3. Received: 2 in"),
        (np.zeros((3, 7)), ROWS, "Received: float64 of shape (7,) for a"),
        (np.zeros((3, 5, 7, 7)), ROWS, "uint8 pictures of [time, height"),
        (np.zeros((3, 5000, 201, 1), "u1"), ROWS, "at most 1,000,000 rows"),
        (np.full((3, 5, 7), np.nan), ROWS, "NaN or infinity in a"),
        (np.zeros((3, 5, 7)), changed(1, clip="a"), "'a' more often"),
        (np.zeros((3, 5, 7)), changed(1, label=""), "line 3 of"),
        (np.zeros((3, 5, 7)), changed(1, split="dev"), "Received: 'dev' in"),
        (np.zeros((3, 5, 7)), changed(2, group="g1"), "g1 in train and in te"),
        (np.zeros((3, 5, 7)), [{"name": "a"}], "Received: 1 lines of name"),
    ],
)
def test_features_that_do_not_fit(
    bring, tmp_path, capsys, values, rows, message
):
    np.save(tmp_path / "arrays.npy", values)
    assert bring(tmp_path / "arrays.npy", rows) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "brought").exists()


def test_features_of_other_sizes(bring, rng, tmp_path, capsys):
    arrays = {
        c: rng.random((4, n)) for c, n in {"a": 7, "b": 7, "c": 8}.items()
    }
    np.savez(tmp_path / "arrays.npz", **arrays)
    assert bring(tmp_path / "arrays.npz") == 2
    assert "Received: (7,) in a, (8,) in c" in capsys.readouterr().err
    for change, message in (
        ({"d": arrays["a"]}, "1 without, as 'd'"),
        ({"c": None}, "for each clip. Received: "),
    ):
        kept = {k: v for k, v in {**arrays, **change}.items() if v is not None}
        np.savez(tmp_path / "arrays.npz", **kept)
        assert bring(tmp_path / "arrays.npz") == 2
        assert message in capsys.readouterr().err
    (tmp_path / "arrays.npy").write_text("no array")
    assert bring(tmp_path / "arrays.npy") == 2
    assert "file of features" in capsys.readouterr().err


def test_moving_mnist_on_disk(digits_file, tmp_path, capsys):
    out = tmp_path / "moving" / "1"
    given = (
        *("--output", out, "--train", 7, "--frames", 4),
        *("--data.digits", digits_file, "--data.frame-size", 16),
        *("--data.validation-sequences", 3, "--data.test-sequences", 2),
    )
    assert call(moving_mnist.Arguments, *given) == 0
    assert call(moving_mnist.Arguments, *given) == 0
    assert "complete already" in capsys.readouterr().out
    assert (
        call(moving_mnist.Arguments, *given[:2], "--train", 9, *given[4:]) == 2
    )
    assert "made with other train" in capsys.readouterr().err
    sizes = {"train": 7, "validation": 3, "test": 2}
    found = {split: examples(out, split) for split in sizes}
    assert {split: len(e) for split, e in found.items()} == sizes
    digits = load_digits(str(digits_file))
    expected = MovingMNIST(digits.train, seed=0, frames=4, size=16)
    for example in found["train"]:
        number = int(example["id"].decode().split("/")[1])
        np.testing.assert_array_equal(
            example["clip"], expected.sequences([number])[0]
        )


@pytest.mark.hard
def test_moving_mnist_as_a_program(digits_file, tmp_path, sums):
    """By workers that know nothing of its main module."""
    written = []
    for workers in (1, 2):
        out = tmp_path / str(workers) / "moving" / "1"
        subprocess.run(
            [
                *(sys.executable, "-m", "pipelines.moving_mnist", "--workers"),
                *(str(workers), "--output", str(out)),
                *("--train", "7", "--frames", "4", "--data.digits"),
                *(str(digits_file), "--data.frame-size", "16"),
                *("--data.validation-sequences", "3"),
                *("--data.test-sequences", "2"),
            ],
            check=True,
            cwd=pathlib.Path(__file__).parents[2],
            capture_output=True,
        )
        written.append(sums(out))
    assert written[0] == written[1]
