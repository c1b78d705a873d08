"""Index files of features, as people and spreadsheets write them."""

import codecs

import numpy as np
import pytest

from pipelines import copies
from pipelines.import_features import check
from pipelines.import_features import read_index
from video_repr.errors import InputError

LINES = (
    "clip,label,group,split\na,run,g1,train\nb,walk,g2,test\nc,run,g1,train\n"
)


def told(path):
    return [
        (s.media_id, s.label, s.group, s.split)
        for s in read_index(path, "x.npy").sources
    ]


@pytest.mark.parametrize(
    "data",
    [
        LINES.encode(),
        codecs.BOM_UTF8 + LINES.encode(),
        LINES.encode("utf-16"),
        LINES.replace("\n", "\r\n").encode(),
        LINES.replace(",", " ,\t").encode(),
        LINES.replace("run", '" run "').encode(),
        LINES.replace("\n", "\n\n,,,\n  \n").encode(),
        LINES.replace("g1", "\u00a0g1\u3000").encode(),
    ],
    ids=[
        *("plain", "utf-8 mark", "utf-16", "crlf", "blanks", "quoted"),
        *("blank lines", "other blanks"),
    ],
)
def test_an_index_as_programs_write_it(tmp_path, data):
    (tmp_path / "index.csv").write_bytes(data)
    assert told(tmp_path / "index.csv") == [
        ("a", "run", "g1", "train"),
        ("b", "walk", "g2", "test"),
        ("c", "run", "g1", "train"),
    ]
    labels = read_index(tmp_path / "index.csv", "x.npy").labels
    assert labels == ("run", "walk")


def test_names_that_hold_what_divides_lines(tmp_path):
    (tmp_path / "index.csv").write_text('clip\n"a\nb"\na\u2028c\n"d,""e"""\n')
    names = [name for name, *_ in told(tmp_path / "index.csv")]
    assert names == ["a\nb", "a\u2028c", 'd,"e"']
    # Without a column of groups each clip is its own.
    assert [group for _, _, group, _ in told(tmp_path / "index.csv")] == names


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("clip,group\na,g1\nb,\n", "line 3 of .*index.csv, 'b', ''"),
        ("clip,group\na,g1\nb, \n", "line 3 of .*index.csv, 'b', ''"),
        ("clip,label\na\n", "2 cells in each line, clip, label"),
        ("clip,label\na,b,c\n", "line 2 of .*index.csv, 'a', 'b', 'c'"),
        ('clip,label\n"a\nb",c\nd,\n', "line 4 of .*, 'd', ''"),
        ("clip,clip\na,b\n", "1 lines of clip, clip"),
        ("clip;label\na;b\n", "1 lines of clip;label"),
        ("clip\n", "0 lines of clip"),
        ("", "0 lines of"),
        ('clip\n"a\n', "a CSV file of clips"),
        ("clip\na\0\n", "it has zero bytes"),
        ("clip\n" + "a" * 200_000, "field larger than field limit"),
    ],
)
def test_an_index_that_is_none(tmp_path, lines, message):
    (tmp_path / "index.csv").write_text(lines)
    with pytest.raises(InputError, match=message):
        read_index(tmp_path / "index.csv", "x.npy")


def united(folder, lines, values):
    (folder / "index.csv").write_text(lines)
    np.save(folder / "x.npy", values)
    found = read_index(folder / "index.csv", str(folder / "x.npy"))
    _, sums = check(str(folder / "x.npy"), found)
    return copies.unite(found, sums)


def test_clips_of_the_same_values(tmp_path, rng):
    values = rng.random((4, 3, 2))
    values[2] = values[0]
    found = united(tmp_path, "clip,group\na,g2\nb,g1\nc,g1\nd,g3\n", values)
    assert [s.group for s in found.sources] == ["g1", "g1", "g1", "g3"]
    assert found.copies == ("'a' and 'c' are the same",)
    # What measures stays, in the order test, validation, training.
    lines = "clip,split\na,train\nb,train\nc,validation\nd,test\n"
    found = united(tmp_path, lines, values)
    assert [bool(s.left_out) for s in found.sources] == [True, *[False] * 3]
    values[3] = values[0]
    found = united(tmp_path, lines, values)
    assert [bool(s.left_out) for s in found.sources] == [
        *(True, False, True, False)
    ]
    assert "'d', which is for test" in found.sources[0].left_out


def test_clips_of_other_values_stay_as_they_are(tmp_path, rng):
    (tmp_path / "index.csv").write_text(LINES)
    found = read_index(tmp_path / "index.csv", "x.npy")
    np.save(tmp_path / "x.npy", rng.random((3, 3, 2)))
    _, sums = check(str(tmp_path / "x.npy"), found)
    assert copies.unite(found, sums) is found
