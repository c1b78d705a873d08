"""From a dataset directory to an exported encoder."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from percept_data import run_on
from percept_data import write_percepts
from PIL import Image

from video_repr import Decoder
from video_repr import Encoder
from video_repr import InputError
from video_repr import VideoSeq2Seq
from video_repr import cli
from video_repr import configs
from video_repr.data import ClipDataset
from video_repr.data.frame_scaling import FrameScaling
from video_repr.data.run_data import load_data
from video_repr.export.run import export_run
from video_repr.prediction import predict_clip
from video_repr.training import pretrain
from video_repr.transfer.encoders import load_encoder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_graphs")]


@pytest.mark.parametrize(
    "output", [pytest.param("linear", marks=pytest.mark.hard), "rectified"]
)
def test_percepts(percepts, tmp_path, output):
    config = run_on(percepts, output)
    run = pretrain(config, tmp_path / "run")
    assert configs.from_dict(json.loads(run.config_file.read_text())) == config
    model = run.model()
    told = ClipDataset(percepts).split("train")
    offset = told["mean"] if output == "linear" else [0.0]
    assert model.encoder.offset == pytest.approx(offset)
    assert model.encoder.scale == pytest.approx([1 / told["std"][0]])
    evaluation = json.loads(run.evaluation_file.read_text())
    # 4 clips, in each windows that start at 0 and at 2.
    assert evaluation["data"]["sequences"] == 8
    assert evaluation["data"]["split"] == "test"
    assert (run.figures / "errors.png").exists()
    assert not list(run.figures.glob("strips*"))
    # By hand, in the values that the LSTMs read.
    clips = np.stack(list(ClipDataset(percepts).clips(
        "test", clip_length=7, stride=2
    ).as_numpy_iterator()))  # fmt: skip
    found = model.predict(clips, verbose=0)["future"]
    errors = (found - clips[:, 4:]) / told["std"][0]
    assert evaluation["future"]["half_sse_per_frame"] == pytest.approx(
        0.5 * (errors**2).sum(axis=-1).mean(), rel=1e-4
    )
    losses = model.evaluate(clips, verbose=0, return_dict=True)
    assert losses["future_loss"] == pytest.approx(
        evaluation["future"]["half_sse_per_frame"], rel=1e-4
    )
    # Raw percepts go into what is taken away.
    exported = tf.saved_model.load(export_run(run, run.path / "export"))
    np.testing.assert_allclose(
        exported(clips[:, :4]), model.encoder(clips[:, :4]), atol=1e-5
    )
    by_hand = (clips[:, :4] - offset[0]) / told["std"][0]
    plain = Encoder((5,), forget_bias=2.0)
    plain.build((None, 4, 6))
    plain.set_weights(model.encoder.get_weights())
    np.testing.assert_allclose(
        plain(by_hand.astype(np.float32)),
        exported(clips[:, :4]),
        atol=1e-5,
    )


def test_a_run_on_percepts_goes_on(percepts, tmp_path):
    config = run_on(percepts)
    whole = pretrain(config, tmp_path / "whole")
    shorter = dataclasses.replace(
        config, training=dataclasses.replace(config.training, schedule="cosine")
    )
    with pytest.raises(InputError, match=r"training\.schedule"):
        pretrain(shorter, whole.path, resume=True)
    other = configs.load("demo")
    with pytest.raises(InputError, match="Expected the config of the run"):
        pretrain(other, whole.path, resume=True)
    batches = [
        np.concatenate(list(data.take(2).as_numpy_iterator()))
        for data in (
            load_data(config).train(4),
            load_data(config).train(2, start=4),
        )
    ]
    # What comes after so many clips does not depend on who reads them.
    np.testing.assert_array_equal(batches[0][4:], batches[1])


def test_colour_patches(cut, tmp_path):
    assert cut("--validation", 0.4, "--test", 0) == 0
    path = tmp_path / "cut" / "1"
    config = run_on(path, "linear", input_frames=2, future_frames=2)
    run = pretrain(config, tmp_path / "run")
    model = run.model()
    told = ClipDataset(path).split("train")
    assert model.encoder.offset == pytest.approx(
        [value / 255 for value in told["mean"]]
    )
    assert len(model.encoder.scale) == 3
    assert (run.figures / "strips-1.png").exists()
    assert (run.figures / "prediction.gif").exists()
    assert (
        json.loads(run.evaluation_file.read_text())["data"]["split"]
        == "validation"
    )
    # The channels of a flat frame are those of a picture.
    clips = next(iter(ClipDataset(path).clips("train", batch=2))) / 255
    flat = tf.reshape(clips, (2, 4, -1))
    np.testing.assert_allclose(
        model.encoder(clips), model.encoder(flat), atol=1e-6
    )
    with pytest.raises(InputError, match="a run on Moving MNIST"):
        predict_clip(run, tmp_path / "a.gif", tmp_path / "b.gif")


def test_what_is_refused(percepts, tmp_path):
    model = VideoSeq2Seq(
        Encoder((3,), scale=2.0),
        {"reconstruction": Decoder((3,), 6)},
        input_frames=2,
    )
    with pytest.raises(ValueError, match="a logistic reconstruction decoder"):
        model.build((None, 2, 6))
    with pytest.raises(
        ValueError, match=r"4 numbers for frames of shape \(6,\)"
    ):
        Encoder((3,), offset=(1.0, 2.0, 3.0, 4.0)).build((None, 2, 6))
    config = run_on(percepts, "linear", input_frames=9, future_frames=3)
    with pytest.raises(InputError, match="clip_length of at most 9"):
        pretrain(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(Encoder((3,), scale=(1.0, 2.0)))
    )
    assert again.scale == [1.0, 2.0]


def test_from_percepts_to_a_label_curve(percepts, tmp_path, capsys):
    config = run_on(percepts)
    run = pretrain(config, tmp_path / "run")
    curve = [
        *("--dataset", str(percepts), "--per-class", "1", "3"),
        *("--seeds", "2", "--finetune.block", "4", "--finetune.updates", "3"),
    ]
    out = tmp_path / "curve"
    command = ["label-curve", str(run.path), *curve, "--run", str(out)]
    assert cli.main(command) == 0
    assert "gain over random" in capsys.readouterr().out
    told = json.loads((out / "label_curve.json").read_text())
    assert [(row["k"], row["seeds"]) for row in told["rows"]] == [
        (1, 2),
        (3, 2),
    ]
    lines = (out / "label_curve.csv").read_text().splitlines()
    assert lines[0].startswith("k,seeds,pretrained_mean,pretrained_sd,random_")
    assert (
        float(lines[1].split(",")[2]) == told["rows"][0]["pretrained"]["mean"]
    )
    with Image.open(out / "label_curve.png") as picture:
        assert min(picture.size) > 300
    # Again: nothing is fitted, the same is written.
    (out / "label_curve.csv").unlink()
    assert cli.main(command) == 0
    assert "seed 0" not in capsys.readouterr().out
    assert (out / "label_curve.csv").read_text().splitlines() == lines
    # The same dataset in another place.
    moved = percepts.rename(percepts.parent / "2")
    there = [str(moved) if c == str(percepts) else c for c in command]
    assert cli.main(there) == 0
    assert "seed 0" not in capsys.readouterr().out
    # Another dataset in the same place.
    write_percepts(np.random.default_rng(8), tmp_path)
    assert cli.main(command) == 2
    assert "other sha256" in capsys.readouterr().err
    shutil.rmtree(percepts)
    moved.rename(percepts)
    for given, message in [
        (["--seeds", "3"], "the settings in"),
        (["--split", "validation"], "the settings in"),
    ]:
        assert cli.main([*command, *given]) == 2
        assert message in capsys.readouterr().err
    new = ["--run", str(tmp_path / "new")]
    for encoder, given, message in [
        (tmp_path / "none", [], "which does not exist"),
        (tmp_path / "index.csv", [], "an encoder's .keras file"),
        (run.last, [], "a VideoSeq2Seq"),
        (run.path, ["--per-class", "5"], "at least 5 videos of each class"),
    ]:
        command = ["label-curve", str(encoder), *curve, *new, *given]
        assert cli.main(command) == 2
        assert message in capsys.readouterr().err
    other = Encoder((3,))
    other.build((None, 4, 7))
    other.save(tmp_path / "other.keras")
    command = ["label-curve", str(tmp_path / "other.keras"), *curve, *new]
    assert cli.main(command) == 2
    assert (
        "frames of 7 values as the encoder reads them"
        in capsys.readouterr().err
    )
    # From an export, the same encoder.
    export_run(run, run.path / "export")
    np.testing.assert_array_equal(
        load_encoder(run.path / "export").get_weights()[0],
        run.model().encoder.get_weights()[0],
    )


def test_a_run_begins_with_the_encoder_of_another(percepts, tmp_path):
    config = run_on(percepts)
    still = dataclasses.replace(
        config,
        training=dataclasses.replace(
            config.training, learning_rate=1e-30, jit_compile=False
        ),
    )
    encoder = Encoder((5,), forget_bias=1.0)
    encoder.build((None, 4, 6))
    run = pretrain(still, tmp_path / "run", encoder=encoder)
    for ours, theirs in zip(
        run.model().encoder.get_weights(), encoder.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    other = Encoder((4,))
    other.build((None, 4, 6))
    with pytest.raises(InputError, match=r"one of \(4,\) for frames of 6"):
        pretrain(still, tmp_path / "other", encoder=other)
    assert not (tmp_path / "other").exists()


def test_frames_are_scaled_by_what_is_given(percepts, tmp_path):
    config = run_on(percepts)
    config = dataclasses.replace(
        config,
        training=dataclasses.replace(config.training, jit_compile=False),
    )
    frames = FrameScaling.fitted("linear", (6,), [2.0], [4.0])
    run = pretrain(config, tmp_path / "run", frames=frames)
    encoder = run.model().encoder
    assert tuple(encoder.offset) == (2.0,)
    assert tuple(encoder.scale) == (0.25,)
