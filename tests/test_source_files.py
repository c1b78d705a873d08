"""The source files import one way, and none is long."""

import ast
import graphlib
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("video_repr", "pipelines")
# Lines of a file, tests aside.
LONGEST = 450


def modules():
    """Modules' names and files; a package's is PACKAGE.__init__."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }


def imported(path, known):
    """Names of our modules that a file imports, at its top or in functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} is relative"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            # A module, a package, or a name in one of them.
            above = name.rpartition(".")[0]
            for module in (
                name,
                f"{name}.__init__",
                above,
                f"{above}.__init__",
            ):
                if module in known:
                    found.add(module)
                    break
    return found


def place(name):
    """Parts of a module's name; the command line is above both packages."""
    if name.startswith("video_repr.cli."):
        name = name.removeprefix("video_repr.")
    return name.split(".")


def graph(known):
    """What imports what: in each folder, its files and its whole packages.

    As `video_repr.data.film` imports `video_repr.errors`, `video_repr.data`
    does.
    """
    found = {}
    for name, path in known.items():
        for other in imported(path, known) - {name}:
            mine, others = place(name), place(other)
            same = 0
            while mine[same] == others[same]:
                same += 1
            importer = ".".join(mine[: same + 1])
            found.setdefault(importer, set()).add(".".join(others[: same + 1]))
    return found


def test_imports_run_one_way():
    found = graph(modules())
    # Else nothing was parsed.
    assert "video_repr.errors" in found["video_repr.data"]
    assert "pipelines.storage" in found["pipelines.transforms"]
    assert "pipelines" in found["cli"]
    # Raises CycleError, which names the circle.
    graphlib.TopologicalSorter(found).prepare()


def test_no_source_file_is_long():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in (*PACKAGES, "benchmarks", "examples", "saved_models")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert len(lengths) > 100
    assert {n: lines for n, lines in lengths.items() if lines > LONGEST} == {}
