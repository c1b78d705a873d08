"""The wheel, installed where the repository is not."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built of a copy, in which no older build has left anything."""
    folder = tmp_path_factory.mktemp("wheel")
    # What makes no part of it has to be there to be left out.
    others = shutil.ignore_patterns(
        ".*", "build", "dist", "runs", "*.egg-info", "__pycache__"
    )
    clone = shutil.copytree(ROOT, folder / "clone", ignore=others)
    pip(
        "wheel",
        *("--no-deps", "--no-index", "--no-build-isolation"),
        *("--wheel-dir", folder, clone),
    )
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def away(wheel, tmp_path_factory):
    """Runs a command of a new environment in an empty folder.

    The packages that ours needs are those of this environment.
    """
    folder = tmp_path_factory.mktemp("away")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    bin = environment / "bin"
    pip("--python", bin / "python", "install", "--no-deps", "--no-index", wheel)
    [packages] = environment.glob("lib/*/site-packages")
    # After the new ones; an editable package is none of those.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    work = folder / "work"
    work.mkdir()

    def run(program, *arguments):
        return said(bin / program, *arguments, cwd=work)

    return run


def pip(*arguments):
    said(sys.executable, "-m", "pip", *arguments)


def said(*command, cwd=None):
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_has_all_files_of_the_packages_and_no_others(wheel):
    """No weights, no tests."""
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in ("video_repr", "pipelines")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected.remove("pipelines/Dockerfile")
    with zipfile.ZipFile(wheel) as file:
        found = {name for name in file.namelist() if ".dist-info/" not in name}
    assert found == {*expected, "video_repr_command.py"}
    assert {"video_repr/__init__.pyi", "video_repr/report/page.html"} <= found


def test_it_is_what_is_imported(away, wheel):
    told = away(
        "python",
        "-c",
        "import importlib.metadata, json, sys\n"
        "import pipelines, video_repr, video_repr_command\n"
        "modules = pipelines, video_repr, video_repr_command\n"
        "version = importlib.metadata.version('video_repr')\n"
        "assert version == video_repr.__version__\n"
        "print(json.dumps([sys.prefix, *(m.__file__ for m in modules)]))\n",
    )
    prefix, *files = json.loads(told)
    assert pathlib.Path(prefix).name == "environment"
    for file in files:
        assert pathlib.Path(file).is_relative_to(prefix)


def test_its_commands(away):
    assert "pretrain" in away("video-repr", "--help")
    assert "--output" in away("python", "-m", "pipelines.patches", "--help")


# make test-oldest has the wheel in an environment of its own.
@pytest.mark.hard
def test_from_a_run_to_an_encoder(away, digits_file):
    away(
        *("video-repr", "pretrain", "demo", "--run", "run"),
        *("--data.digits", digits_file, "--data.frame-size", "16"),
        *("--data.validation-sequences", "4", "--data.test-sequences", "4"),
        *("--model.units", "8", "--training.batch-size", "2"),
        *("--training.epochs", "1", "--training.steps-per-epoch", "1"),
        "--training.no-jit-compile",
    )
    away(
        "python",
        "-c",
        "import video_repr\n"
        "from video_repr.report.page import write_page\n"
        "from video_repr.transfer.encoders import load_encoder\n"
        "write_page('page.html', 'Title', '', [])\n"
        "video_repr.export_encoder(load_encoder('run'), 'mine', (16, 16))\n"
        "assert video_repr.Encoder.presets == {}\n"
        "assert video_repr.Encoder.from_preset('mine').units == (8,)\n",
    )
