"""Reads and checks info.json and features.json of a dataset directory."""

import math
import pathlib

from video_repr.data.features import IMAGE
from video_repr.data.features import Features
from video_repr.errors import InputError
from video_repr.files import load_json
from video_repr.files import within

_COUNT = "a number from 0 on"
_COUNT_OR_NONE = "a number from 0 on or null"
_NUMBER = "a finite number"
_NAME = "a string"
# For an object: the kind of each key. A key that ends with ? may be missing; an
# object with any keys has the key `...`.
_SHARD = {"name": _NAME, "split": _NAME, "bytes": _COUNT, "sha256": _NAME}
_LENGTHS = {"min": _COUNT, "max": _COUNT}
_SPLIT = {
    "clips": _COUNT,
    "frames": _LENGTHS,
    "videos?": _COUNT,
    "mean?": [_NUMBER],
    "std?": [_NUMBER],
}
_SOURCE = {
    "media_id": _NAME,
    "split": _NAME,
    "clips": _COUNT,
    # A source without clips has none of these.
    "clip_frames": {"min": _COUNT_OR_NONE, "max": _COUNT_OR_NONE},
}
_INFO = {
    "name?": _NAME,
    "shards": [_SHARD],
    "splits": {...: _SPLIT},
    "sources?": [_SOURCE],
}
_FEATURES = {"key": _NAME, "frame_shape": [_COUNT], "labels": [_NAME]}


def read_info(directory):
    """The content of info.json.

    Args:
        directory: of the dataset.

    Returns:
        A dict whose shards, splits and sources have the form that the pipelines
        write, and whose shards lie in the directory.

    Raises:
        InputError: naming the first error.
    """
    info = _read(directory, "info.json", _INFO)
    where = f"info.json of {str(directory)!r}"
    for name, split in info["splits"].items():
        frames = split["frames"]
        if not split["clips"] or not 0 < frames["min"] <= frames["max"]:
            raise InputError(
                f"Expected clips of at least one frame in the split {name!r} "
                f"of {where}. Received: {split['clips']} of {frames['min']} "
                f"to {frames['max']}"
            )
        if name not in {shard["split"] for shard in info["shards"]}:
            raise InputError(
                f"Expected a shard of each split in {where}. Received: none "
                f"of {name!r}"
            )
    for shard in info["shards"]:
        if "/" in shard["name"]:
            raise InputError(
                f"Expected names of files in {where}. Received: the shard "
                f"{shard['name']!r:.200}"
            )
        within(directory, shard["name"])
    return info


def read_features(directory):
    """The fields of the records, from features.json.

    Args:
        directory: of the dataset.

    Returns:
        `Features`.

    Raises:
        InputError: if it is missing or malformed.
    """
    features = Features.from_dict(_read(directory, "features.json", _FEATURES))
    sizes = features.frame_shape
    if 0 in sizes or len(sizes) not in ((2, 3) if features.is_image else (1,)):
        expected = (
            "[height, width] or [height, width, channels]"
            if features.key == IMAGE
            else "[features]"
        )
        raise InputError(
            f"Expected a frame_shape of {expected} in features.json of "
            f"{str(directory)!r}. Received: {list(sizes)!r:.200}"
        )
    return features


def _read(directory, name, kind):
    try:
        found = load_json(pathlib.Path(directory) / name)
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected a dataset with a readable {name}. Received: "
            f"{str(directory)!r}: {error}"
        ) from error
    _check(found, kind, "its content", f"{name} of {str(directory)!r}")
    return found


def _check(found, kind, place, where):
    if isinstance(kind, dict):
        fits, expected = isinstance(found, dict), "an object"
    elif isinstance(kind, list):
        fits, expected = isinstance(found, list), "a list"
    else:
        fits, expected = _is_of(found, kind), kind
    if not fits:
        raise InputError(
            f"Expected {expected} as {place} of a whole {where}. Received: "
            f"{found!r:.60}"
        )
    if isinstance(kind, list):
        for number, item in enumerate(found):
            _check(item, kind[0], f"{place}[{number}]", where)
    elif isinstance(kind, dict):
        for key, of in kind.items():
            if key is ...:
                for name, item in found.items():
                    _check(item, of, f"{place}[{name!r:.60}]", where)
                continue
            name = key.removesuffix("?")
            if name in found:
                _check(found[name], of, name, where)
            elif name == key:
                raise InputError(
                    f"Expected {name!r} in {place} of a whole {where}. "
                    f"Received: {', '.join(found) or 'nothing':.200}"
                )


def _is_of(found, kind):
    if kind == _NAME:
        return isinstance(found, str)
    if found is None or isinstance(found, bool):
        return found is None and kind == _COUNT_OR_NONE
    if kind in (_COUNT, _COUNT_OR_NONE):
        # The range of int64, in TensorFlow and NumPy.
        return isinstance(found, int) and 0 <= found < 2**63
    return isinstance(found, (int, float)) and math.isfinite(found)
