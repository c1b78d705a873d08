"""The notebooks of colab/, from the first cell to the last, at a small size."""

import ast
import importlib
import pathlib
import re

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

ROOT = pathlib.Path(__file__).parents[1]
COLAB = ROOT / "colab"
# In place of the cell "parameters".
SMALL = {
    "01_moving_mnist": "UNITS, EPOCHS, STEPS, TEST_SEQUENCES = 16, 2, 2, 4",
    "02_videos_to_dataset": (
        'FILMS, FRAMES_A_FILM, UNITS, EPOCHS = "films", 60, 16, 1'
    ),
    "03_transfer": (
        "ENCODER, LABELS, SUBSETS, TEST_CLIPS = 'moving_mnist', (1,), 1, 20"
    ),
    "04_inside_the_lstm": "ENCODER, STEPS, ROLLOUT = 'moving_mnist', 1, 12",
}


class Shell(InteractiveShell):
    def enable_gui(self, gui=None):
        """As notebooks have it: there is no window."""


def test_all_notebooks_are_executed():
    assert sorted(SMALL) == [path.stem for path in sorted(COLAB.glob("*"))]


@pytest.mark.parametrize("name", SMALL)
def test_notebook(name, tmp_path, monkeypatch):
    """In this process: each kernel would import TensorFlow anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(COLAB / f"{name}.ipynb", as_version=4)
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    assert ["install"] in tags
    # Readers see outputs before they run anything.
    assert any(cell.get("outputs") for cell in notebook.cells)
    [parameters] = [i for i, t in enumerate(tags) if t == ["parameters"]]
    notebook.cells[parameters].source = SMALL[name]
    notebook.cells = [
        cell
        for cell, tag in zip(notebook.cells, tags, strict=True)
        if tag != ["install"]
    ]
    shell = Shell(config=Config({"HistoryManager": {"enabled": False}}))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            shell.run_cell(cell.source).raise_error()


@pytest.mark.parametrize("name", SMALL)
def test_its_first_cell_installs_from_what_one_variable_says(name):
    notebook = nbformat.read(COLAB / f"{name}.ipynb", as_version=4)
    [cell] = [c for c in notebook.cells if c.cell_type == "code"][:1]
    assert cell.metadata["tags"] == ["install"]
    *_, variable, command = cell.source.splitlines()
    assert variable == 'SOURCE = "-e .."'
    shell = Shell(config=Config({"HistoryManager": {"enabled": False}}))
    extras = re.search(r"\[.*\]$", command)[0]
    for source in ("-e ..", "video_repr-0.2.0-py3-none-any.whl"):
        shell.user_ns["SOURCE"] = source
        expanded = shell.var_expand(command)
        assert expanded == f"%pip install -q {source}{extras}"


@pytest.mark.parametrize("name", SMALL)
def test_it_uses_the_public_api_only(name):
    """What it imports from us is in an `__all__`."""
    notebook = nbformat.read(COLAB / f"{name}.ipynb", as_version=4)
    seen = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        # Without lines for the shell and for IPython, which may go on.
        source = re.sub(r"(?m)^[%!](.*\\\n)*.*$", "", cell.source)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(
                ("video_repr", "pipelines")
            ):
                module = importlib.import_module(node.module)
                for imported in node.names:
                    assert imported.name in module.__all__
                    seen += 1
    assert seen
