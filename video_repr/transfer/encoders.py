"""Loads encoders from runs, exports and files."""

import hashlib
import pathlib

import numpy as np

from video_repr import presets
from video_repr.errors import InputError
from video_repr.export import layout
from video_repr.files import read_json
from video_repr.files import restore
from video_repr.models import Encoder
from video_repr.models.stacked_encoder import StackedEncoder
from video_repr.runs import Run


def load_encoder(path):
    """A pretrained encoder.

    Args:
        path: a run directory, an export, or an encoder's .keras file.

    Returns:
        An `Encoder` or a `ConvEncoder`.

    Raises:
        InputError: if there is none, or it is broken.
    """
    path = pathlib.Path(path)
    restore(path, layout.EXPORT)
    if not path.exists():
        raise InputError(
            "Expected a run, an export or an encoder's .keras file. Received: "
            f"{str(path)!r}, which does not exist"
        )
    if layout.is_export(path):
        return Encoder.from_preset(path)
    if path.is_dir():
        return Run(path).model().encoder
    return presets.load(path, StackedEncoder)


def weights_sum(encoder):
    """Hexadecimal SHA-256 of an encoder's weights."""
    digest = hashlib.sha256()
    for weights in encoder.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()


def check_fits(encoder, videos):
    """Checks that an encoder reads the frames of videos.

    Raises:
        InputError: if they do not.
    """
    encoder.frame.check(videos.frame_shape, "as the encoder reads them")


def check_unseen(path, videos, split):
    """Checks that an encoder was not pretrained on held-out videos.

    It compares the content of videos. If that is not known of both, as for runs
    made before 0.2, it compares names, without suffixes and with or without the
    folders. If the pretraining videos are unknown, it prints a warning.

    Args:
        path: as for `load_encoder`.
        videos: held-out `Videos`.
        split: their split, "validation" or "test".

    Raises:
        InputError: naming one of the videos, if there are any.
    """
    path = pathlib.Path(path)
    directory = path if path.is_dir() else path.parent
    file = directory / "videos.json"
    if not file.exists():
        print(
            f"{path} does not say which videos it was pretrained on, so it was "
            "not checked for held-out videos.",
            flush=True,
        )
        return
    learned_from = read_json(file, dict)
    # Validation videos have chosen the checkpoint, so for the test they count
    # as seen.
    seen = [
        (name, of[name] if isinstance(of, dict) else None)
        for name_of_split, of in learned_from.items()
        if name_of_split != split
        for name in of
    ]
    contents = {content for _, content in seen if content}
    by_name = {}
    for name, content in seen:
        parts = _parts(name)
        for i in range(len(parts)):
            by_name.setdefault(parts[i:], []).append((parts, content))
    common, namesakes = [], []
    for name in videos.ids:
        content = videos.contents.get(name)
        if content in contents:
            common.append(name)
            continue
        others = _named_like(_parts(name), by_name)
        if not all(_are_other(content, other) for other in others):
            common.append(name)
        elif others:
            namesakes.append(name)
    if common:
        raise InputError(
            "Expected an encoder that has not seen the videos that are held "
            f"out. Received: {path}, pretrained on {len(common)} of the "
            f"{len(videos)} for {split}, as {min(common)!r}"
        )
    print(
        f"{path} was pretrained on {len(seen):,} videos, none of them one for "
        f"{split}"
        + (
            f"; {len(namesakes):,} are of other content under the same name, "
            f"as {min(namesakes)!r}."
            if namesakes
            else "."
        ),
        flush=True,
    )


def _named_like(parts, by_name):
    """The contents of seen videos whose name is the end of one, or reverse."""
    found = [content for _, content in by_name.get(parts, ())]
    for i in range(1, len(parts)):
        found += [
            content
            for whole, content in by_name.get(parts[i:], ())
            if whole == parts[i:]
        ]
    return found


def _are_other(content, other):
    """Whether two contents differ, by checksums of the same kind."""
    if content is None or other is None:
        return False
    return content != other and content.split()[0] == other.split()[0]


def _parts(name):
    return pathlib.PurePosixPath(name).with_suffix("").parts
