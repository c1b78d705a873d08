"""The commands of README, docs and docstrings are ones that can be given."""

import importlib.util
import itertools
import pathlib
import re
import runpy
import shlex
import sys

import pytest
import tyro

from video_repr import cli

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "[!.]*/README.md", "examples/**/*")
    for page in ROOT.glob(pattern)
    if page.suffix in (".md", ".toml")
)
MODULES = sorted(
    path
    for folder in ("pipelines", "benchmarks")
    for path in (ROOT / folder).glob("[!_]*.py")
)
PROGRAM = r"(?:video-repr|python -m (?:pipelines|benchmarks)\.\w+)\b"
COMMANDS = (
    # A line of its own, or of a comment, which goes on after a backslash.
    re.compile(rf"^#? *({PROGRAM}(?:\\\n|[^\n])*)", re.MULTILINE),
    # In a sentence; without options it is the name of a program.
    re.compile(rf"`({PROGRAM}[^`]* --[^`]*)`"),
)


def commands():
    for path in (*PAGES, *MODULES):
        text = path.read_text()
        for found in {f for pattern in COMMANDS for f in pattern.findall(text)}:
            line = " ".join(found.replace("\\\n", " ").split())
            # Not sentences that begin so, nor what stands for several.
            if not re.search(r"`|\.\.\.|NAME", line):
                yield path.relative_to(ROOT), line


class ParsedError(BaseException):
    """Raised in place of what the command would do."""


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        (path, [line for _, line in of])
        for path, of in itertools.groupby(commands(), lambda found: found[0])
    ],
    ids=lambda value: str(value) if isinstance(value, pathlib.Path) else "",
)
def test_arguments_are_known(path, lines, monkeypatch):
    parse = tyro.cli

    def parse_alone(*args, **options):
        parse(*args, **options)
        raise ParsedError

    monkeypatch.setattr(tyro, "cli", parse_alone)
    monkeypatch.chdir(ROOT)
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        module = None
        if program == "python":
            _, module, *arguments = arguments
            assert importlib.util.find_spec(module), line
            if not arguments:
                continue
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        try:
            with pytest.raises(ParsedError):
                if module:
                    runpy.run_module(module, run_name="__main__")
                else:
                    cli.main(arguments)
        except SystemExit as end:
            # What `--help` prints, and no error.
            assert end.code == 0, line
