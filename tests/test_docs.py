"""The pages of docs/ and the reference, as `make docs` builds them."""

import inspect
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def test_pages_are_built_without_warnings(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--site-dir",
            tmp_path / "site",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "models.html").read_text()
    # Of the docstring.
    assert "reads a clip into its state" in page
    names = [path.stem for path in (ROOT / "docs").rglob("*.md")]
    built = [path.stem for path in (tmp_path / "site").rglob("*.html")]
    assert set(names) <= set(built)


def test_all_that_is_public_is_in_the_reference():
    import video_repr
    from video_repr import configs
    from video_repr import data
    from video_repr import evaluation
    from video_repr import visualization

    text = "".join(
        path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md")
    )
    for module in (video_repr, configs, data, evaluation, visualization):
        for name in module.__all__:
            if inspect.ismodule(getattr(module, name)):
                continue
            assert f"::: {module.__name__}.{name}\n" in text, name
