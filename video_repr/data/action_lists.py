"""The official lists of UCF-101 and HMDB-51: labels, groups, splits.

    UCF-101   classInd.txt, trainlist01.txt ... testlist03.txt
    HMDB-51   CLASS_test_split1.txt ... CLASS_test_split3.txt

The videos of a UCF-101 group are cut from one film. HMDB-51 has no groups. Here
a group has the videos that are cut from one film, by their names. If the
official split itself has clips of a film on both sides, a group has only those
of one class of that film.
"""

import dataclasses
import itertools
import os
import pathlib
import re

from video_repr import text
from video_repr.errors import InputError

_UCF_NAME = re.compile(r"v_(?P<label>\w+?)_(?P<group>g\d+)_c\d+$")
# FILM_CLASS_ and then body part, camera, people, viewpoint, quality, number.
_HMDB_NAME = re.compile(r"(?P<film>.+)(_[a-z0-9]+){5}_\d+\.avi$")
# One class is spelled in two ways, in folders, file names and lists.
_UCF_SPELLINGS = ("HandstandPushups", "HandStandPushups")


@dataclasses.dataclass(frozen=True)
class ListedVideo:
    """A line of an official list.

    Attributes:
        path: relative to the dataset's folder, `label/name.avi`.
        label: the class.
        group: name of its group, which must stay in one split.
        split: "train" or "test".
    """

    path: str
    label: str
    group: str
    split: str


def ucf101(lists, split):
    """UCF-101's videos of one official split.

    Args:
        lists: folder of the official lists.
        split: 1, 2 or 3.

    Returns:
        `(labels, videos)`: the names of the classes in official order, and
        `ListedVideo`s in the order of the lists.

    Raises:
        InputError: if a list is missing or malformed, a class unknown, or a
            group in both train and test.
    """
    lists = pathlib.Path(lists)
    labels = []
    for line in _lines(lists / "classInd.txt"):
        number, _, label = line.partition(" ")
        if number != str(len(labels) + 1) or not label:
            raise InputError(
                f"Expected the line '{len(labels) + 1} CLASS' in "
                f"{lists / 'classInd.txt'}. Received: {line!r}"
            )
        labels.append(label)
    videos = []
    for name in ("train", "test"):
        file = lists / f"{name}list{split:02}.txt"
        for line in _lines(file):
            path = line.split(" ")[0]
            label, _, video = path.partition("/")
            match = _UCF_NAME.match(video.removesuffix(".avi"))
            if label not in labels or not match:
                raise InputError(
                    "Expected CLASS/v_CLASS_gNN_cNN.avi with a class of "
                    f"classInd.txt in {file}. Received: {line!r}"
                )
            group = f"{label}_{match['group']}"
            videos.append(ListedVideo(path, label, group, name))
    check_groups(videos)
    return tuple(labels), videos


def hmdb51(lists, split):
    """HMDB-51's videos of one official split.

    Args:
        lists: folder of the official lists.
        split: 1, 2 or 3.

    Returns:
        As `ucf101`; the classes in alphabetic order. Videos that a split
        does not use are left out.

    Raises:
        InputError: if the lists are missing or malformed.
    """
    lists = pathlib.Path(lists)
    end = f"_test_split{split}.txt"
    files = sorted(lists.glob(f"*{end}"))
    if not files:
        raise InputError(
            f"Expected lists named CLASS{end} in {lists}. Received: none"
        )
    labels, videos, sides = [], [], {}
    for file in files:
        label = file.name.removesuffix(end)
        labels.append(label)
        for line in _lines(file):
            name, _, number = line.rpartition(" ")
            if number not in ("0", "1", "2") or not name.endswith(".avi"):
                raise InputError(
                    f"Expected lines 'NAME.avi 0', 1 or 2 in {file}. "
                    f"Received: {line!r}"
                )
            if number == "0":
                continue
            match = _HMDB_NAME.match(name)
            film = match["film"] if match else name.removesuffix(".avi")
            film = film.removesuffix(f"_{label}")
            split_name = {"1": "train", "2": "test"}[number]
            sides.setdefault(film, set()).add(split_name)
            videos.append(
                ListedVideo(f"{label}/{name}", label, film, split_name)
            )
    videos = [
        dataclasses.replace(video, group=f"{video.label}_{video.group}")
        if len(sides[video.group]) > 1
        else video
        for video in videos
    ]
    check_groups(videos)
    return tuple(labels), videos


def find_video(folder, path, exists=os.path.exists):
    """The file of a listed video, None if there is none.

    UCF-101's folder and its lists spell one class differently.
    """
    parts = [
        {
            part,
            *(
                re.sub("handstandpushups", to, part, flags=re.I)
                for to in _UCF_SPELLINGS
            ),
        }
        for part in path.split("/")
    ]
    for spelling in [path, *sorted(map("/".join, itertools.product(*parts)))]:
        # Not a pathlib.Path: the folder may be gs://.
        file = f"{str(folder).rstrip('/')}/{spelling}"
        if exists(file):
            return file
    return None


def check_groups(videos):
    """Refuses splits that divide a group.

    Raises:
        InputError: naming a group that is in more than one split.
    """
    splits = {}
    for video in videos:
        first = splits.setdefault(video.group, video.split)
        if first != video.split:
            raise InputError(
                f"Expected each group in one split. Received: {video.group} "
                f"in {first} and in {video.split}"
            )


def _lines(file):
    try:
        lines = text.lines(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected the official list {file}. Received: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from error
    return [line.strip() for line in lines if line.strip()]
