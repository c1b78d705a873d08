"""What is missing is said before the long work, not after it."""

import pathlib
import sys

import pytest

from video_repr import configs
from video_repr.errors import MissingExtraError
from video_repr.evaluation import evaluate_run
from video_repr.report import compare_runs
from video_repr.report import write_report
from video_repr.runs import Run
from video_repr.training import pretrain
from video_repr.transfer.comparison import compare_pretraining
from video_repr.transfer.config import FinetuneConfig
from video_repr.transfer.config import LabelCurveConfig
from video_repr.transfer.finetune import finetune
from video_repr.transfer.fuse import fuse
from video_repr.transfer.label_curve import run_label_curve

NOWHERE = pathlib.Path("nowhere")

LONG = {
    "pretrain": (
        lambda: pretrain(configs.Config(), NOWHERE),
        ("matplotlib", "PIL", "tensorboard"),
    ),
    "evaluate": (lambda: evaluate_run(Run(NOWHERE)), ("matplotlib", "PIL")),
    "finetune": (
        lambda: finetune(FinetuneConfig(), NOWHERE, NOWHERE, NOWHERE / "new"),
        ("matplotlib", "sklearn"),
    ),
    "label curve": (
        lambda: run_label_curve(LabelCurveConfig(), NOWHERE, NOWHERE, NOWHERE),
        ("matplotlib", "sklearn", "scipy"),
    ),
    "comparison": (
        lambda: compare_pretraining(LabelCurveConfig(), None, NOWHERE),
        ("matplotlib", "sklearn", "scipy"),
    ),
    "fuse": (
        lambda: fuse([NOWHERE, NOWHERE], NOWHERE / "new"),
        ("matplotlib", "sklearn"),
    ),
}


@pytest.mark.parametrize(
    ("begin", "package"),
    [
        pytest.param(begin, package, id=f"{name} without {package}")
        for name, (begin, packages) in LONG.items()
        for package in packages
    ],
)
def test_a_missing_package_is_found_first(
    monkeypatch, tmp_path, begin, package
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingExtraError, match=rf"'{package}'.*pip install 'video_repr\["
    ):
        begin()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["jinja2", "matplotlib", "PIL"])
def test_a_page_without_what_it_is_made_with(monkeypatch, tmp_path, package):
    for name in ("a", "b"):
        run = Run(tmp_path / name)
        run.path.mkdir()
        run.config_file.write_text("{}")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=f"'{package}'"):
        write_report(tmp_path / "a")
    with pytest.raises(MissingExtraError, match=f"'{package}'"):
        compare_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
