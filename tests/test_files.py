import functools
import itertools
import os
import pathlib
import re
import threading

import pytest
from kills import killed_before

from pipelines.directory import DATASET
from pipelines.training.artifacts import ARTIFACT
from video_repr import InputError
from video_repr.evaluation.run import FIGURES
from video_repr.export.layout import EXPORT
from video_repr.files import Kind
from video_repr.files import only_writer
from video_repr.files import replace_directory
from video_repr.files import restore
from video_repr.files import whole_directory

# What each kind may have, one file in a folder of its own where it has some.
KINDS = {
    EXPORT: ("saved_model.pb", "encoder.keras", "config.json", "variables/a"),
    FIGURES: ("errors.png", "strips-12.png", "prediction.gif"),
    DATASET: ("info.json", "features.json", "a-train-0.tfrecord", "COMPLETED"),
    ARTIFACT: ("artifact.json", "what/ever.txt"),
}
NOTES = Kind("notes", lambda path: (path / "notes.txt").is_file())


def write(folder, names, text):
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def files_of(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in folder.rglob("*")
        if file.is_file()
    }


def put(path, kind, names, text):
    with whole_directory(path, kind) as partial:
        write(partial, names, text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_one_of_the_kind_is_replaced(tmp_path, kind):
    path = tmp_path / "deep" / "place"
    for text in ("old", "new"):
        put(path, kind, KINDS[kind], text)
        assert files_of(path) == dict.fromkeys(KINDS[kind], text)
        assert list(path.parent.iterdir()) == [path]
    # What file managers leave is no loss.
    (path / ".DS_Store").touch()
    put(path, kind, KINDS[kind], "newer")
    assert files_of(path) == dict.fromkeys(KINDS[kind], "newer")


def of_another_kind(path):
    write(path, ["thesis.tex"], "mine")


def with_a_file_of_others(path):
    write(path, ["mine.txt"], "mine")


def with_a_folder_of_others(path):
    write(path, [".git/HEAD"], "mine")


def above_some(path):
    names = [file.name for file in path.iterdir()]
    (path / "1").mkdir()
    for name in names:
        (path / name).rename(path / "1" / name)


def a_file(path):
    path.rename(path.with_name("elsewhere"))
    path.write_text("mine")


def a_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def a_link_to_nothing(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("nowhere"))


WITH_OTHERS = (of_another_kind, with_a_file_of_others, with_a_folder_of_others)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (kind, change)
        for kind in KINDS
        for change in (
            *WITH_OTHERS,
            above_some,
            a_file,
            a_link,
            a_link_to_nothing,
        )
        # An artifact may have any files.
        if kind is not ARTIFACT or change not in WITH_OTHERS
    ],
)
def test_nothing_else_is_replaced(tmp_path, kind, change):
    path = tmp_path / "place"
    write(path, KINDS[kind], "old")
    change(path)
    before = files_of(tmp_path)
    with pytest.raises(InputError) as refused, whole_directory(path, kind):
        pytest.fail("refused only after the work")
    assert re.fullmatch(
        rf"Expected a new directory, or {kind.name} to replace. Received: "
        rf"'{path}', (which has other files|a file|a link)",
        str(refused.value),
    )
    assert files_of(tmp_path) == before


def test_what_appears_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "place"
    with (
        pytest.raises(InputError, match="which has other files"),
        whole_directory(path, EXPORT) as partial,
    ):
        write(partial, KINDS[EXPORT], "new")
        write(path, ["thesis.tex"], "mine")
    assert files_of(tmp_path) == {"place/thesis.tex": "mine"}


def test_without_a_kind_only_what_is_new_is_written(tmp_path):
    path = tmp_path / "place"
    path.mkdir()
    put(path, None, ["a"], "first")
    for work in (
        lambda: put(path, None, ["a"], "second"),
        lambda: put(tmp_path / "..", None, ["a"], "second"),
    ):
        with pytest.raises(InputError, match="Expected a new directory"):
            work()
    with pytest.raises(InputError, match="a directory to write"):
        put(pathlib.Path("/"), None, ["a"], "second")
    assert files_of(tmp_path) == {"place/a": "first"}


def test_failures_leave_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "place"
    put(path, NOTES, ["notes.txt"], "old")
    with pytest.raises(ZeroDivisionError), whole_directory(path, NOTES):
        _ = 1 / 0
    rename = os.rename

    def fails(old, new):
        if pathlib.Path(new) == path and ".partial-" in str(old):
            raise OSError("no space")
        rename(old, new)

    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(OSError, match="no space"):
        put(path, NOTES, ["notes.txt"], "new")
    assert files_of(tmp_path) == {"place/notes.txt": "old"}


@pytest.mark.parametrize("old", ["old", None])
def test_killed_before_every_change(tmp_path, old):
    """The old one or the new one, in its place or put back there."""
    names = ["notes.txt", "more/notes.txt"]
    for number in itertools.count():
        path = tmp_path / str(number) / "place"
        if old:
            write(path, names, old)
        work = functools.partial(put, path, NOTES, names, "new")
        if not killed_before(number, work):
            break
        restore(path, NOTES)
        found = files_of(path) if path.exists() else {}
        whole = [dict.fromkeys(names, text) for text in (old, "new") if text]
        assert found in (whole if old else [{}, *whole]), number
        put(path, NOTES, names, "newer")
        assert files_of(path) == dict.fromkeys(names, "newer")
        assert list(path.parent.iterdir()) == [path], number
    # At least: lock, partial, three of its own, a rename, the lock.
    assert number >= (9 if old else 7)
    assert files_of(path) == dict.fromkeys(names, "new")


def killed_while_it_is_aside(path):
    def work():
        os.rename(path, path.with_name(f".{path.name}.replaced"))
        os._exit(9)

    assert killed_before(1000, work)


def test_what_was_moved_aside_is_not_lost(tmp_path):
    path = tmp_path / "place"
    write(path, ["notes.txt"], "old")
    killed_while_it_is_aside(path)
    # Not even to those who mean to write something else there.
    for kind in (EXPORT, None):
        with pytest.raises(InputError, match=r"to put .* back") as refused:
            put(path, kind, KINDS[EXPORT], "new")
        assert "\n" not in str(refused.value)
    write(path, ["thesis.tex"], "mine")
    with pytest.raises(InputError, match="which has other files"):
        put(path, NOTES, ["notes.txt"], "new")
    assert sorted(files_of(tmp_path)) == [
        ".place.replaced/notes.txt",
        "place/thesis.tex",
    ]
    (path / "thesis.tex").unlink()
    with pytest.raises(ZeroDivisionError), whole_directory(path, NOTES):
        _ = 1 / 0
    assert files_of(tmp_path) == {"place/notes.txt": "old"}


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path):
    path = tmp_path / "place"
    with only_writer(path):
        with (
            pytest.raises(InputError) as refused,
            whole_directory(path, NOTES),
        ):
            pytest.fail("two writers")
        assert re.fullmatch(
            rf"Expected a directory that nobody writes. Received: '{path}', "
            rf"which is being written by process {os.getpid()} on \S+, which "
            r"began at [\d-]+ [\d:]+ \S+\. Wait until it has ended, or end "
            "it, and give the same command again",
            str(refused.value),
        )
        # Of another name it is another directory.
        put(tmp_path / "place2", NOTES, ["notes.txt"], "new")

    def dies():
        with only_writer(path):
            os._exit(9)

    assert killed_before(1000, dies)
    assert (tmp_path / ".place.lock").exists()
    with only_writer(path):
        write(tmp_path / "new", ["notes.txt"], "new")
        replace_directory(tmp_path / "new", path, NOTES)
    assert set(files_of(tmp_path)) == {"place/notes.txt", "place2/notes.txt"}


def test_writers_that_begin_and_end_together(tmp_path):
    """A lock that is removed while another waits for it."""
    path, inside, most = tmp_path / "place", [], []

    def write_often():
        for _ in range(200):
            try:
                with only_writer(path):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except InputError:
                continue

    threads = [threading.Thread(target=write_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert not list(tmp_path.iterdir())
