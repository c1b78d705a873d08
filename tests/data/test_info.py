"""What a dataset directory of others says, and where it leads."""

import json
import os

import pytest
from test_dataset import films  # noqa: F401

from video_repr.data import ClipDataset
from video_repr.errors import InputError
from video_repr.export import layout
from video_repr.files import sha256
from video_repr.files import within


def change(path, name, **changes):
    """Writes values into a JSON file at keys such as shards__0__name."""
    found = json.loads((path / name).read_text())
    for keys, value in changes.items():
        *outer, last = [int(k) if k.isdigit() else k for k in keys.split("__")]
        inside = found
        for key in outer:
            inside = inside[key]
        if value is ...:
            del inside[last]
        else:
            inside[last] = value
    (path / name).write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shards": ...}, "Expected 'shards' in its content of a whole info"),
        ({"splits": ...}, "Expected 'splits' in its content of a whole info"),
        ({"splits": []}, "an object as splits of a whole info.json .*: \\[\\]"),
        ({"shards__0": "x"}, r"an object as shards\[0\] of .*Received: 'x'"),
        ({"shards__1__sha256": ...}, r"'sha256' in shards\[1\] of"),
        ({"shards__1__bytes": "9"}, "a number from 0 on as bytes .*: '9'"),
        ({"shards__1__bytes": True}, "a number from 0 on as bytes .*: True"),
        ({"splits__train__clips": -1}, "a number from 0 on as clips .*: -1"),
        ({"splits__train__frames__max": ...}, "'max' in frames of"),
        ({"splits__train__frames__max": 0}, "at least one frame in the split"),
        ({"splits__train__mean": [float("nan")]}, "a finite number as mean"),
        ({"shards": []}, "a shard of each split .* none of 'train'"),
        ({"sources": [{"clips": 1}]}, "'media_id' in sources.0. of"),
    ],
)
def test_an_info_that_is_not_whole(films, changes, message):  # noqa: F811
    path, _ = films
    change(path, "info.json", **changes)
    with pytest.raises(InputError, match=message):
        ClipDataset(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_shape": [4, 6, 0]}, r"\[height, width, channels\] in feat"),
        ({"frame_shape": [4]}, r"\[height, width, channels\] in feat"),
        ({"frame_shape": 4}, "a list as frame_shape of a whole features"),
        ({"labels": ["a", 1]}, r"a string as labels\[1\] of"),
    ],
)
def test_features_that_are_not_whole(films, changes, message):  # noqa: F811
    path, _ = films
    change(path, "features.json", **changes)
    with pytest.raises(InputError, match=message):
        _ = ClipDataset(path).features


@pytest.mark.parametrize(
    "lead", ["../{}", "{folder}/{}", "./{}", "a/../{}", "linked", "a\\{}", ""]
)
def test_shards_that_lie_elsewhere(films, tmp_path, lead):  # noqa: F811
    path, _ = films
    name = "d-train-00001-of-00002.tfrecord"
    elsewhere = tmp_path / name
    (path / name).rename(elsewhere)
    (path / "linked").symlink_to(elsewhere)
    shard = lead.format(name, folder=tmp_path)
    change(path, "info.json", shards__1__name=shard)
    with pytest.raises(InputError, match=r"names of files|which leads"):
        ClipDataset(path)


def test_a_dataset_behind_a_link(films, tmp_path):  # noqa: F811
    """Neither a link to it nor one within it leads out of it."""
    path, _ = films
    name = "d-train-00001-of-00002.tfrecord"
    (path / name).rename(path / "other")
    (path / name).symlink_to("other")
    (tmp_path / "link").symlink_to(path)
    assert len(list(ClipDataset(tmp_path / "link").clips("train"))) == 7


def test_names_within_a_directory(tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "out").symlink_to(tmp_path)
    for name in ("a", "a/b", "a/b..c", "..a", "a:b", "a/ b\u2028"):
        assert within(tmp_path / "in", name) == tmp_path / "in" / name
    for name in (
        *("", ".", "..", "../x", "a/../../x", "a/../b", "/etc/passwd"),
        *("out/x", "a\\..\\x", "\0", "\ud800", "x" * 5000 + "/../../.."),
    ):
        with pytest.raises(InputError, match="which leads elsewhere"):
            within(tmp_path / "in", name)


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "export"
    (path / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "encoder.keras", "variables/a\u2028b"):
        (path / name).write_text(name)
    layout.write_config(path, {})
    layout.seal(path)
    return path


def test_sums_of_an_export(export):
    assert layout.check(export)["format_version"] == 1
    # As a program of Windows wrote them.
    sums = export / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"\n", b"\r\n"))
    assert layout.check(export)["format_version"] == 1


@pytest.mark.parametrize("lead", ["../secret", "{folder}/secret", "out"])
def test_sums_of_what_lies_elsewhere(export, tmp_path, lead):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (export / "out").symlink_to(secret)
    name = lead.format(folder=tmp_path)
    with open(export / "SHA256SUMS", "a") as file:
        file.write(f"{sha256(secret)}  {name}\n")
        if name != "out":
            os.unlink(export / "out")
    with pytest.raises(InputError, match="which leads elsewhere"):
        layout.check(export)
