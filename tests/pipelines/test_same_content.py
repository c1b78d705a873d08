"""Content decides what is the same, and not names."""

import dataclasses
import functools
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from films import write_film
from percept_data import run_on
from percept_data import write_percepts
from PIL import Image

from pipelines import arguments
from pipelines import embed
from pipelines import import_features
from pipelines import moving_mnist
from pipelines import patches
from pipelines.sources import Source
from pipelines.sources import folder
from pipelines.training import local
from pipelines.training.config import ExampleGenConfig
from pipelines.transforms.vectors import EMBEDDING
from video_repr import Encoder
from video_repr import InputError
from video_repr.data import ClipDataset
from video_repr.data import records
from video_repr.evaluation import evaluate_run
from video_repr.export.saved_model import export_encoder
from video_repr.runs import Run
from video_repr.training import pretrain
from video_repr.transfer.encoders import check_unseen
from video_repr.transfer.videos import Videos
from video_repr.transfer.videos import check_splits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_graphs")]


def call(kind, *given):
    try:
        return arguments.main(kind, "test", [*map(str, given)])
    except SystemExit as ended:
        return ended.code


def film(path, seed, frames=12):
    """A film of grey noise of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    write_film(path, rng.integers(0, 256, (frames, 24, 24), np.uint8))


def pictures(path, seed):
    """A folder of pictures of noise."""
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(8):
        pixels = rng.integers(0, 256, (24, 24), np.uint8)
        Image.fromarray(pixels).save(path / f"{number}.png")


MADE = {"films": film, "pictures": pictures}


@pytest.fixture(params=MADE)
def made(request, tmp_path):
    """Makes source n anew from a seed; cuts all into a dataset."""
    suffix = {"films": ".mp4", "pictures": ""}[request.param]
    layout = {"films": "folder", "pictures": "pictures"}[request.param]
    path = tmp_path / "in"

    def make(number, seed):
        MADE[request.param](path / f"{number}{suffix}", seed)

    def cut(*flags, out=tmp_path / "cut" / "1"):
        return call(
            patches.Arguments, *("--input", path, "--layout", layout),
            *("--output", out, "--clip-frames", 4, "--size", 8, "--grey"),
            *("--validation", 0.3, "--test", 0), *flags,
        )  # fmt: skip

    for number in range(5):
        make(number, number)
    return make, cut, tmp_path


def test_a_complete_dataset_of_other_films(made, capsys):
    make, cut, directory = made
    assert cut() == 0
    assert cut() == 0
    assert "complete already" in capsys.readouterr().out
    before = ClipDataset(directory / "cut" / "1").fingerprint
    make(3, 77)
    assert cut() == 2
    error = capsys.readouterr().err
    assert "other content of 1 of its 5 sources, as '3" in error
    assert cut("--overwrite") == 0
    assert ClipDataset(directory / "cut" / "1").fingerprint != before
    # As it was, it is the same again.
    make(3, 3)
    assert cut("--overwrite") == 0
    assert ClipDataset(directory / "cut" / "1").fingerprint == before


def test_an_unfinished_job_of_other_films(made, sums, capsys):
    make, cut, directory = made
    victim = next((directory / "in").glob("4*"))
    if victim.is_dir():
        for picture in victim.iterdir():
            picture.write_bytes(b"none")
    else:
        victim.write_bytes(b"none")
    # One of five fails: what was read of the others is kept.
    assert cut() != 0
    make(4, 4)
    make(2, 99)
    assert cut() == 0
    assert "3 of 5 sources are done already" in capsys.readouterr().out
    fresh = directory / "fresh" / "cut" / "1"
    assert cut(out=fresh) == 0
    assert sums(directory / "cut" / "1") == sums(fresh)


def test_where_records_are_is_written(percepts, made, digits_file, tmp_path):
    _, cut, directory = made
    assert cut() == 0
    moving = tmp_path / "moving" / "1"
    code = call(
        moving_mnist.Arguments,
        *("--output", moving, "--train", 9, "--frames", 4),
        *("--data.digits", digits_file, "--data.frame-size", 16),
        *("--data.validation-sequences", 1, "--data.test-sequences", 2),
    )
    assert code == 0
    for path in (directory / "cut" / "1", percepts, moving):
        dataset = ClipDataset(path)
        written = np.load(path / records.FILE)
        shards = dataset.info["shards"]
        found = records.table_of(records._look_up(path, s) for s in shards)
        np.testing.assert_array_equal(written, found)
        np.testing.assert_array_equal(dataset.records, written)
        assert dataset.info["fingerprint"] == dataset.fingerprint
        # Of before 0.2.
        info = {k: v for k, v in dataset.info.items() if k != "fingerprint"}
        (path / "info.json").write_text(json.dumps(info))
        assert ClipDataset(path).fingerprint == dataset.fingerprint


@pytest.fixture
def encoder(tmp_path):
    encoder = Encoder((3,))
    encoder.build((None, 4, 64))
    export_encoder(encoder, tmp_path / "encoder", (8, 8))
    return tmp_path / "encoder"


def embedded(output):
    found = {}
    for file in output.glob("*.tfrecord"):
        for record in tf.data.TFRecordDataset(str(file)):
            example = tf.train.Example.FromString(record.numpy())
            values = example.features.feature
            (name,) = values["example/id"].bytes_list.value
            found[name] = list(values[EMBEDDING].float_list.value)
    return found


def test_films_that_changed_are_embedded_anew(encoder, tmp_path, capsys):
    films, out = tmp_path / "in", tmp_path / "out"
    for number in range(3):
        film(films / f"{number}.mp4", number)
    run = functools.partial(
        call, embed.Arguments, *("--encoder", encoder, "--films", films),
        *("--output", out, "--clip-frames", 4),
    )  # fmt: skip
    assert run() == 0
    before = embedded(out)
    assert run() == 0
    assert "out is complete already" in capsys.readouterr().out
    # Whole ones are not replaced without a word.
    film(films / "1.mp4", 50)
    assert run() == 2
    assert "other content of 1 of its 3 sources" in capsys.readouterr().err
    assert embedded(out) == before
    # As a job that died leaves them.
    (out / "COMPLETED").unlink()
    assert run() == 0
    after = embedded(out)
    assert {n for n in before if before[n] != after[n]} == {
        n for n in before if n.startswith(b"1.mp4")
    }
    film(films / "3.mp4", 3)
    (out / "COMPLETED").unlink()
    assert run() == 0
    assert set(embedded(out)) > set(after)


@pytest.mark.parametrize(
    "made",
    ["films", pytest.param("pictures", marks=pytest.mark.hard)],
    indirect=True,
)
def test_embeddings_of_another_dataset_or_encoder(
    encoder, made, tmp_path, capsys
):
    make, cut, directory = made
    path, out = directory / "cut" / "1", tmp_path / "out"
    assert cut() == 0

    def run(dataset=path):
        return call(
            embed.Arguments, *("--encoder", encoder, "--dataset", dataset),
            *("--output", out),
        )  # fmt: skip

    assert run() == 0
    moved = path.rename(path.parent / "2")
    assert run(moved) == 0
    assert "out is complete already" in capsys.readouterr().out
    make(0, 60)
    assert cut() == 0
    assert run() == 2
    assert "embeddings of another dataset" in capsys.readouterr().err
    other = Encoder((3,))
    other.build((None, 4, 64))
    export_encoder(other, encoder, (8, 8))
    assert run(moved) == 2
    assert "embeddings of another encoder" in capsys.readouterr().err
    mark = out / "embeddings.json"
    told = json.loads(mark.read_text())
    del told["sha256"]
    mark.write_text(json.dumps(told))
    assert run(moved) == 2
    assert "without a record of their content" in capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a dataset, what it is made of, and a run on it."""
    directory = tmp_path_factory.mktemp("trained")
    path = write_percepts(np.random.default_rng(0), directory)
    config = quick(run_on(path))
    pretrain(config, directory / "run")
    return directory, config


def quick(config):
    training = dataclasses.replace(config.training, epochs=1, jit_compile=False)
    return dataclasses.replace(config, training=training)


@pytest.fixture
def begun(trained, tmp_path):
    """A config, and a run of it, in `tmp_path`."""
    directory, config = trained
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    path = str(tmp_path / "percepts" / "1")
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, path=path)
    )
    run = Run(tmp_path / "run")
    run.config_file.write_text(json.dumps(config.to_dict()))
    return config, run


def other_values(directory):
    shutil.rmtree(directory / "percepts")
    write_percepts(np.random.default_rng(5), directory)


def other_records(directory):
    """The same values as those of optical flow."""
    code = call(
        import_features.Arguments,
        *("--arrays", directory / "percepts.npy"),
        *("--index", directory / "index.csv", "--stream", "flow"),
        *("--output", directory / "percepts" / "1", "--overwrite"),
    )
    assert code == 0


def other_names(directory):
    index = directory / "index.csv"
    index.write_text(index.read_text().replace("c0,", "d0,"))
    other_splits(directory, change=False)


def other_splits(directory, change=True):
    index = directory / "index.csv"
    if change:
        lines = index.read_text()
        index.write_text(lines.replace("c0,a,g0,train", "c0,a,g0,validation"))
    code = call(
        import_features.Arguments,
        *("--arrays", directory / "percepts.npy", "--index", index),
        *("--output", directory / "percepts" / "1", "--overwrite"),
    )
    assert code == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_values, "other content of 12 videos, as 'c0'"),
        (other_records, "other records of the same videos"),
        (other_names, "other videos in its splits"),
        (other_splits, "other videos in its splits"),
    ],
)
def test_a_run_does_not_go_on_with_other_data(begun, tmp_path, change, message):
    config, run = begun
    before = {f: f.read_bytes() for f in run.path.rglob("*") if f.is_file()}
    change(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        pretrain(config, run.path, resume=True)
    assert "Expected the data that the run in" in str(error.value)
    # Nor is it measured on them.
    with pytest.raises(InputError, match=message):
        evaluate_run(run)
    assert before == {
        f: f.read_bytes() for f in run.path.rglob("*") if f.is_file()
    }


def test_a_run_goes_on_where_its_data_were_moved(begun, tmp_path):
    config, run = begun
    percepts = tmp_path / "percepts" / "1"
    moved = percepts.rename(percepts.parent / "2")
    data = dataclasses.replace(config.data, path=str(moved))
    config = dataclasses.replace(config, data=data)
    pretrain(config, run.path, resume=True)
    assert run.config() == config
    evaluate_run(run)


def test_runs_of_before(begun, tmp_path):
    """They know names alone."""
    config, run = begun
    run.data_file.unlink()
    videos = json.loads(run.videos_file.read_text())
    names = {split: sorted(of) for split, of in videos.items()}
    run.videos_file.write_text(json.dumps(names))
    pretrain(config, run.path, resume=True)
    assert run.data_file.is_file()
    run.data_file.unlink()
    other_names(tmp_path)
    with pytest.raises(InputError, match="other videos in its splits"):
        pretrain(config, run.path, resume=True)


def test_what_a_process_left_that_was_killed_at_once(percepts, tmp_path):
    config = quick(run_on(percepts))
    run = Run(tmp_path / "run")
    run.path.mkdir()
    (run.path / ".partial-01234567-config.json").write_text("{")
    pretrain(config, run.path, resume=True)
    for file in (run.videos_file, run.made_file, run.data_file):
        file.unlink()
    pretrain(config, run.path, resume=True)
    for file in (run.videos_file, run.made_file, run.data_file):
        assert file.is_file()
    assert not list(run.path.glob(".partial*"))


def videos_of(**contents):
    """One-frame videos of known content, or of none."""
    return Videos(
        tuple(np.zeros((1, 2), np.float32) for _ in contents),
        np.zeros(len(contents), np.int64),
        tuple(contents),
        tuple(contents),
        ("a", "b"),
        dict(contents),
    )


@pytest.mark.parametrize(
    ("seen", "held_out", "is_refused"),
    [
        # The same content under other names, and under its own.
        ({"a.mp4": "file 1"}, {"b.mp4": "file 1"}, True),
        ({"a.mp4": "file 1"}, {"a.mp4": "file 1"}, True),
        # Other content under the same name, also in folders.
        ({"a.mp4": "file 1"}, {"a.mp4": "file 2"}, False),
        ({"x/a.mp4": "file 1"}, {"a.mp4": "file 2"}, False),
        ({"a": "values 1"}, {"a": "values 2"}, False),
        # What cannot be compared is the same by its name.
        ({"a.mp4": "file 1"}, {"x/a": "values 1"}, True),
        ({"a.mp4": "file 1"}, {"a.mp4": None}, True),
        ({"a.mp4": None}, {"a.avi": "file 1"}, True),
        (["a.mp4"], {"x/a.avi": "file 1"}, True),
        (["x/a.mp4"], {"a": None}, True),
        (["a.mp4"], {"b.mp4": "file 1"}, False),
        ({"a.mp4": None}, {"b.mp4": None}, False),
        # One of two namesakes is not known.
        ({"x/a": "file 1", "y/a": None}, {"a": "file 2"}, True),
    ],
)
def test_what_an_encoder_has_seen(tmp_path, capsys, seen, held_out, is_refused):
    (tmp_path / "videos.json").write_text(json.dumps({"train": seen}))
    videos = videos_of(**held_out)
    if is_refused:
        with pytest.raises(InputError, match="pretrained on 1 of the 1"):
            check_unseen(tmp_path, videos, "test")
    else:
        check_unseen(tmp_path, videos, "test")
        out = capsys.readouterr().out
        assert "none of them one for test" in out
        same_name = {n.split("/")[-1] for n in seen} & {*held_out}
        assert ("of other content" in out) == bool(same_name)


def test_one_content_in_two_splits():
    train = videos_of(**{"a": "file 1", "b": None})
    check_splits({"train": train, "test": videos_of(c="file 2", d=None)})
    with pytest.raises(InputError, match="'a' in train and 'c' in test"):
        check_splits({"train": train, "test": videos_of(c="file 1")})


def test_what_the_chain_knows_pictures_by(made, tmp_path):
    make, _, directory = made
    is_pictures = not list((directory / "in").glob("*.mp4"))

    def known():
        sources = folder(str(directory / "in"), pictures=is_pictures)
        return local._fingerprint(sources, ExampleGenConfig())

    before = known()
    assert known() == before
    make(2, 40)
    assert known() != before
    make(2, 2)
    assert known() == before


def test_pictures_are_known_by_what_they_show(tmp_path):
    pictures(tmp_path / "a", 0)
    pictures(tmp_path / "b", 0)
    pictures(tmp_path / "c", 1)

    def content(name):
        path = str(tmp_path / name)
        return Source(path, name, name, pictures=True).describe()["sha256"]

    assert content("a") == content("b") != content("c")
    # Their order counts, what they are called does not.
    for number in range(8):
        file = tmp_path / "b" / f"{number}.png"
        file.rename(tmp_path / "b" / f"frame {number}.png")
    (tmp_path / "b" / "notes.txt").touch()
    assert content("a") == content("b")
    (tmp_path / "b" / "frame 0.png").rename(tmp_path / "b" / "frame 9.png")
    assert content("a") != content("b")
