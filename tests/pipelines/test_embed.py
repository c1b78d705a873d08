import shutil
import sys

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from pipelines import arguments
from pipelines import embed
from pipelines import moving_mnist
from pipelines.transforms.vectors import EMBEDDING
from pipelines.transforms.vectors import SavedEncoder
from video_repr import Encoder
from video_repr.data import ClipDataset
from video_repr.data import read_clip
from video_repr.data.embeddings import nearest
from video_repr.errors import InputError
from video_repr.errors import MissingExtraError
from video_repr.export.saved_model import export_encoder

pytestmark = pytest.mark.slow


def call(kind, *given):
    try:
        return arguments.main(kind, "test", [*map(str, given)])
    except SystemExit as ended:
        return ended.code


def test_clips_of_several_lengths_in_a_batch(rng):
    clips = [rng.random((length, 2)) for length in (3, 5, 3, 4, 5)]
    vectors = SavedEncoder("anywhere", 8).run_inference(
        clips, lambda batch: tf.reduce_sum(batch, axis=1)
    )
    for clip, vector in zip(clips, vectors, strict=True):
        np.testing.assert_allclose(vector, clip.sum(axis=0))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    encoder = Encoder((6,))
    encoder.build((None, 4, 256))
    path = tmp_path_factory.mktemp("encoder") / "export"
    export_encoder(encoder, path, (16, 16))
    return encoder, path


@pytest.fixture(scope="module")
def dataset(digits_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "moving" / "1"
    assert (
        call(
            moving_mnist.Arguments,
            *("--output", path, "--train", 9, "--frames", 4),
            *("--data.digits", digits_file, "--data.frame-size", 16),
            *("--data.validation-sequences", 1, "--data.test-sequences", 2),
        )
        == 0
    )
    return path


def vectors_of(path):
    found = {}
    for file in path.glob("*.parquet"):
        for row in pyarrow.parquet.read_table(file).to_pylist():
            assert row["id"] not in found
            found[row["id"]] = np.array(row["vector"], np.float32)
    return found


def test_vectors_are_those_of_the_encoder(encoder, dataset, tmp_path, sums):
    out = tmp_path / "vectors"
    given = ("--encoder", encoder[1], "--dataset", dataset)
    assert call(embed.Arguments, *given, "--output", out, "--batch", 4) == 0
    found = vectors_of(out)
    assert len(found) == 12
    for split in ("train", "validation", "test"):
        for example in ClipDataset(dataset).examples(split):
            clip = tf.cast(example["clip"], tf.float32)[None] / 255
            expected = encoder[0](clip)[0]
            vector = found[example["id"].numpy().decode()]
            np.testing.assert_allclose(vector, expected, atol=1e-5)
    for file in out.glob("*.tfrecord"):
        for record in tf.data.TFRecordDataset(str(file)):
            example = tf.train.Example.FromString(record.numpy())
            fields = example.features.feature
            (name,) = fields["example/id"].bytes_list.value
            np.testing.assert_array_equal(
                np.float32(fields[EMBEDDING].float_list.value),
                found[name.decode()],
            )
    # Nothing is lost to a second run, and it may replace what it wrote.
    before = sums(out)
    assert call(embed.Arguments, *given, "--output", out) == 0
    assert sums(out) == before
    (out / "mine.txt").write_text("kept")
    assert call(embed.Arguments, *given, "--output", out, "--overwrite") == 0
    assert (out / "mine.txt").read_text() == "kept"


@pytest.mark.hard
def test_two_workers_write_what_one_writes(encoder, dataset, tmp_path, sums):
    given = ("--encoder", encoder[1], "--dataset", dataset, "--batch", 4)
    for workers in (1, 2):
        out = ("--output", tmp_path / str(workers), "--workers", workers)
        assert call(embed.Arguments, *given, *out) == 0
    assert sums(tmp_path / "1") == sums(tmp_path / "2")


def test_vectors_of_films(encoder, films, tmp_path):
    out = tmp_path / "vectors"
    given = ("--encoder", encoder[1], "--films", films, "--clip-frames", 4)
    assert call(embed.Arguments, *given, "--output", out) == 0
    found = vectors_of(out)
    assert len(found) == 2 * (2 + 3 + 3)
    film = read_clip(films / "run" / "run_g0_0.mp4", size=16)
    clip = film[None, :4].astype("float32") / 255
    np.testing.assert_allclose(
        found["run/run_g0_0.mp4/000000/0"],
        encoder[0](clip)[0],
        # Pillow scales in another way than FFmpeg.
        atol=0.1,
    )


def test_the_nearest(encoder, dataset, tmp_path, monkeypatch):
    out = tmp_path / "vectors"
    given = ("--encoder", encoder[1], "--dataset", dataset, "--output", out)
    assert call(embed.Arguments, *given) == 0
    vectors = vectors_of(out)
    query, *others = vectors
    pairs = nearest(out, query, count=3)
    expected = {
        name: vectors[name]
        @ vectors[query]
        / np.linalg.norm(vectors[name])
        / np.linalg.norm(vectors[query])
        for name in others
    }
    best = sorted(expected, key=expected.get, reverse=True)[:3]
    assert [name for name, _ in pairs] == best
    for name, similarity in pairs:
        assert similarity == pytest.approx(expected[name], abs=1e-5)
    with pytest.raises(InputError, match="the id of a clip"):
        nearest(out, "nobody")
    (out / "COMPLETED").unlink()
    with pytest.raises(InputError, match="without its file COMPLETED"):
        nearest(out, query)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"video_repr\[pipelines\]"):
        nearest(out, query)


def test_overwriting_spares_what_is_no_embedding(
    encoder, dataset, tmp_path, capsys
):
    copy = tmp_path / "copy" / "1"
    shutil.copytree(dataset, copy)
    given = ("--encoder", encoder[1], "--overwrite")
    same = ("--dataset", copy, "--output", copy)
    assert call(embed.Arguments, *given, *same) == 2
    assert "which has other files" in capsys.readouterr().err
    assert len(ClipDataset(copy).info["shards"]) == len(
        list(copy.glob("*.tfrecord"))
    )
    out = tmp_path / "vectors"
    good = ("--dataset", dataset, "--output", out)
    assert call(embed.Arguments, *given[:2], *good) == 0
    before = vectors_of(out)
    missing = ("--dataset", tmp_path / "none", "--output", out)
    assert call(embed.Arguments, *given, *missing) == 2
    assert vectors_of(out).keys() == before.keys()
    # One that was killed begins anew, one that was not is kept.
    assert call(embed.Arguments, *given[:2], *good) == 0
    assert "complete already" in capsys.readouterr().out
    (out / "COMPLETED").unlink()
    assert call(embed.Arguments, *given[:2], *good) == 0
    assert (out / "COMPLETED").exists()


def test_an_encoder_of_flat_frames(dataset, tmp_path):
    flat = Encoder((3,))
    flat.build((None, 4, 256))
    export_encoder(flat, tmp_path / "flat", (256,))
    out = tmp_path / "vectors"
    given = ("--encoder", tmp_path / "flat", "--dataset", dataset)
    assert call(embed.Arguments, *given, "--output", out) == 0
    name, vector = next(iter(vectors_of(out).items()))
    (clip,) = [
        e["clip"].numpy()
        for split in ClipDataset(dataset).info["splits"]
        for e in ClipDataset(dataset).examples(split)
        if e["id"].numpy().decode() == name
    ]
    np.testing.assert_allclose(vector, flat(clip[None])[0], atol=1e-5)


def test_embeddings_that_cannot_be_had(
    encoder, dataset, films, tmp_path, capsys
):
    out = tmp_path / "vectors"
    flat = Encoder((3,))
    flat.build((None, 4, 7))
    export_encoder(flat, tmp_path / "flat", (7,))
    (tmp_path / "empty").mkdir()
    for given, message in [
        ((encoder[1],), "Received: neither"),
        ((encoder[1], "--dataset", dataset, "--films", films), "both"),
        ((tmp_path / "none", "--dataset", dataset), "an encoder as `video"),
        ((tmp_path / "flat", "--dataset", dataset), "frames of (7,)"),
        ((tmp_path / "flat", "--films", films), "of square frames"),
        ((encoder[1], "--films", tmp_path / "empty"), "at least one source"),
    ]:
        assert call(embed.Arguments, "--output", out, "--encoder", *given) == 2
        assert message in capsys.readouterr().err
        assert not list(out.glob("*.parquet"))
