r"""Imports features or pictures computed elsewhere as a dataset.

    python -m pipelines.import_features --arrays fc6.npy --index index.csv \
        --output data/fc6/1

`--arrays` is an .npy, .npz or .h5 file with one array `[clips, time,
features]`, or an .npz or .h5 file with an array `[time, features]` for each
clip, under its name. Arrays of uint8 `[clips, time, height, width]`, or
`[clips, time, height, width, channels]`, are pictures: they are kept as they
are, like patches. `--index` is a CSV file with a line for each clip, in the
order of the array, and the columns

    clip    its name
    label   its class; optional
    group   name of its group, which must stay in one split; each clip is a
            group without this column
    split   train, validation or test; drawn at random by group without this
            column

Blanks around names are removed. Clips with the same values are in one group.
If the index has no validation clips, they are taken from the training groups.
Beam's options follow `--`.
"""

import collections
import csv
import dataclasses
import functools
import hashlib
import io
import os
import pathlib
import sys
from typing import Annotated
from typing import Literal

import numpy as np

from pipelines.arguments import Output
from pipelines.arguments import main
from pipelines.engine import Engine
from pipelines.flags import FLAT
from pipelines.sources import Source
from pipelines.sources import Sources
from video_repr import arrays as files
from video_repr import text
from video_repr.data.features import FLOW
from video_repr.data.features import IMAGE
from video_repr.data.features import RGB
from video_repr.data.features import Clip
from video_repr.data.features import Features
from video_repr.data.features import check_rows
from video_repr.data.splits import SPLITS
from video_repr.errors import InputError
from video_repr.files import sha256

_COLUMNS = ("clip", "label", "group", "split")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write features or pictures from elsewhere into a dataset directory.

    Attributes:
        arrays: .npy, .npz or .h5 file of the features, or of pictures.
        index: CSV file of the clips.
        output: the dataset to write.
        stream: the input of the features, RGB frames or optical flow.
        workers: processes on this machine.
    """

    arrays: str
    index: str
    output: Annotated[Output, FLAT]
    stream: Literal["rgb", "flow"] = "rgb"
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        engine = Engine(self.workers, tuple(beam_options))
        sources = read_index(self.index, self.arrays)
        frame_shape, sums = check(self.arrays, sources)
        pictures = len(frame_shape) > 1
        if pictures and self.stream == "flow":
            raise InputError(
                "Expected features with --stream flow. Received: pictures of "
                f"{frame_shape} in {self.arrays}"
            )
        from pipelines import copies

        sources = copies.unite(sources, sums)
        key = IMAGE if pictures else {"rgb": RGB, "flow": FLOW}[self.stream]
        features = Features(key, frame_shape, sources.labels)
        from pipelines.job import Job

        Job(
            "pipelines.import_features",
            {
                "stream": self.stream,
                "arrays": self.arrays,
                "arrays_sha256": sha256(self.arrays),
                "index": self.index,
                "index_sha256": sha256(self.index),
            },
            sources,
            features,
            functools.partial(_write, features),
        ).run(self.output, engine)


def _write(features, staging):
    import apache_beam as beam

    from pipelines.transforms.parts import WriteParts

    return beam.ParDo(WriteParts(Rows(), features, staging))


class Rows:
    """Reads the clips of an array."""

    def clips(self, source, decoded):
        """Yields the one `Clip` of a source."""
        values = _open(source.path)(source)
        decoded.frames = len(values)
        yield Clip(
            source.media_id,
            # Pictures stay what they are.
            values if values.ndim > 2 else np.asarray(values, np.float32),
            source.path,
            0,
            source.media_id,
            source.group,
            source.label,
        )


def read_index(index, arrays):
    """The `Sources` of an index.

    Raises:
        InputError: if the index cannot be read or is malformed.
    """
    try:
        table = text.decode(pathlib.Path(index).read_bytes())
        lines = csv.reader(io.StringIO(table, newline=""), strict=True)
        rows = [
            (
                f"line {lines.line_num} of {index}",
                [cell.strip() for cell in row],
            )
            for row in lines
            if "".join(row).strip()
        ]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"Expected a CSV file of clips. Received: {index}: {error}"
        ) from error
    (_, columns), *rows = rows or [("", [])]
    if (
        not rows
        or "clip" not in columns
        or not set(columns) <= set(_COLUMNS)
        or len(columns) != len(set(columns))
    ):
        raise InputError(
            f"Expected the columns {', '.join(_COLUMNS)} in {index}, the "
            f"first at least, and a line for each clip. Received: "
            f"{len(rows)} lines of {', '.join(sorted(columns))}"
        )
    sources = []
    for number, (where, cells) in enumerate(rows):
        if len(cells) != len(columns) or "" in cells:
            raise InputError(
                f"Expected {len(columns)} cells in each line, "
                f"{', '.join(columns)}, none of them empty. Received: "
                f"{where}, {', '.join(map(repr, cells)):.200}"
            )
        row = dict(zip(columns, cells, strict=True))
        if row.get("split", "train") not in SPLITS:
            raise InputError(
                f"Expected one of the splits {', '.join(SPLITS)}. Received: "
                f"{row['split']!r} in {where}"
            )
        sources.append(
            Source(
                arrays,
                row["clip"],
                row.get("group", row["clip"]),
                row.get("label"),
                row.get("split"),
                row=number,
            )
        )
    counts = collections.Counter(source.media_id for source in sources)
    twice = {name for name, count in counts.items() if count > 1}
    if twice:
        raise InputError(
            f"Expected each clip once in {index}. Received: "
            f"{min(twice)!r} more often"
        )
    labels = sorted({s.label for s in sources if s.label is not None})
    return Sources(tuple(sources), tuple(labels))


def check(arrays, sources):
    """Checks that arrays fit their index.

    Returns:
        The shape of a frame, `(features,)`, or `(height, width)` or `(height,
        width, channels)` of pictures; and the SHA-256 of each clip's values by
        its name.

    Raises:
        InputError: naming the first clip that is missing, is of another
            size than the others, or has values that are not finite.
    """
    shapes, sums = {}, {}
    read = _open(arrays)
    if read.clips not in (None, len(sources.sources)):
        raise InputError(
            f"Expected as many clips as the index has, "
            f"{len(sources.sources)}. Received: {read.clips} in {arrays}"
        )
    unlisted = read.names - {source.media_id for source in sources.sources}
    if unlisted:
        raise InputError(
            f"Expected a line of the index for each array of {arrays}. "
            f"Received: {len(unlisted)} without, as {min(unlisted)!r}"
        )
    for source in sources.sources:
        values = read(source)
        pictures = values.ndim in (3, 4) and values.dtype == np.uint8
        features = values.ndim == 2 and values.dtype.kind in "fiu"
        if not values.size or not (pictures or features):
            raise InputError(
                "Expected numbers of shape [time, features] for each clip, or "
                "uint8 pictures of [time, height, width] or [time, height, "
                f"width, channels]. Received: {values.dtype} of shape "
                f"{values.shape} for {source.media_id}"
            )
        if pictures:
            check_rows(*values.shape[:2])
        else:
            with np.errstate(over="ignore"):
                # Numbers beyond the range of float32 become infinite.
                values = values.astype(np.float32)
            if not np.isfinite(values).all():
                raise InputError(
                    "Expected finite features. Received: NaN or infinity in "
                    f"{source.media_id}"
                )
        shapes.setdefault(values.shape[1:], source.media_id)
        sums[source.media_id] = hashlib.sha256(values.tobytes()).hexdigest()
    if len(shapes) > 1:
        (a, first), (b, other) = list(shapes.items())[:2]
        raise InputError(
            f"Expected frames of one shape. Received: {a} in {first}, {b} in "
            f"{other}"
        )
    return next(iter(shapes)), sums


def _open(path):
    try:
        return _opened(path, os.stat(path).st_mtime_ns)
    except OSError as error:
        raise InputError(
            f"Expected a file of features. Received: {path}: {error.strerror}"
        ) from error


@functools.lru_cache(maxsize=1)
def _opened(path, modified):
    return _Arrays(path)


class _Arrays:
    """A file of arrays, opened once a process."""

    def __init__(self, path):
        self._path = path
        self._read, shapes = _reader(path)
        # One array of all clips, or one for each.
        self._all = None
        if len(shapes) == 1:
            ((name, shape),) = shapes.items()
            if name is None or len(shape) > 2:
                self._all = name, shape
        if self._all and not self._all[1]:
            raise InputError(
                "Expected an array [clips, time, features], or uint8 "
                "pictures [clips, time, height, width]. Received: a single "
                f"number in {path}"
            )
        self.clips = self._all[1][0] if self._all else None
        self.names = set() if self._all else {*shapes}

    def __call__(self, source):
        """The features of a clip, `[time, features]`, or its pictures."""
        if self._all:
            return self._read(self._all[0], source.row)
        if source.media_id not in self.names:
            raise InputError(
                f"Expected an array for each clip. Received: {self._path} "
                f"without {source.media_id!r}"
            )
        return self._read(source.media_id)


def _reader(path):
    """A function that reads a row of a name's array, and the arrays' shapes."""
    suffix = pathlib.Path(path).suffix.lower()
    expected = f"a whole {suffix} file of features"
    if suffix in (".h5", ".hdf5"):
        file = files.Hdf5(path, expected)
        return file.read, file.shapes
    if suffix == ".npy":
        # The array has no name.
        arrays = {None: files.read_npy(path, expected, mapped=True)}
    elif suffix == ".npz":
        arrays = files.read_npz(path, expected)
    else:
        raise InputError(
            f"Expected an .npy, .npz or .h5 file of features. Received: {path}"
        )
    return (
        lambda name, row=(): np.asarray(arrays[name][row]),
        {name: array.shape for name, array in arrays.items()},
    )


if __name__ == "__main__":
    # Imported again, as workers do not know the names of `__main__`.
    from pipelines.import_features import Arguments

    sys.exit(main(Arguments, "pipelines.import_features"))
