"""What counts as a film, and which films are the same."""

import codecs
import json
import os
import shutil

import boto3
import numpy as np
import pytest
from films import write_film
from moto.server import ThreadedMotoServer
from PIL import Image

from pipelines import sources
from pipelines.arguments import Input
from pipelines.engine import Engine
from pipelines.hidden import hidden
from video_repr.data import ClipDataset
from video_repr.errors import InputError


def names(found):
    return [source.media_id for source in found.sources]


def by_name(found):
    return {source.media_id: source for source in found.sources}


def copy(films, folder, number, *to):
    """A film of the fixture under other names."""
    film = sorted(films.rglob("*.mp4"))[number]
    for name in to:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(film, folder / name)


LEFT_BY_OTHERS = (
    ".Trash-1000/files/deleted.mp4", ".ipynb_checkpoints/0.mp4",
    "walk/.thumbnails/0.mp4", "walk/._0.mp4", "walk/.0.mp4.swp.mp4",
    "@eaDir/0.mp4/SYNOVIDEO_VIDEO.mp4", "__MACOSX/walk/._0.mp4",
    "lost+found/1.mp4", "$RECYCLE.BIN/S-1-5/1.mp4", "#recycle/1.mp4",
    "System Volume Information/1.mp4", ".git/annex/1.mp4",
)  # fmt: skip


def test_what_systems_leave_is_no_film(films, tmp_path):
    folder = tmp_path / ".cache" / "films"
    copy(films, folder, 0, "walk/0.mp4", "walk/0 @eaDir.mp4", *LEFT_BY_OTHERS)
    copy(films, folder, 1, "run/1.mp4", "run/lost+found.mp4", "run/a.b.mp4")
    (folder / "notes.txt").touch()
    found = sources.folder(str(folder), labels=True)
    # That the folder itself is hidden is the user's wish.
    assert names(found) == [
        *("run/1.mp4", "run/a.b.mp4", "run/lost+found.mp4"),
        *("walk/0 @eaDir.mp4", "walk/0.mp4"),
    ]
    assert found.labels == ("run", "walk")
    ignored = {os.path.relpath(path, folder) for path in found.ignored}
    assert ignored == {"notes.txt", *map(hidden, LEFT_BY_OTHERS)}


def write_pictures(folder, levels, pattern="{:03}.png"):
    folder.mkdir(parents=True)
    for number, level in enumerate(levels):
        pixels = np.full((20, 24, 3), level, np.uint8)
        Image.fromarray(pixels).save(folder / pattern.format(number))


def test_pictures_that_nobody_put_there(cut, tmp_path):
    folder = tmp_path / "pictures"
    write_pictures(folder / "a", range(0, 80, 10))
    for name in (".thumb.png", "._000.png", ".ipynb_checkpoints/000.png",
                 "@eaDir/001.png"):  # fmt: skip
        (folder / "a" / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / "a" / "007.png", folder / "a" / name)
    # No digits that Python's int reads.
    shutil.copy(folder / "a" / "007.png", folder / "a" / "²³.png")
    shares = ("--validation", 0, "--test", 0)
    given = ("--layout", "pictures", "--labels", *shares)
    assert cut(*given, path=folder) == 2
    (tmp_path / "all").mkdir()
    folder.rename(tmp_path / "all" / "walk")
    assert cut(*given, path=tmp_path / "all") == 0
    dataset = ClipDataset(tmp_path / "cut" / "1")
    assert dataset.labels == ("walk",)
    (source,) = dataset.info["sources"]
    assert (source["media_id"], source["frames"]) == ("walk/a", 9)
    levels = {
        clip["start"]: clip["clip"][:, 0, 0, 0].tolist()
        for clip in dataset.examples("train").as_numpy_iterator()
    }
    assert levels == {0: [0, 10, 20, 30], 160_000: [40, 50, 60, 70]}


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    ],
    ids=["plain", "utf-8 mark", "crlf", "utf-16", "utf-16 big-endian"],
)
def test_lists_as_programs_write_them(tmp_path, encode):
    there = [
        "12:30.mp4", "film:1.mp4", "gs:1.mp4", "a\u2028b.mp4", "a\x0bb.mp4",
        "a\x85b.mp4", " before.mp4", "after.mp4 ", "фильм.mp4", "x/s3:/y.mp4",
    ]  # fmt: skip
    for name in (*there, "plain.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    lines = [
        *there,
        "",
        "  plain.mp4\t",
        "   ",
        "absent.mp4",
        "s3://b/c:d.mp4 ",
    ]
    (tmp_path / "list.txt").write_bytes(encode("\n".join(lines) + "\n"))
    found = sources.listed(str(tmp_path / "list.txt"))
    assert {s.media_id: s.path for s in found.sources} == {
        **{n: str(tmp_path / n) for n in (*there, "plain.mp4", "absent.mp4")},
        "s3://b/c:d.mp4": "s3://b/c:d.mp4",
    }


def test_names_with_colons_are_read(cut, films, tmp_path, monkeypatch):
    """FFmpeg takes them for protocols, where a path begins with one."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("film:1.mp4", "12:30.mp4", "http:a.mp4")):
        copy(films, tmp_path, number, name)
    (tmp_path / "list.txt").write_text("film:1.mp4\n12:30.mp4\nhttp:a.mp4\n")
    shares = ("--validation", 0, "--test", 0)
    assert cut("--layout", "list", *shares, path="list.txt") == 0
    found = ClipDataset(tmp_path / "cut" / "1").info["sources"]
    assert [bool(source["clips"]) for source in found] == [True] * 3


def test_names_that_are_no_text_in_a_list(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfa.mp4\n")
    with open(os.fsencode(tmp_path) + b"/\xff\xfa.mp4", "wb"):
        pass
    (source,) = sources.listed(str(tmp_path / "list.txt")).sources
    assert os.path.exists(source.path)
    assert source.media_id == "\\udcff\\udcfa.mp4"
    # As of find -print0.
    (tmp_path / "list.txt").write_bytes(b"a.mp4\0b.mp4\0")
    with pytest.raises(InputError, match="it has zero bytes"):
        sources.listed(str(tmp_path / "list.txt"))


@pytest.fixture
def twice(films, tmp_path):
    """Three films: a copy, a link, a hard link; one by itself."""
    folder = tmp_path / "twice"
    copy(films, folder, 0, "a/film.mp4", "b/copy.mp4")
    copy(films, folder, 1, "a/other.mp4")
    copy(films, folder, 2, "c/one.mp4")
    os.symlink(folder / "a/other.mp4", folder / "b/link.mp4")
    os.link(folder / "a/other.mp4", folder / "c/hard.mp4")
    # As large as another, and not the same.
    data = bytearray((folder / "c/one.mp4").read_bytes())
    data[-1] ^= 1
    (folder / "c/two.mp4").write_bytes(data)
    return folder


def test_what_is_the_same_is_one_group(twice):
    found = by_name(Input(str(twice)).find())
    assert {name: source.group for name, source in found.items()} == {
        "a/film.mp4": "a/film.mp4",
        "b/copy.mp4": "a/film.mp4",
        "a/other.mp4": "a/other.mp4",
        "b/link.mp4": "a/other.mp4",
        "c/hard.mp4": "a/other.mp4",
        "c/one.mp4": "c/one.mp4",
        "c/two.mp4": "c/two.mp4",
    }
    # Groups that share a film are one, and so are those that share one with
    # them.
    pattern = {"group_pattern": "^(.)", "labels": True}
    found = Input(str(twice), **pattern).find()
    assert {source.group for source in found.sources} == {"a"}
    # A film that has two classes keeps both.
    assert by_name(found)["b/copy.mp4"].label == "b"
    assert any("of the classes a and b" in line for line in found.copies)


def test_it_is_said_once_which_are_the_same(cut, twice, tmp_path, capsys):
    assert cut("--seed", 1, "--test", 0.4, path=twice) == 0
    said = capsys.readouterr().out
    assert "2 of the sources are there more than once" in said
    for name in ("a/film", "b/copy", "a/other", "b/link", "c/hard"):
        assert said.count(f"{name}.mp4") == 1, name
    assert "one.mp4" not in said
    info = ClipDataset(tmp_path / "cut" / "1").info
    splits = {}
    for source in info["sources"]:
        splits.setdefault(source["sha256"], set()).add(source["split"])
    assert len(splits) == 4
    assert all(len(found) == 1 for found in splits.values())
    examples = [
        example
        for split in info["splits"]
        for example in ClipDataset(tmp_path / "cut" / "1")
        .examples(split)
        .as_numpy_iterator()
    ]
    groups = {e["media_id"].decode(): e["group"].decode() for e in examples}
    assert groups["c/hard.mp4"] == "a/other.mp4"


def test_nothing_is_said_where_nothing_is_the_same(films):
    found = Input(str(films)).find()
    assert found == sources.folder(str(films))
    assert not found.copies


def test_error_pages_are_no_films(films, tmp_path):
    """What a failed download leaves in every group does not unite them."""
    for group in "ab":
        copy(films, tmp_path, "ab".index(group), f"{group}/film.mp4")
        (tmp_path / group / "lost.mp4").write_text("<h1>404 Not Found</h1>")
        (tmp_path / group / "empty.mp4").touch()
        (tmp_path / group / "nowhere.mp4").symlink_to("nowhere")
        os.mkfifo(tmp_path / group / "pipe.mp4")
        (tmp_path / group / "folder.mp4").mkdir()
    found = Input(str(tmp_path), group_pattern="^(.)").find()
    assert {source.group for source in found.sources} == {"a", "b"}
    assert not found.copies


def test_folders_of_the_same_pictures(tmp_path):
    write_pictures(tmp_path / "a", (1, 2, 3))
    # Names are none of the content, their order is.
    write_pictures(tmp_path / "b", (1, 2, 3), "frame{}.png")
    write_pictures(tmp_path / "c", (3, 2, 1))
    (tmp_path / "d").symlink_to(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "e")
    shutil.copy(tmp_path / "a" / "000.png", tmp_path / "e" / ".000.png")
    # Of its pictures one is the same.
    write_pictures(tmp_path / "f", (1, 8, 9))
    found = Input(str(tmp_path), layout="pictures").find()
    groups = {s.media_id: s.group for s in found.sources}
    # A second link to a folder is not followed.
    assert groups == {"a": "a", "b": "a", "c": "c", "e": "a", "f": "f"}
    (one, *_) = found.sources
    assert one.describe()["bytes"] == sum(
        file.stat().st_size for file in (tmp_path / "a").iterdir()
    )


@pytest.fixture
def ucf(films, tmp_path):
    """UCF-101's layout: each group is another film."""
    folder, lists = tmp_path / "ucf", tmp_path / "lists"
    lists.mkdir()
    listed = {"train": [], "test": []}
    for number in range(6):
        label, split = ("run", "walk")[number % 2], "train"
        if number < 2:
            split = "test"
        name = f"{label}/v_{label}_g{number:02}_c01.avi"
        copy(films, folder, number, name)
        listed[split].append(name)
    (lists / "classInd.txt").write_bytes(
        codecs.BOM_UTF8 + b"1 walk\r\n2 run\r\n"
    )
    for split, videos in listed.items():
        (lists / f"{split}list01.txt").write_text("\n".join(videos))
    return folder, ("--layout", "ucf101", "--lists", lists), listed


def test_official_splits_that_share_a_film(cut, ucf, tmp_path, capsys):
    folder, given, listed = ucf
    (leaked, *others), (tested, *_) = listed["train"], listed["test"]
    shutil.copy(folder / tested, folder / leaked)
    # In training alone they stay, together.
    shutil.copy(folder / others[0], folder / others[1])
    assert cut(*given, "--validation", 0, path=folder) == 0
    said = capsys.readouterr().out
    assert f"{leaked}' is left out of train: it is the same as '" in said
    info = ClipDataset(tmp_path / "cut" / "1").info
    clips = {s["media_id"]: s["clips"] for s in info["sources"]}
    assert [name for name, count in clips.items() if not count] == [leaked]
    groups = {s["media_id"]: s["group"] for s in info["sources"]}
    assert groups[others[0]] == groups[others[1]]
    (line,) = (
        (tmp_path / "cut" / "1" / "failures.jsonl").read_text().splitlines()
    )
    line = json.loads(line)
    assert (line["media_id"], line["failed"]) == (leaked, False)
    assert "which is for test" in line["reason"]
    # With other films there the dataset would be another.
    shutil.copy(folder / others[2], folder / leaked)
    assert cut(*given, "--validation", 0, path=folder) == 2
    assert "other sources" in capsys.readouterr().err


def test_a_bucket_with_copies_and_what_systems_leave(
    films, tmp_path, monkeypatch
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        client = boto3.client("s3")
        client.create_bucket(Bucket="films")
        first, other, *_ = map(str, sorted(films.rglob("*.mp4")))
        for name in ("a:1.mp4", "b [1].mp4", ".Trash/c.mp4", "x/@eaDir/d.mp4"):
            client.upload_file(first, "films", f"in/{name}")
        client.upload_file(other, "films", "in/other.mp4")
        write_pictures(tmp_path / "pictures", (1,))
        for folder in ("a", "b"):
            for file in sorted((tmp_path / "pictures").iterdir()):
                key = f"pictures/{folder}/{file.name}"
                client.upload_file(str(file), "films", key)
        # Beam's file systems want its options first.
        Engine()
        found = Input("s3://films/in").find()
        assert [(s.media_id, s.group) for s in found.sources] == [
            ("a:1.mp4", "a:1.mp4"),
            ("b [1].mp4", "a:1.mp4"),
            ("other.mp4", "other.mp4"),
        ]
        assert found.ignored == (
            "s3://films/in/.Trash", "s3://films/in/x/@eaDir",
        )  # fmt: skip
        found = Input("s3://films/pictures", layout="pictures").find()
        assert {source.group for source in found.sources} == {"a"}
    finally:
        server.stop()


def test_a_film_by_itself_is_not_read(tmp_path, monkeypatch):
    """Only what is as large as another film is."""
    for number in range(3):
        clip = np.zeros((4 + number, 16, 16), np.uint8)
        write_film(tmp_path / f"{number}.mp4", clip)

    def fail(self):
        raise AssertionError("it is read")

    monkeypatch.setattr(sources.Source, "describe", fail)
    assert len(Input(str(tmp_path)).find().sources) == 3
