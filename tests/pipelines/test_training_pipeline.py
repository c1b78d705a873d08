"""The whole chain, from films to a blessed encoder, by kfp's local runner."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import warm
import yaml
from films import write_film
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2

from pipelines.training import artifacts
from pipelines.training import local
from pipelines.training.artifacts import read_record
from pipelines.training.config import load
from pipelines.training.lineage import in_words
from pipelines.training.lineage import read_run
from pipelines.training.pipeline import compile_pipeline
from video_repr import InputError
from video_repr import cli
from video_repr.data import ClipDataset
from video_repr.errors import PipelineError
from video_repr.export.layout import versions_of

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
TINY = """
name = "tiny"
films = "films"

[example_gen]
labels = true
validation = 0.2
test = 0.2

[example_gen.patches]
clip_frames = 8
size = 16
grey = true

[example_validator]
mean_drift = 2.0
std_drift = 3.0

[trainer.model]
units = [6]
input_frames = 4
future_frames = 4
output = "linear"
output_bias = 0.0

[trainer.training]
epochs = 2
steps_per_epoch = 3
batch_size = 4
learning_rate = 1e-3
jit_compile = false

[[evaluator.thresholds]]
metric = "mse_sum_per_frame"
at_most = 100
of = "mean_frame"

[[evaluator.thresholds]]
metric = "mse_sum_per_frame"
at_most = 0.999
of = "last_blessed"

[tuner]
trials = 2
[[tuner.space]]
name = "model.units"
values = [5, 7]

[fine_tuner]
enabled = true
classifier.block = 4
classifier.stride = 4
classifier.updates = 2
"""
CHAIN = [
    "ExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "ExampleValidator",
    "Transform",
    "Tuner",
    "Trainer",
    "FineTuner",
    "Resolver",
    "Evaluator",
    "Pusher",
]
# Beside what may have changed elsewhere.
NEVER_CACHED = {"ExampleValidator", "Resolver", "Pusher"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with films of two classes, and a config."""
    home = tmp_path_factory.mktemp("pipeline")
    rng = np.random.default_rng(0)
    for number in range(14):
        folder = home / "films" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        field = rng.integers(0, 256, (40, 48), np.uint8)
        clip = [np.roll(field, (t, 2 * t), (0, 1)) for t in range(24)]
        write_film(folder / f"{number}.mp4", np.stack(clip))
    write(home)
    return home


@pytest.fixture(autouse=True)
def inside(home, monkeypatch):
    monkeypatch.chdir(home)


def write(home, *changes, more=""):
    """Writes the config, with other words in the place of some."""
    text = TINY
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path = home / "tiny.toml"
    path.write_text(text + more)
    return path


def run(root="pipeline"):
    """Runs what `tiny.toml` says; returns what became of it."""
    with contextlib.suppress(PipelineError), warm.components():
        local.run_pipeline(load("tiny.toml"), root)
    return read_run(root)


def states(run):
    return {task["component"]: task["status"] for task in run["tasks"]}


class Killer(threading.Thread):
    """Kills the next component with -9 when it has begun its artifact.

    Args:
        root: of the pipeline.
        spared: components that are left alone.
    """

    def __init__(self, root, spared):
        super().__init__(daemon=True)
        self._root, self._spared = pathlib.Path(root), spared
        self.victim = None
        self._ended = False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended = True
        self.join()

    def run(self):
        while not self._ended and self.victim is None:
            for folder in self._root.glob("artifacts/*/.unfinished-*"):
                if folder.parent.name not in self._spared:
                    for pid in [*warm.running]:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                            self.victim = folder.parent.name
            time.sleep(0.001)


def components_running(runner):
    """Process ids of the components of a runner, a process id.

    kfp starts them by way of a shell.
    """
    told = f"{artifacts.RUNNER}={runner}".encode()
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (path / "cmdline").read_bytes().split(b"\0")
            environment = (path / "environ").read_bytes().split(b"\0")
            if (
                command[1:3] == [b"-m", b"kfp.dsl.executor_main"]
                and told in environment
            ):
                yield int(path.name)


def killed(root, victims):
    """Runs in which each of some components was killed, one after another.

    In the order in which kfp takes them.
    """
    runs, again = {}, set()
    while len(runs) < len(victims):
        spared = {*CHAIN} - (victims - {*runs})
        with Killer(root, spared) as killer:
            found = run(root)
        if killer.victim is None:
            # Some were too quick for it: once more.
            quick = victims - {*runs}
            assert not quick & again, f"{quick} came through twice"
            again |= quick
            for name in quick:
                shutil.rmtree(pathlib.Path(root, "artifacts", name))
            continue
        folder = pathlib.Path(root, "artifacts", killer.victim)
        runs[killer.victim] = found, list(folder.glob("[!.]*"))
    return runs, again


@pytest.fixture(scope="module")
def after_kills(home):
    """Runs with kills where most is at stake, and one that comes through."""
    with contextlib.chdir(home), warm.components():
        before = killed("pipeline", {"ExampleGen", "Trainer"})
        assert cli.main(["pipeline", "run", "tiny.toml"]) == 0
        return *before, read_run("pipeline")


@pytest.fixture(scope="module")
def first(after_kills):
    """The run that comes through, after those that were killed."""
    return after_kills[-1]


def test_killed_components(after_kills):
    check_that_it_goes_on("pipeline", *after_kills)


@pytest.mark.hard
def test_killed_at_every_component(home, tmp_path):
    with contextlib.chdir(shutil.copytree(home, tmp_path / "home")):
        # Resolver writes no artifact.
        before = killed("killed", {*CHAIN} - {"Resolver"})
        check_that_it_goes_on("killed", *before, run("killed"))


def check_that_it_goes_on(root, killed, again, last):
    """A killed component's artifact is absent; the next run makes it."""
    for victim, (found, left) in killed.items():
        assert found["status"] == "failed"
        *done, failed = found["tasks"]
        assert failed == {"component": victim, "status": "failed"}
        assert left == []
        for task in done:
            never = task["component"] in NEVER_CACHED
            # What was killed in the run before is made, once.
            assert never or task["status"] in ("made", "cached")
    made = [
        component
        for found, _ in [*killed.values(), (last, [])]
        for component, status in states(found).items()
        if status == "made" and component not in NEVER_CACHED
    ]
    assert {*made} == {*CHAIN} - NEVER_CACHED
    once = [component for component in made if component not in again]
    assert len(once) == len({*once})
    # Of what the kills left, nothing remains.
    assert not list(pathlib.Path(root).glob("artifacts/*/.unfinished-*"))


def test_from_films_to_a_blessed_encoder(first):
    assert first["status"] == "succeeded"
    assert sorted(states(first)) == sorted(CHAIN)
    uris = {t["component"]: t["uri"] for t in first["tasks"]}
    made = read_record(uris["Trainer"])
    assert made["parameters"]["settings"]["model"]["units"] == [6]
    assert made["inputs"]["hyperparameters"]["uri"] == uris["Tuner"]
    assert made["inputs"]["examples"]["uri"] == uris["ExampleGen"]
    assert made["machine"]
    # What the encoder takes away is what the train split has.
    (dataset,) = pathlib.Path(uris["ExampleGen"]).glob("*/1")
    clips = np.stack(
        list(ClipDataset(dataset).clips("train").as_numpy_iterator())
    )
    about = json.loads(
        pathlib.Path("saved_models/tiny/1/config.json").read_text()
    )
    read = keras.models.load_model("saved_models/tiny/1/encoder.keras")
    assert read.offset == pytest.approx([clips.mean() / 255], rel=1e-4)
    assert read.scale == pytest.approx([255 / clips.std()], rel=1e-4)
    assert about["pipeline"]["model"] == made["fingerprint"]
    encoder = tf.saved_model.load("saved_models/tiny/1")
    assert encoder(clips[:3, :4] / np.float32(255)).shape == (3, read.units[0])
    card = pathlib.Path("saved_models/tiny/1/README.md").read_text()
    assert "tiny 1" in card


def test_nothing_is_made_twice(first, capsys):
    uris = {t["component"]: t["uri"] for t in first["tasks"]}
    # What has come to a model is no change of it.
    (pathlib.Path(uris["Trainer"]) / "report.html").write_text("<html>")
    again = run()
    assert again["status"] == "succeeded"
    for component, status in states(again).items():
        wanted = "made" if component in NEVER_CACHED else "cached"
        assert status == wanted, component
    assert all(t["seconds"] >= 0 for t in again["tasks"] if "seconds" in t)
    assert [t["uri"] for t in again["tasks"]][:3] == [
        t["uri"] for t in first["tasks"]
    ][:3]
    assert len(versions_of(pathlib.Path("saved_models/tiny"))) == 1
    told = in_words(again)
    assert re.search(r"Trainer +cached +pipeline/artifacts/Tr", told)
    assert re.search(r"Pusher +made +[\d.]+ s  pipeline/artifacts/Pu", told)
    assert re.search(r"examples: pipeline/.* of ExampleGen", told)
    assert "    films: films\n" in told
    capsys.readouterr()
    assert cli.main(["pipeline", "show", "pipeline"]) == 0
    assert told in capsys.readouterr().out


def test_a_worse_model_is_not_blessed(first, home, capsys):
    """Other settings of the trainer: what comes before is not repeated.

    But what was altered is made again, and is the same again.
    """
    before = {t["component"]: t["uri"] for t in first["tasks"]}
    schema = pathlib.Path(before["SchemaGen"]) / "schema.pbtxt"
    text = schema.read_text()
    schema.write_text(text + "\n")
    try:
        # Predictions far off, by as many standard deviations.
        write(
            home,
            ("output_bias = 0.0", "output_bias = 5.0"),
            ("trials = 2", "trials = 0"),
            ("enabled = true", "enabled = false"),
        )
        other = run()
    finally:
        write(home)
    assert schema.read_text() == text
    assert f"{schema.parent} has been altered" in capsys.readouterr().out
    (aside,) = schema.parent.parent.glob(".altered-*")
    assert (aside / schema.name).read_text() == text + "\n"
    assert other["status"] == "succeeded"
    found = states(other)
    assert found["ExampleGen"] == found["StatisticsGen"] == "cached"
    assert found["SchemaGen"] == found["Trainer"] == "made"
    uris = {t["component"]: t["uri"] for t in other["tasks"]}
    blessing = json.loads(
        (pathlib.Path(uris["Evaluator"]) / "blessing.json").read_text()
    )
    assert blessing["blessed"] is False
    assert [check["met"] for check in blessing["checks"]] == [True, False]
    assert "last blessed" in blessing["checks"][1]["words"]
    pushed = pathlib.Path(uris["Pusher"]) / "pushed.json"
    assert json.loads(pushed.read_text()) == {"pushed": None}
    assert len(versions_of(pathlib.Path("saved_models/tiny"))) == 1


def test_a_tuner_and_a_fine_tuner(first):
    uris = {t["component"]: t["uri"] for t in first["tasks"]}
    best = json.loads(
        (pathlib.Path(uris["Tuner"]) / "hyperparameters.json").read_text()
    )
    losses = {t["values"]["model.units"]: t["val_loss"] for t in best["trials"]}
    assert set(losses) == {5, 7}
    units = best["values"]["model.units"]
    assert losses[units] == min(losses.values())
    config = json.loads(
        (pathlib.Path(uris["Trainer"]) / "config.json").read_text()
    )
    assert config["model"]["units"] == [units]
    classifier = pathlib.Path(uris["FineTuner"]) / "classifier"
    assert (classifier / "classifier.keras").exists()
    told = json.loads((classifier / "evaluation.json").read_text())
    assert 0 <= told["test"]["video_accuracy"] <= 1


@pytest.mark.hard
def test_a_runner_that_is_killed(first):
    """Its component ends with it, and the next run goes on.

    Here components have fresh processes, as users have them.
    """
    root = pathlib.Path("pipeline")
    shutil.rmtree(root / "artifacts" / "StatisticsGen")
    command = [
        *(sys.executable, "-c", "from video_repr import cli; cli.main()"),
        *("pipeline", "run", "tiny.toml", "--root", str(root)),
    ]
    runner = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with pytest.raises(InputError, match="being written by process"):
        while runner.poll() is None:
            time.sleep(0.05)
            if any(root.glob("artifacts/StatisticsGen/.unfinished-*")):
                local.run_pipeline(load("tiny.toml"), root)
    runner.kill()
    runner.wait()
    deadline = time.monotonic() + 20
    while any(components_running(runner.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert read_run(root)["status"] == "unfinished"
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    found = read_run(root)
    assert found["status"] == "succeeded"
    assert states(found)["ExampleGen"] == "cached"
    assert states(found)["StatisticsGen"] == "made"


@pytest.mark.hard
def test_all_components_in_fresh_processes(home):
    subprocess.run(
        [
            *(sys.executable, "-c", "from video_repr import cli; cli.main()"),
            *("pipeline", "run", "tiny.toml", "--root", "fresh"),
            *("--saved-models", "fresh/saved_models"),
        ],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    found = read_run("fresh")
    assert sorted(states(found)) == sorted(CHAIN)
    assert versions_of(pathlib.Path("fresh/saved_models/tiny"))


def test_a_component_that_refuses_says_why(first, home, capsys):
    write(home, ("mean_drift = 2.0", "mean_drift = 0.0"))
    try:
        with warm.components():
            code = cli.main(["pipeline", "run", "tiny.toml"])
    finally:
        write(home)
    assert code == 1
    told = capsys.readouterr().err
    assert "ExampleValidator failed: The dataset has" in told
    assert "its mean lies" in told
    assert "Traceback" not in told
    assert states(read_run("pipeline"))["ExampleValidator"] == "failed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"mse_sum_per_frame"', '"accuracy"'), "Received: 'accuracy'"),
        (("epochs = 2", 'epochs = "two"'), "epochs to be int"),
        (("epochs = 2", "epoch = 2"), r"unknown \['epoch'\]"),
        (("clip_frames = 8", "clip_frames = 7"), "at least 8 frames"),
        (('films = "films"', 'films = "none"'), "none, which does not exist"),
        (('films = "films"', 'films = "empty"'), "at least one source"),
        (('films = "films"', 'films = "broken"'), "films that can be read"),
        (('name = "tiny"', ""), r"missing \['name'\]"),
        (('name = "tiny"', 'name = "../a"'), "'../a'"),
        (("validation = 0.2", "validation = 0.9"), "groups to train on"),
        (("labels = true", "labels = true\nworkers = 0"), "at least 1"),
        (("mean_drift = 2.0", "mean_drift = nan"), "mean_drift of at least 0"),
        (("at_most = 100", "at_most = inf"), "a number for the threshold"),
        (('metric = "mse_sum_per_frame"', 'metric = "ssim"'), "'ssim'"),
        (("epochs = 2", "epochs = 0"), r"training\.epochs of at least 1"),
        (("values = [5, 7]", "values = []"), "Expected values of a setting"),
        (("values = [5, 7]", 'values = [5, "many"]'), "units to be"),
        (('"model.units"\nvalues = [5, 7]',
          '"model.input_frames"\nvalues = [4, 40]'), "at least 44 frames"),
        (("enabled = true", 'enabled = true\nper_class = "some"'),
         "per_class to be int or one of 'all'"),
        (('name = "tiny"', "name = "), "readable TOML"),
        (("[trainer.model]", "[trainer]\nwarm_start = 'no'\n[trainer.model]"),
         "model.units to tune with a warm_start"),
        (("at_most = 100", ""), "at_most or at_least"),
        (('of = "mean_frame"', 'branch = "reconstruction"\nof = "mean_frame"'),
         "future beside others"),
    ],
)  # fmt: skip
def test_what_is_refused_before_anything_runs(home, capsys, change, message):
    for folder in ("empty", "broken/a"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    (home / "broken" / "a" / "film.mp4").write_bytes(b"no film")
    write(home, change)
    try:
        code = cli.main(["pipeline", "run", "tiny.toml", "--root", "never"])
    finally:
        write(home)
    assert code == 2
    assert re.search(message, capsys.readouterr().err)
    assert not pathlib.Path("never").exists()


def test_clusters_and_encoders_that_are_refused(home):
    path = write(home, more="[cluster.small]\ncpu = 'lots'\nmemory = '4G'\n")
    with pytest.raises(InputError, match="cpu as '4'"):
        load(path)
    config = load(write(home, ("trials = 2", "trials = 0")))
    trainer = dataclasses.replace(config.trainer, warm_start="no")
    config = dataclasses.replace(config, trainer=trainer)
    with pytest.raises(InputError, match="'no', which does not exist"):
        local.run_pipeline(config, "never")
    write(home)


def test_a_model_without_a_threshold(home):
    path = write(home)
    text = path.read_text()
    bare = text[: text.index("[[evaluator")] + "[evaluator]\nthresholds = []"
    path.write_text(bare)
    with pytest.raises(InputError, match="at least one threshold"):
        load(path)
    write(home)


def test_a_patch_that_does_not_fit_the_frames(home):
    path = write(home, ("units = [6]", "units = [6]\npatch = 5"))
    with pytest.raises(InputError, match=r"model\.patch .* 16 px\. .*: 5"):
        load(path)
    path = write(
        home,
        ("units = [6]", "units = [6]\npatch = 4"),
        ("labels = true", 'labels = true\nkind = "percepts"'),
    )
    with pytest.raises(
        InputError, match=r"pictures, for trainer\.model\.patch"
    ):
        load(path)
    write(home, ("units = [6]", "units = [6]\npatch = 4"))
    config = load(path)
    assert config.trainer.model.patch == 4
    # By default it has to beat the last frame, too.
    thresholds = type(config.evaluator)().thresholds
    assert [t.of for t in thresholds] == [
        "last_frame",
        "mean_frame",
        "last_blessed",
    ]
    write(home)


def test_a_broken_version_is_found_before_anything_runs(first, tmp_path):
    version = shutil.copytree(
        "saved_models/tiny/1", tmp_path / "saved" / "tiny" / "1"
    )
    (version / "encoder.keras").write_bytes(b"")
    config = load("tiny.toml", saved_models=str(tmp_path / "saved"))
    with pytest.raises(InputError, match=r"encoder\.keras has been altered"):
        local.run_pipeline(config, "pipeline")


def test_optional_components_that_are_refused(home):
    path = write(home, ("labels = true", "labels = false"))
    with pytest.raises(InputError, match=r"example_gen\.labels"):
        load(path)
    path = write(home, ("grey = true", "crops = 2"))
    with pytest.raises(InputError, match="crops 2"):
        load(path)
    path = write(home, ("model.units", "model.unit"))
    with pytest.raises(InputError, match=r"'model\.unit'"):
        load(path)
    path = write(home, ("[5, 7]", '["many"]'))
    with pytest.raises(InputError, match="units to be"):
        load(path)
    write(home)


def test_the_yaml_is_one_of_kfp(home, tmp_path):
    more = """
[cluster]
image = "registry/video-repr:1"
[cluster.models]
cpu = "8"
memory = "30G"
accelerator = "NVIDIA_TESLA_T4"
"""
    try:
        path = write(home, more=more)
        output = tmp_path / "pipeline.yaml"
        code = cli.main(
            ["pipeline", "compile", str(path), "--output", str(output)]
        )
    finally:
        write(home)
    assert code == 0
    spec = json_format.ParseDict(
        yaml.safe_load(output.read_text()), pipeline_spec_pb2.PipelineSpec()
    )
    tasks = {t.task_info.name for t in spec.root.dag.tasks.values()}
    assert tasks == {*CHAIN, "Tuner", "FineTuner"}
    parameters = spec.root.input_definitions.parameters
    assert {"films", "beam_options", "trainer_settings"} <= set(parameters)
    executors = spec.deployment_spec["executors"]
    for name in executors:
        container = executors[name]["container"]
        assert container["image"] == "registry/video-repr:1"
    resources = executors["exec-trainer"]["container"]["resources"]
    assert resources["cpuLimit"] == 8
    accelerator = resources["accelerator"]
    assert accelerator["resourceType"] == "NVIDIA_TESLA_T4"
    assert (
        "accelerator"
        not in (executors["exec-schema-gen"]["container"]["resources"])
    )
    # As kfp itself reads it.
    again = components.load_component_from_file(str(output))
    assert again.name == "tiny"


def test_the_examples_of_the_repository():
    config = load(ROOT / "examples" / "films.toml")
    assert config.trainer.model.clip_frames == 20
    compile_pipeline(config, "films.yaml")
    assert pathlib.Path("films.yaml").exists()


def test_settings_that_the_docs_show(tmp_path):
    pages = (ROOT / "docs" / "pipeline.md").read_text()
    first, cluster = re.findall(r"```toml\n(.*?)```", pages, re.S)
    path = tmp_path / "docs.toml"
    path.write_text(first + cluster)
    config = load(path)
    assert config.example_gen.kind == "percepts"
    assert config.tuner.space[0].values == (1e-4, 3e-4, 1e-3)
    assert config.cluster.models.accelerator == "NVIDIA_TESLA_T4"


def test_runs_that_are_none(tmp_path, capsys):
    assert cli.main(["pipeline", "show", str(tmp_path)]) == 2
    assert "with runs" in capsys.readouterr().err
    missing = tmp_path / "nowhere"
    assert cli.main(["pipeline", "show", str(missing)]) == 2
    assert f"Received: {missing}, which does not" in capsys.readouterr().err
    (tmp_path / "run.json").write_text("{")
    assert cli.main(["pipeline", "show", str(tmp_path / "run.json")]) == 2
    assert "readable JSON file. Received: " in capsys.readouterr().err
