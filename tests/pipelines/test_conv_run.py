"""One convolutional run, through all that a run goes through."""

import json

import numpy as np
import pyarrow.parquet
import pytest

from pipelines import arguments
from pipelines import embed
from video_repr import ConvEncoder
from video_repr import InputError
from video_repr import SavedModelEncoder
from video_repr import configs
from video_repr.cli import main
from video_repr.data import ClipDataset
from video_repr.data.frame_scaling import FrameScaling
from video_repr.export.run import export_run
from video_repr.training import build_model
from video_repr.training import train
from video_repr.transfer.encoders import load_encoder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_graphs")]


def tiny(digits="", patch=4, epochs=1, **model):
    return configs.Config(
        data=configs.MovingMNISTConfig(
            digits=str(digits),
            frame_size=16,
            validation_sequences=4,
            test_sequences=6,
        ),
        model=configs.ModelConfig(
            units=(4,),
            input_frames=3,
            future_frames=2,
            reconstruction="none",
            patch=patch,
            **model,
        ),
        training=configs.TrainingConfig(
            epochs=epochs, steps_per_epoch=2, batch_size=2, jit_compile=False
        ),
    )


@pytest.fixture(scope="module")
def run(digits_file, tmp_path_factory):
    """A run that was resumed after its first epoch, and evaluated."""
    directory = tmp_path_factory.mktemp("conv") / "run"
    run = train(tiny(digits_file), directory, gate_images=True)
    longer = tiny(digits_file, epochs=2)
    run.config_file.write_text(json.dumps(longer.to_dict()))
    train(longer, directory, resume=True)
    assert [line["step"] for line in run.metrics()] == [2, 4]
    assert main(["evaluate", str(directory)]) == 0
    return run


@pytest.fixture(scope="module")
def exported(run):
    return export_run(run, run.path.parent / "encoder" / "1")


def test_it_predicts_on_larger_frames(run, tmp_path):
    clip = np.random.default_rng(0).integers(0, 256, (3, 20, 24), np.uint8)
    files = [str(tmp_path / name) for name in ("a.npy", "b.npy", "odd.npy")]
    np.save(files[0], clip)
    command = ["predict", str(run.path), "--steps", "4"]
    given = ["--input", files[0], "--output", files[1]]
    assert main([*command, *given]) == 0
    found = np.load(files[1])
    assert found.shape == (4, 20, 24)
    want = run.model().predict_future(clip[None], 4)[0]
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_sizes_that_it_cannot_predict(run, tmp_path, capsys):
    for shape in ((3, 20, 22), (3, 20)):
        np.save(tmp_path / "odd.npy", np.zeros(shape, np.uint8))
        given = [
            "--input",
            tmp_path / "odd.npy",
            "--output",
            tmp_path / "b.npy",
        ]
        assert main(["predict", str(run.path), *map(str, given)]) == 2
        said = capsys.readouterr().err
        assert "[time, height, width] that patches of 4 px divide" in said


def test_its_export_is_the_same_encoder(run, exported):
    """Its metrics are measured by the signatures."""
    evaluation = json.loads(run.evaluation_file.read_text())
    measured = json.loads((exported / "metrics.json").read_text())
    assert measured["measured_on"] == "the exported SavedModel"
    for name, value in measured["future"].items():
        if name != "per_step":
            assert value == pytest.approx(evaluation["future"][name], rel=1e-4)
    encoder, layer = load_encoder(run.path), SavedModelEncoder(exported)
    assert type(encoder) is type(load_encoder(exported)) is ConvEncoder
    clips = np.random.default_rng(0).random((2, 3, 20, 24), np.float32)
    np.testing.assert_allclose(layer(clips), encoder(clips), atol=1e-6)


def test_films_of_another_size(run, exported, cut, tmp_path, capsys):
    """Vectors of them, and a classifier."""
    dataset, vectors = tmp_path / "films" / "1", tmp_path / "vectors"
    sizes = ["--size", "24", "--grey", "--whole", "--labels"]
    assert cut(*sizes, "--validation", 0, "--test", 0.4, out=dataset) == 0
    given = ["--encoder", exported, "--dataset", dataset, "--output", vectors]
    assert arguments.main(embed.Arguments, "test", [*map(str, given)]) == 0
    encoder, found = load_encoder(run.path), {}
    for file in vectors.glob("*.parquet"):
        for row in pyarrow.parquet.read_table(file).to_pylist():
            found[row["id"]] = row["vector"]
    for example in ClipDataset(dataset).examples("train"):
        np.testing.assert_allclose(
            found.pop(example["id"].numpy().decode()),
            encoder(example["clip"][None])[0],
            atol=1e-5,
        )
    assert found
    given = ["--run", tmp_path / "tuned", "--dataset", dataset]
    fast = ["--block", 4, "--stride", 4, "--updates", 2, "--batch-size", 2]
    command = ["finetune", run.path, *given, *fast]
    assert main([*map(str, command)]) == 0
    assert (tmp_path / "tuned" / "classifier.keras").exists()
    # In colour.
    other = tmp_path / "colour" / "1"
    assert cut("--validation", 0, out=other) == 0
    capsys.readouterr()
    given = ["--encoder", exported, "--dataset", other, "--output", vectors]
    given = [*map(str, given), "--overwrite"]
    assert arguments.main(embed.Arguments, "test", given) == 2
    said = capsys.readouterr().err
    assert f"pictures of 1 channel in {other} for {exported}. Rec" in said


@pytest.mark.parametrize(
    ("patch", "shape", "message"),
    [
        (5, (16, 16), r"patches of 5 x 5 px divide for model\.patch 5\. "),
        (4, (6,), r"Expected pictures.* for model\.patch 4\. .*\(6,\)"),
    ],
)
def test_a_patch_that_does_not_fit_is_told_before_training(
    patch, shape, message
):
    with pytest.raises(InputError, match=message):
        build_model(tiny(patch=patch), FrameScaling(shape))
