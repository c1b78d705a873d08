"""Two jobs on one output: each stopped or killed at each of its changes."""

import contextlib
import itertools
import re
import shutil

import pytest
from kills import Steps
from kills import before
from kills import stepping

from video_repr.data import ClipDataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two(films, tmp_path_factory):
    """Two films."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("run_g0_0.mp4", "run_g0_1.mp4"):
        shutil.copy(films / "run" / name, folder)
    return folder


@pytest.fixture
def job(cut, two, tmp_path):
    """Runs a job on `OUT/cut/1`; returns its exit code."""

    def run(*extra, out=tmp_path / "out" / "cut" / "1"):
        shares = ("--validation", "0", "--test", "0")
        return cut(*shares, *extra, path=two, out=out)

    return run


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "cut" / "1"


@pytest.fixture
def expected(job, tmp_path, sums):
    """What it writes undisturbed."""
    whole = tmp_path / "whole" / "cut" / "1"
    assert job(out=whole) == 0
    return sums(whole)


def check(out, expected, sums):
    assert sums(out) == expected
    # A lock whose process was killed at its very end is in nobody's way.
    left = {path.name for path in out.parent.iterdir()} - {".1.lock"}
    assert left == {out.name}
    for shard in ClipDataset(out).info["shards"]:
        assert (out / shard["name"]).stat().st_size == shard["bytes"]


def test_a_second_job_at_every_change_of_the_first(
    job, out, expected, sums, capsys
):
    others = itertools.cycle([(), ("--overwrite",), ("--size", "8")])
    met = []

    def second(steps):
        # Before it there are changes that nobody minds, of folders.
        if out.with_name(".1.lock").exists():
            extra = next(others)
            code = job(*extra)
            met.append((extra, out.exists(), code, capsys.readouterr()))

    steps = Steps(second)
    with stepping(out.parents[1], steps):
        assert job() == 0
    assert len(met) > 40
    for extra, delivered, code, printed in met:
        if delivered and not extra and code == 0:
            assert "is complete already" in printed.out
            continue
        assert code == 2, (extra, delivered)
        assert re.search(
            r"being written by process \d+ on \S+, which began at"
            + (r"|a dataset made with other patches" if delivered else ""),
            printed.err,
        )
    check(out, expected, sums)


def test_a_second_job_that_is_quicker(job, out, expected, sums, capsys):
    """The first has looked, and found no output and no lock."""
    codes = []
    with stepping(out.parents[1], before(0, lambda _: codes.append(job()))):
        assert job() == 0
    assert codes == [0]
    printed = capsys.readouterr().out
    assert printed.count(f"{out} written.") == 1
    assert printed.count(f"{out} is complete already.") == 1
    check(out, expected, sums)


def dies(job, out, number):
    """Whether a job that dies before a change had so many."""
    steps = before(number, Steps.die)
    with stepping(out.parents[1], steps), contextlib.suppress(Exception):
        job()
    return steps.dead


def killed_at(job, out, expected, sums, number):
    if not dies(job, out, number):
        return False
    assert not out.exists() or sums(out) == expected
    assert job() == 0
    check(out, expected, sums)
    shutil.rmtree(out.parents[1])
    return True


@pytest.mark.parametrize("number", [1, 5, 14, 30, 45, -4, -1])
def test_a_job_that_was_killed(job, out, expected, sums, number):
    if number < 0:
        steps = Steps(lambda _: None)
        with stepping(out.parents[1], steps):
            job()
        shutil.rmtree(out.parents[1])
        number += steps.count
    assert killed_at(job, out, expected, sums, number)


@pytest.mark.hard
def test_a_job_that_was_killed_anywhere(job, out, expected, sums):
    number = 0
    while killed_at(job, out, expected, sums, number):
        number += 1
    assert number > 50


def overwriting_killed_at(job, out, old, expected, sums, number):
    if not out.exists():
        assert job("--size", "8") == 0
    assert sums(out) == old
    if not dies(lambda: job("--overwrite"), out, number):
        return False
    # Whoever comes next puts the old one back where there is none.
    there = job("--size", "8") == 0
    assert sums(out) == (old if there else expected)
    assert job("--overwrite") == 0
    check(out, expected, sums)
    shutil.rmtree(out.parents[1])
    return True


@pytest.fixture
def old(job, tmp_path, sums):
    before = tmp_path / "before" / "cut" / "1"
    assert job("--size", "8", out=before) == 0
    return sums(before)


@pytest.mark.hard
def test_overwriting_killed_anywhere(job, out, old, expected, sums):
    number = 0
    while overwriting_killed_at(job, out, old, expected, sums, number):
        number += 1
    assert number > 50


def test_overwriting_killed_between_the_renames(job, out, old, expected, sums):
    aside, replaced = out.with_name(".1.replaced"), []

    def find(steps):
        if aside.exists() and not replaced:
            replaced.append(steps.count)

    assert job("--size", "8") == 0
    with stepping(out.parents[1], Steps(find)):
        assert job("--overwrite") == 0
    shutil.rmtree(out.parents[1])
    # Before the new one is in its place, and while the old one is removed.
    for number in range(replaced[0], replaced[0] + 4):
        assert overwriting_killed_at(job, out, old, expected, sums, number)


def test_what_others_put_there_meanwhile_is_kept(job, out, capsys):
    def put(_):
        out.mkdir()
        (out / "thesis.tex").write_text("mine")

    with stepping(out.parents[1], before(40, put)):
        assert job() == 2
    assert "which exists" in capsys.readouterr().err
    assert job("--overwrite") == 2
    assert [file.name for file in out.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("what", ["a file", "a link"])
def test_an_output_that_is_no_directory(job, out, tmp_path, capsys, what):
    out.parent.mkdir(parents=True)
    if what == "a file":
        out.write_text("mine")
    else:
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to(tmp_path / "elsewhere")
    for extra in ((), ("--overwrite",)):
        assert job(*extra) == 2
        assert f"a directory to write. Received: {out}, {what}" in (
            capsys.readouterr().err
        )
    assert out.is_symlink() == (what == "a link")
