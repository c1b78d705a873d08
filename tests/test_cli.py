import json
import pathlib
import re
import shutil

import numpy as np
import pytest
from films import write_film
from films import write_gif
from PIL import Image

from video_repr import cli
from video_repr import configs
from video_repr import training
from video_repr.errors import WorkerLostError
from video_repr.runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_graphs")]

TINY = [
    "--data.frame-size=16",
    "--data.validation-sequences=6",
    "--data.test-sequences=10",
    "--model.units=8",
    "--model.input-frames=4",
    "--model.future-frames=3",
    "--training.epochs=2",
    "--training.steps-per-epoch=3",
    "--training.batch-size=2",
    # Takes longer than all of the training.
    "--training.no-jit-compile",
]


def train(digits_file, directory, *arguments):
    return cli.main(
        [
            "pretrain",
            "demo",
            f"--run={directory}",
            f"--data.digits={digits_file}",
            *TINY,
            *arguments,
        ]
    )


@pytest.fixture(scope="module")
def run(digits_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("cli") / "run"
    assert train(digits_file, directory) == 0
    return Run(directory)


@pytest.fixture(scope="module")
def autoencoder(digits_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("cli") / "run"
    options = ["--model.future=none"]
    assert train(digits_file, directory, *options) == 0
    return Run(directory)


def files_in(directory):
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*"))


def test_pretrain_is_the_config_with_what_was_changed(run, digits_file):
    config = run.config()
    assert config.model.units == (8,)
    assert config.training.epochs == 2
    assert config.data.digits == str(digits_file)
    demo = configs.load("demo")
    assert config.training.learning_rate == demo.training.learning_rate
    assert "val_future_bce_sum_per_frame" in run.metrics()[0]
    evaluation = json.loads(run.evaluation_file.read_text())
    assert set(evaluation) == {
        "future",
        "reconstruction",
        "baselines",
        "baselines_of",
        "lower_bound",
        "data",
    }


def test_pretrain_twice(run, digits_file, capsys):
    assert train(digits_file, run.path) == 2
    assert "--resume goes on with it" in capsys.readouterr().err
    before = run.last.read_bytes()
    assert train(digits_file, run.path, "--resume") == 0
    printed = capsys.readouterr().out
    assert "all 2 epochs are trained" in printed
    assert re.search(r"reconstruction +future +last frame", printed)
    assert run.last.read_bytes() == before


def test_evaluate_rewrites_the_same_file(run, capsys, tmp_path):
    before = json.loads(run.evaluation_file.read_text())
    run.evaluation_file.unlink()
    (run.figures / "prediction.gif").unlink()
    assert cli.main(["evaluate", str(run.path)]) == 0
    assert json.loads(run.evaluation_file.read_text()) == before
    assert (run.figures / "prediction.gif").is_file()
    assert re.search(r"10 test sequences\n", capsys.readouterr().out)


def test_evaluate_spares_figures_of_others(run, capsys):
    mine = run.figures / "for-the-paper.png"
    mine.write_text("mine")
    before = files_in(run.path)
    try:
        assert cli.main(["evaluate", str(run.path)]) == 2
        assert (
            "Expected a new directory, or an evaluation's figures to replace"
            in capsys.readouterr().err
        )
        assert files_in(run.path) == before
    finally:
        mine.unlink()


def test_evaluate_on_a_published_file(run, digits_file, tmp_path, rng, capsys):
    path = tmp_path / "mnist_test_seq.npy"
    np.save(path, rng.integers(0, 256, (20, 12, 16, 16), np.uint8))
    ours = run.evaluation_file.read_text()
    try:
        assert (
            cli.main(["evaluate", str(run.path), "--test-file", str(path)]) == 0
        )
        data = json.loads(run.evaluation_file.read_text())["data"]
        assert data["test"] == str(path)
        # All of them, whatever the config's number.
        assert data["sequences"] == 12
        np.save(path, rng.integers(0, 256, (20, 12, 64, 64), np.uint8))
        written = run.evaluation_file.read_text()
        assert (
            cli.main(["evaluate", str(run.path), "--test-file", str(path)]) == 2
        )
        assert "frames of 16 x 16 px" in capsys.readouterr().err
        assert run.evaluation_file.read_text() == written
    finally:
        run.evaluation_file.write_text(ours)


def test_predict_an_array(run, tmp_path, rng):
    clip = rng.integers(0, 256, (6, 16, 16), np.uint8)
    np.save(tmp_path / "clip.npy", clip)
    output = tmp_path / "out.npy"
    arguments = ["predict", str(run.path), f"--input={tmp_path / 'clip.npy'}"]
    assert cli.main([*arguments, f"--output={output}", "--steps=7"]) == 0
    future = np.load(output)
    assert future.shape == (7, 16, 16)
    # The last frames that the model's input holds are read.
    expected = run.model().predict_future(clip[None, 2:], 7)[0]
    np.testing.assert_allclose(future, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "write"), [("film.gif", write_gif), ("film.mp4", write_film)]
)
def test_predict_a_film(run, tmp_path, rng, name, write):
    clip = rng.integers(0, 256, (9, 32, 48), np.uint8)
    source = write(tmp_path / name, clip)
    output = tmp_path / "out.gif"
    arguments = ["predict", str(run.path), f"--input={source}"]
    assert cli.main([*arguments, f"--output={output}"]) == 0
    with Image.open(output) as gif:
        assert gif.n_frames == 4 + 3


@pytest.mark.oldest
def test_export(run, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for version in ("1", "2"):
        assert cli.main(["export", str(run.path)]) == 0
        directory = pathlib.Path("saved_models", run.path.name, version)
        assert f"{directory} written" in capsys.readouterr().out
        assert {p.name for p in directory.iterdir()} == {
            "README.md",
            "SHA256SUMS",
            "assets",
            "config.json",
            "encoder.keras",
            "fingerprint.pb",
            "metrics.json",
            "saved_model.pb",
            "variables",
            "videos.json",
        }
    # Over an old one; it says what it is.
    terms = ["--license=CC-BY-4.0", "--data-license=Of mine.", "--limits=New."]
    output = f"--output={directory}"
    assert cli.main(["export", str(run.path), output, *terms]) == 0
    capsys.readouterr()
    card = (directory / "README.md").read_text()
    metrics = json.loads((directory / "metrics.json").read_text())
    for text in (
        f"# {run.path.name} 2",
        "license: cc-by-4.0",
        "[batch, time, 16, 16]",
        "float32, pixels in [0, 1]",
        "the reversed clip of 4 frames and the 3 frames after it",
        "On 10 test sequences of Moving MNIST, made from the test digits",
        f"| {metrics['future']['bce_sum_per_frame']:,.3f} |",
        "- Weights: CC-BY-4.0.",
        "- Data: Of mine.",
        "New.",
    ):
        assert text in card, card
    # What it predicts is what the checkpoint predicts.
    of_run = json.loads(run.evaluation_file.read_text())
    for name in ("bce_sum_per_frame", "mse_sum_per_frame", "ssim"):
        np.testing.assert_allclose(
            metrics["future"]["per_step"][name],
            of_run["future"]["per_step"][name],
            rtol=1e-4,
        )
    assert metrics["baselines"] == of_run["baselines"]
    assert metrics["measured_on"] == "the exported SavedModel"
    before = files_in(directory)
    assert cli.main(["evaluate", str(directory)]) == 0
    printed = capsys.readouterr().out
    assert f"{metrics['future']['bce_sum_per_frame']:.3f}" in printed
    assert files_in(directory) == before


def test_export_of_what_predicts_no_future(autoencoder, tmp_path):
    out = tmp_path / "out"
    export = ["export", str(autoencoder.path), f"--output={out}"]
    assert cli.main(export) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["measured_on"] == "the run's checkpoint"
    assert "encoder's reconstruction" in (out / "README.md").read_text()
    assert cli.main(["evaluate", str(out)]) == 2


def test_help_names_every_config_and_every_command(capsys):
    for arguments, words in (
        (["--help"], ["pretrain", "evaluate", "predict", "export"]),
        (["pretrain", "--help"], list(configs.named())),
        (["pretrain", "demo", "--help"], ["--training.epochs", "--resume"]),
        (["predict", "--help"], ["--input", "--output", "--steps"]),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 0
        printed = capsys.readouterr().out
        for word in words:
            assert word in printed, word


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "pretrain"),
        (["pretrain", "dmo"], "dmo"),
        (["pretrain", "demo", "--training.epoch=3"], "training.epoch"),
        (["pretrain", "demo", "--training.epochs=many"], "many"),
        (["predict", "runs/demo"], "--input"),
    ],
)
def test_command_lines_that_cannot_be_read(capsys, arguments, word):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert word in capsys.readouterr().err


def array(shape, dtype="uint8", value=0):
    def write(path):
        np.save(path, np.full(shape, value, dtype))

    return write


def text(path):
    path.write_text("no clip at all")


def truncated(path):
    np.save(path, np.zeros((9, 16, 16), np.uint8))
    path.write_bytes(path.read_bytes()[:-100])


def archive(path):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros((9, 16, 16)))
    path.write_bytes(path.read_bytes()[:-100])


def half_gif(path):
    clip = np.random.default_rng(0).integers(0, 256, (9, 16, 16), np.uint8)
    write_gif(path, clip)
    path.write_bytes(path.read_bytes()[:1030])


BAD_CLIPS = {
    "shape": (".npy", array((9, 8, 8)), "[time, 16, 16]"),
    "rank": (".npy", array((256,)), "[time, height, width]"),
    "dtype": (".npy", array((9, 16, 16), "int64"), "floating point or uint8"),
    "range": (".npy", array((9, 16, 16), "float32", 255), "from 255 to 255"),
    "nan": (".npy", array((9, 16, 16), "float32", np.nan), "NaN"),
    "short": (".npy", array((3, 16, 16)), "at least 4 frames"),
    "empty": (".npy", array((0, 16, 16)), "at least 4 frames"),
    "truncated": (".npy", truncated, "whole .npy file"),
    "archive": (".npy", archive, "whole .npy file"),
    "no_gif": (".gif", text, "animated GIF"),
    "half_gif": (".gif", half_gif, "Expected"),
    "no_film": (".mp4", text, "cannot be decoded"),
    "missing": (".npy", lambda path: None, "does not exist"),
}


@pytest.mark.parametrize("case", BAD_CLIPS)
@pytest.mark.parametrize("suffix", [".gif", ".npy"])
def test_clips_that_cannot_be_predicted(run, tmp_path, capsys, case, suffix):
    ending, write, message = BAD_CLIPS[case]
    clip = tmp_path / f"clip{ending}"
    write(clip)
    before = files_in(tmp_path)
    arguments = ["predict", str(run.path), f"--input={clip}"]
    output = tmp_path / f"out{suffix}"
    assert cli.main([*arguments, f"--output={output}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("video-repr: Expected")
    assert message in error
    assert "Received: " in error
    assert len(error.splitlines()) == 1
    assert files_in(tmp_path) == before


def test_outputs_that_cannot_be_written(run, tmp_path, capsys):
    np.save(tmp_path / "clip.npy", np.zeros((6, 16, 16), np.uint8))
    (tmp_path / "there.gif").mkdir()
    predict = ["predict", str(run.path), f"--input={tmp_path / 'clip.npy'}"]
    for output, message in (
        (tmp_path / "out.mp4", ".gif or .npy"),
        (tmp_path / "no" / "out.gif", "existing directory"),
        (tmp_path / "there.gif", "a directory"),
    ):
        assert cli.main([*predict, f"--output={output}"]) == 2
        assert message in capsys.readouterr().err
    assert (
        cli.main([*predict, f"--output={tmp_path / 'a.gif'}", "--steps=0"]) == 2
    )
    assert "at least 1 step" in capsys.readouterr().err
    assert files_in(tmp_path) == ["clip.npy", "there.gif"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    # A SavedModel of somebody else's.
    (tmp_path / "mine" / "saved_model.pb").touch()
    export = ["export", str(run.path), f"--output={tmp_path / 'mine'}"]
    assert cli.main(export) == 2
    assert "which has other files" in capsys.readouterr().err
    assert files_in(tmp_path / "mine") == ["saved_model.pb", "thesis.tex"]


def test_paths_that_are_something_else(run, tmp_path, digits_file, capsys):
    (tmp_path / "file").touch()
    assert train(digits_file, tmp_path / "file" / "run") == 2
    assert train(digits_file, tmp_path / "file") == 2
    for line in capsys.readouterr().err.splitlines():
        assert "Expected" in line
        assert "file" in line
    assert files_in(tmp_path) == ["file"]


def test_a_lost_machine_has_an_exit_code_of_its_own(
    digits_file, tmp_path, monkeypatch, capsys
):
    def lose(*args, **options):
        raise WorkerLostError("Another machine has stopped.")

    monkeypatch.setattr(training, "pretrain", lose)
    # What the loop in docs/train.md waits for.
    assert train(digits_file, tmp_path / "run") == 3
    assert capsys.readouterr().err == (
        "video-repr: Another machine has stopped.\n"
    )


def test_small_frames_have_no_ssim(digits_file, tmp_path, capsys):
    options = ["--data.frame-size=10"]
    assert train(digits_file, tmp_path / "run", *options) == 0
    printed = capsys.readouterr().out
    assert "psnr" in printed
    assert "ssim " not in printed
    assert "ssim_openstl" in printed


def test_speeds_are_drawn_from_a_range(digits_file, tmp_path, capsys):
    arguments = ["--data.speed", "0.05", "0.2"]
    assert train(digits_file, tmp_path / "run", *arguments) == 0
    assert Run(tmp_path / "run").config().data.speed == (0.05, 0.2)


def test_an_autoencoder_predicts_nothing_but_is_evaluated(
    autoencoder, tmp_path, capsys
):
    assert not (autoencoder.figures / "prediction.gif").exists()
    assert (autoencoder.figures / "strips-1.png").exists()
    np.save(tmp_path / "clip.npy", np.zeros((6, 16, 16), np.uint8))
    predict = ["predict", str(autoencoder.path)]
    predict += [f"--input={tmp_path / 'clip.npy'}"]
    assert cli.main([*predict, f"--output={tmp_path / 'a.gif'}"]) == 2
    assert "a run with a future decoder" in capsys.readouterr().err


def broken_json(run):
    run.config_file.write_text("{")


def other_json(run):
    run.config_file.write_text('{"model": 3}')


def no_checkpoint(run):
    run.best.unlink()


def half_checkpoint(run):
    run.best.write_bytes(run.best.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken_json, "readable config.json"),
        (other_json, "unknown [], missing ['data', 'training']"),
        (no_checkpoint, "Expected a trained run"),
        (half_checkpoint, "Expected a whole checkpoint"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_damaged_runs(run, tmp_path, capsys, command, damage, message):
    copy = Run(tmp_path / "run")
    shutil.copytree(run.path, copy.path)
    damage(copy)
    before = files_in(tmp_path)
    clip = tmp_path / "clip.npy"
    arguments = [command, str(copy.path)]
    if command == "predict":
        np.save(clip, np.zeros((6, 16, 16), np.uint8))
        arguments += [f"--input={clip}", f"--output={tmp_path / 'out.gif'}"]
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err
    clip.unlink(missing_ok=True)
    assert files_in(tmp_path) == before


def test_no_run(tmp_path, capsys):
    assert cli.main(["evaluate", str(tmp_path / "no")]) == 2
    assert "Expected a run directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.digits=no.npz"], "does not exist"),
        (["--data.test-file=no.npy"], "does not exist"),
        (["--training.epochs=0"], "training.epochs of at least 1"),
        (["--training.minutes=0"], "training.minutes above 0"),
        (["--training.steps-per-execution=4"], "from 1 to 3. Received: 4"),
        (["--training.seed=-1"], "training.seed from 0"),
        (["--model.units=0"], "at least one unit"),
        (["--data.frame-size=4"], "fit frames of 4 px"),
        (
            ["--model.future=none", "--model.reconstruction=none"],
            "a reconstruction decoder, a future decoder or both",
        ),
    ],
)
def test_trainings_that_cannot_start(
    digits_file, tmp_path, capsys, arguments, message
):
    # tyro takes the last of a repeated flag.
    assert train(digits_file, tmp_path / "run", *arguments) == 2
    assert message in capsys.readouterr().err
    assert files_in(tmp_path) == []
