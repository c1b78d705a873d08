"""Finetuning, fusing and comparing, on datasets that a pipeline wrote."""

import csv
import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
from percept_data import run_on
from percept_data import write_percepts
from PIL import Image

from pipelines import arguments
from pipelines import import_features
from video_repr import Encoder
from video_repr import InputError
from video_repr import cli
from video_repr.data import ClipDataset
from video_repr.data.run_data import load_data
from video_repr.export.run import export_run
from video_repr.runs import Run
from video_repr.training import pretrain
from video_repr.transfer import comparison
from video_repr.transfer.encoders import check_unseen
from video_repr.transfer.finetune import Finetuner
from video_repr.transfer.predictions import Predictions
from video_repr.transfer.predictions import predictions_file
from video_repr.transfer.videos import load_videos

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

FAST = [
    *("--block", "6", "--stride", "2", "--updates", "40"),
    *("--learning-rate", "0.03", "--batch-size", "8"),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Classes that are far apart."""
    rng = np.random.default_rng(3)
    return write_percepts(rng, tmp_path_factory.mktemp("data"), means=30.0)


@pytest.fixture(scope="module")
def pretrained(dataset, tmp_path_factory):
    run = pretrain(run_on(dataset), tmp_path_factory.mktemp("pre") / "run")
    export_run(run, run.path / "export")
    return run


def finetune(encoder, dataset, run, *flags):
    return cli.main(
        [
            *("finetune", str(encoder), "--dataset", str(dataset)),
            *("--run", str(run), *FAST, *flags),
        ]
    )


@pytest.fixture(scope="module")
def finetuned(pretrained, dataset, tmp_path_factory):
    """Two classifiers: pretrained, and random of two labels."""
    directory = tmp_path_factory.mktemp("finetuned")
    assert finetune(pretrained.path, dataset, directory / "a") == 0
    code = finetune(
        pretrained.path, dataset, directory / "b", "--random",
        "--per-class", "2", "--seed", "3", "--input-dropout", "0.2",
        "--recurrent-dropout", "0.2",
    )  # fmt: skip
    assert code == 0
    return directory / "a", directory / "b"


def test_what_finetuning_leaves(finetuned, dataset):
    told = json.loads((finetuned[1] / "config.json").read_text())
    assert (told["per_class"], told["labelled_videos"]) == (2, 4)
    assert told["random"] is True
    for run in finetuned:
        evaluation = json.loads((run / "evaluation.json").read_text())
        for split in ("validation", "test"):
            found = evaluation[split]
            with open(predictions_file(run, split), newline="") as file:
                lines = list(csv.DictReader(file))
            # By hand, from the file of what is said of each video.
            right = [
                max("ab", key=lambda c, line=line: float(line[c]))
                == line["label"]
                for line in lines
            ]
            assert found["videos"] == len(lines) == 4
            assert found["video_accuracy"] == np.mean(right)
            confusion = np.array(found["confusion"])
            assert confusion.trace() == sum(right)
            assert confusion.sum(axis=1).tolist() == [2, 2]
            own = [v["probability"] for v in found["hardest"]]
            assert own == sorted(own)
            assert own[0] == pytest.approx(
                min(float(line[line["label"]]) for line in lines), abs=1e-6
            )
            with Image.open(run / f"figures/confusion-{split}.png") as picture:
                assert min(picture.size) > 300
    assert found["video_accuracy"] == 1.0


def test_the_classifier_is_what_was_said(finetuned, dataset, forked):
    found = forked(
        """
import sys, keras, json, numpy as np
import video_repr
from video_repr.data import ClipDataset
model = keras.models.load_model(sys.argv[1])
examples = ClipDataset(sys.argv[2]).examples("test").as_numpy_iterator()
print(json.dumps({
    e["media_id"].decode(): model.predict_videos([e["clip"]])[0].tolist()
    for e in examples
}))
""",
        finetuned[0] / "classifier.keras",
        dataset,
    )
    found = json.loads(found.splitlines()[-1])
    told = Predictions.read(predictions_file(finetuned[0], "test"))
    for name, values in zip(told.ids, told.probabilities, strict=True):
        np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_encoders_from_everywhere(pretrained, dataset, tmp_path):
    """A run, its export and the .keras file beside it are the same."""
    said = []
    export = pretrained.path / "export"
    for number, encoder in enumerate(
        (pretrained.path, export, export / "encoder.keras")
    ):
        run = tmp_path / str(number)
        assert finetune(encoder, dataset, run, "--no-test") == 0
        assert not predictions_file(run, "test").exists()
        said.append(
            Predictions.read(predictions_file(run, "validation")).probabilities
        )
    np.testing.assert_array_equal(said[0], said[1])
    np.testing.assert_array_equal(said[0], said[2])


def test_fusing(finetuned, dataset, tmp_path, capsys):
    output = tmp_path / "fused"
    runs = [str(run) for run in finetuned]
    assert cli.main(["fuse", *runs, "--output", str(output)]) == 0
    weights = [
        run["weight"]
        for run in json.loads((output / "config.json").read_text())["runs"]
    ]
    assert sum(weights) == pytest.approx(1)
    of = [Predictions.read(predictions_file(run, "test")) for run in finetuned]
    fused = Predictions.read(predictions_file(output, "test"))
    np.testing.assert_allclose(
        fused.probabilities,
        weights[0] * of[0].probabilities + weights[1] * of[1].probabilities,
        atol=1e-6,
    )
    # What is fused can be fused again, and averaged.
    again = ["fuse", str(output), runs[0], "--output", str(tmp_path / "again")]
    assert cli.main(again) == 0
    assert cli.main(["average-splits", *runs]) == 2
    assert "the same test videos" in capsys.readouterr().err
    assert cli.main(again) == 2
    assert "Expected a new directory" in capsys.readouterr().err
    assert cli.main(["fuse", runs[0], "--output", str(tmp_path / "one")]) == 2
    assert "at least 2 runs" in capsys.readouterr().err


def test_runs_that_cannot_be_fused(finetuned, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    for split in ("validation", "test"):
        lines = predictions_file(finetuned[0], split).read_text().splitlines()
        predictions_file(other, split).write_text("\n".join(lines[:-1]) + "\n")
    output = tmp_path / "fused"
    command = ["fuse", str(finetuned[0]), str(other), "--output", str(output)]
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert "the same validation videos" in error
    assert "4 in" in error
    assert "3 of them in both" in error
    predictions_file(other, "validation").write_text("video,label,a\nx,b,1\n")
    assert cli.main(command) == 2
    assert "a fine-tuned run's predictions" in capsys.readouterr().err
    predictions_file(other, "validation").unlink()
    assert cli.main(command) == 2
    assert "No such file" in capsys.readouterr().err
    assert not output.exists()


def test_splits_are_averaged(finetuned, tmp_path, capsys):
    other = tmp_path / "split2"
    other.mkdir()
    told = Predictions.read(predictions_file(finetuned[0], "test"))
    renamed = Predictions(
        tuple(f"{name}x" for name in told.ids),
        1 - told.labels,
        told.classes,
        told.probabilities,
    )
    renamed.write(predictions_file(other, "test"))
    runs = [str(finetuned[0]), str(other)]
    assert cli.main(["average-splits", *runs]) == 0
    assert "50.0% on average over 2 splits" in capsys.readouterr().out
    assert cli.main(["average-splits", runs[0]]) == 2
    assert "at least 2 runs to average" in capsys.readouterr().err


def test_what_has_been_seen_is_no_test(pretrained, dataset, tmp_path, capsys):
    """Another split of the same clips, with test clips among the training."""
    turned = turned_around(tmp_path, dataset)
    run = tmp_path / "run"
    assert finetune(pretrained.path, turned, run) == 2
    error = capsys.readouterr().err
    assert "an encoder that has not seen the videos" in error
    assert "'c0'" in error
    assert not run.exists()
    # What is not pretrained has seen nothing.
    assert finetune(pretrained.path, turned, run, "--random") == 0
    assert "not checked" not in capsys.readouterr().out
    # Also under the names of another pipeline.
    videos = load_videos(turned)["test"]
    films = dataclasses.replace(
        videos, ids=tuple(f"a/{name}.avi" for name in videos.ids)
    )
    with pytest.raises(InputError, match="pretrained on 8 of the 8"):
        check_unseen(pretrained.path, films, "test")
    check_unseen(
        pretrained.path,
        dataclasses.replace(films, ids=("c0/x.avi",) * 8),
        "test",
    )
    bare = shutil.copy((pretrained.path / "export") / "encoder.keras", tmp_path)
    assert finetune(bare, turned, tmp_path / "bare") == 0
    assert "not checked for held-out videos" in capsys.readouterr().out
    # What is taken away knows what it has seen.
    assert finetune(pretrained.path / "export", turned, tmp_path / "new") == 2
    assert "has not seen the videos" in capsys.readouterr().err


def test_content_decides_what_has_been_seen(
    pretrained, dataset, rng, tmp_path, capsys
):
    renamed = turned_around(tmp_path / "renamed", dataset, prefix="other")
    run = tmp_path / "run"
    assert finetune(pretrained.path, renamed, run) == 2
    error = capsys.readouterr().err
    assert "an encoder that has not seen the videos" in error
    assert "'otherc0'" in error
    # In an export too.
    assert finetune(pretrained.path / "export", renamed, run) == 2
    assert "has not seen the videos" in capsys.readouterr().err
    # Others of the same names pass, and it is said that they are there.
    write_percepts(rng, tmp_path / "others")
    others = turned_around(tmp_path / "again", tmp_path / "others/percepts/1")
    assert finetune(pretrained.path, others, run) == 0
    out = capsys.readouterr().out
    assert "none of them one for test; 8 are of other content" in out
    told = json.loads((run / "config.json").read_text())["sha256"]
    assert told["dataset"] == ClipDataset(others).fingerprint


def turned_around(directory, dataset, prefix=""):
    """Clips whose training and test are the other way round."""
    directory.mkdir(exist_ok=True)
    for name in ("percepts.npy", "index.csv"):
        shutil.copy(dataset.parents[1] / name, directory)
    lines = (directory / "index.csv").read_text().splitlines()
    lines[1:] = [prefix + line for line in lines[1:]]
    turned = {"train": "test", "test": "train", "validation": "train"}
    lines[1:] = [
        ",".join([*parts, turned[split]])
        for *parts, split in (line.split(",") for line in lines[1:])
    ]
    return imported(directory, "turned", lines)


def imported(directory, name, lines):
    """The dataset of an index."""
    (directory / f"{name}.csv").write_text("\n".join(lines) + "\n")
    output = directory / name / "1"
    code = arguments.main(
        import_features.Arguments,
        "test",
        [
            *("--arrays", str(directory / "percepts.npy")),
            *("--index", str(directory / f"{name}.csv")),
            *("--output", str(output)),
        ],
    )
    assert code == 0
    return output


def test_other_encoders_are_refused(dataset, finetuned, tmp_path, capsys):
    other = Encoder((4,))
    other.build((None, 4, 7))
    other.save(tmp_path / "other.keras")
    run = tmp_path / "run"
    assert finetune(tmp_path / "other.keras", dataset, run) == 2
    assert "frames of 7 values as the encoder reads" in capsys.readouterr().err
    assert finetune(finetuned[0], dataset, run) == 2
    assert "Expected a trained run" in capsys.readouterr().err
    assert not run.exists()
    assert finetune(tmp_path / "other.keras", dataset, finetuned[0]) == 2
    assert "Expected a new directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--per-class", "0"), "at least 1 labelled video"),
        (("--per-class", "-1"), "at least 1 labelled video"),
        (("--per-class", "9"), "at least 9 videos of each class"),
        (("--seed", "-1"), "a seed from 0"),
        (("--seed", str(2**32)), "a seed from 0"),
    ],
)
def test_numbers_that_are_refused(
    pretrained, dataset, tmp_path, capsys, flags, message
):
    run = tmp_path / "run"
    assert finetune(pretrained.path, dataset, run, *flags) == 2
    assert message in capsys.readouterr().err
    assert not run.exists()


def test_datasets_that_are_refused(dataset, tmp_path, rng):
    write_percepts(rng, tmp_path)
    lines = (tmp_path / "index.csv").read_text().splitlines()
    one = [line.replace(",b,", ",a,") for line in lines]
    with pytest.raises(InputError, match="at least 2 classes"):
        load_videos(imported(tmp_path, "one", one))
    # All of b are to be tested.
    moved = [
        ",".join([*line.split(",")[:3], "test"]) if ",b," in line else line
        for line in lines
    ]
    with pytest.raises(InputError, match="none of b in"):
        load_videos(imported(tmp_path, "moved", moved))


@pytest.mark.parametrize(
    "some",
    [
        # The others differ in their decoders alone.
        ("none", "autoencoder", "composite"),
        pytest.param(
            (
                "none",
                "autoencoder",
                "conditional future predictor",
                "composite",
            ),
            marks=pytest.mark.hard,
        ),
    ],
    ids=len,
)
def test_ways_of_pretraining(dataset, tmp_path, capsys, monkeypatch, some):
    command = [
        *("compare-pretraining", "--dataset", str(dataset)),
        *("--run", str(tmp_path / "all"), "--per-class", "1", "--seeds", "2"),
        *("--finetune.block", "6", "--finetune.updates", "3"),
        *("--pretraining.model.units", "5"),
        *("--pretraining.model.input-frames", "4"),
        *("--pretraining.model.future-frames", "3"),
        *("--pretraining.training.epochs", "1"),
        *("--pretraining.training.steps-per-epoch", "2"),
        *("--pretraining.training.batch-size", "4"),
        "--pretraining.training.no-jit-compile",
    ]
    decoders = {name: comparison.DECODERS[name] for name in some}
    monkeypatch.setattr(comparison, "DECODERS", decoders)
    # A mistake is told before the settings are written.
    assert cli.main([*command, "--pretraining.model.input-frames", "9"]) == 2
    assert "clip_length of at most 9" in capsys.readouterr().err
    starts = []
    fit = Finetuner.fit
    monkeypatch.setattr(
        Finetuner,
        "fit",
        lambda self, few, seed, weights: (
            starts.append(weights[0].sum()) or fit(self, few, seed, weights)
        ),
    )
    assert cli.main(command) == 0
    # Each way its own encoder; of random ones each seed its own.
    assert len(starts) == 2 * len(decoders)
    assert len(set(starts)) == len(decoders) + 1
    told = json.loads((tmp_path / "all" / "comparison.json").read_text())
    assert [row["pretraining"] for row in told["rows"]] == list(decoders)
    assert told["rows"][0]["paired_gain"] == 0
    with open(tmp_path / "all" / "comparison.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["mean"]) for line in lines] == [
        row["mean"] for row in told["rows"]
    ]
    # An autoencoder too sees one window of each of the 4 videos, not two.
    run = Run(tmp_path / "all" / "autoencoder")
    data = load_data(run.config())
    assert data.test().shape[:2] == (4, 4)
    assert run.config().data.window == 7
    branches = {
        name: set(
            keras.models.load_model(
                tmp_path
                / "all"
                / name.replace(" + ", "-").replace(" ", "-")
                / "checkpoints/best.keras"
            ).decoders
        )
        for name in decoders
        if name != "none"
    }
    assert branches["autoencoder"] == {"reconstruction"}
    assert branches["composite"] == {"reconstruction", "future"}
    assert branches.get("conditional future predictor", {"future"}) == {
        "future"
    }
    # Again: nothing is trained or fitted, the same is said.
    before = capsys.readouterr().out
    assert cli.main(command) == 0
    after = capsys.readouterr().out
    assert "seed 0" in before
    assert "seed 0" not in after
    table = len(decoders) + 2
    assert before.splitlines()[-table:] == after.splitlines()[-table:]
