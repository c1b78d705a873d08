"""Finds films: in folders, lists, UCF-101, HMDB-51, folders of pictures."""

import dataclasses
import hashlib
import json
import os
import re

from pipelines.hidden import hidden
from pipelines.pictures import PICTURES
from pipelines.pictures import list_pictures
from pipelines.storage import file_systems
from video_repr import text
from video_repr.data import action_lists
from video_repr.errors import InputError

FILMS = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip
# Not any colon: there are files named like "film:1.mp4" and "12:30.mp4".
URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


@dataclasses.dataclass(frozen=True)
class Source:
    """A film or a folder of pictures.

    Attributes:
        path: its path, in any of Beam's file systems.
        media_id: its name, the same on every machine.
        group: name of its group, which must stay in one split.
        label: the class; None where there are none.
        split: "train", "validation" or "test" by an official list, or None.
        pictures: whether it is a folder of pictures.
        row: number of its first clip, if `path` has clips of many sources.
        rows: number of its clips, from `row` on.
        left_out: reason why it is left out; None if it is used.
    """

    path: str
    media_id: str
    group: str
    label: str | None = None
    split: str | None = None
    pictures: bool = False
    row: int | None = None
    rows: int = 1
    left_out: str | None = None

    def to_line(self):
        """A line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_line(cls, line):
        """The source of a line."""
        return cls(**json.loads(line))

    def describe(self):
        """Size and SHA-256 of the file, for info.json.

        For a folder of pictures, the SHA-256 is that of the checksums of the
        pictures, in order.

        Raises:
            OSError: if it cannot be read.
        """
        if self.row is not None:
            return {}
        if not self.pictures:
            size, digest = _sum(self.path)
            return {"bytes": size, "sha256": digest}
        sums = [_sum(path) for path in list_pictures(self.path)]
        digests = "".join(f"{digest}\n" for _, digest in sums)
        return {
            "bytes": sum(size for size, _ in sums),
            "sha256": hashlib.sha256(digests.encode()).hexdigest(),
        }


def _sum(path):
    if os.path.exists(path) and not os.path.isfile(path):
        # Reading a pipe would wait for ever.
        raise OSError("it is no file")
    digest, size = hashlib.sha256(), 0
    with file_systems().open(path, compression_type="uncompressed") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def described(source):
    """Description of a source's file, and why it is unreadable or None."""
    try:
        return source.describe(), None
    except Exception as error:
        # Each of Beam's file systems has its own errors.
        return {}, str(error) or type(error).__name__


def attempt(iterator):
    """The next item or None, and why reading failed or None.

    One broken film must not stop a job with a million films.
    """
    try:
        return next(iterator, None), None
    except Exception as error:
        return None, str(error) or type(error).__name__


@dataclasses.dataclass(frozen=True)
class Sources:
    """The sources of a job.

    Attributes:
        sources: in the order of their names.
        labels: names of the classes in the order of their indices.
        ignored: paths in a folder that are not films by their names.
        copies: sentences on sources with the same content.
    """

    sources: tuple[Source, ...]
    labels: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.sources:
            raise InputError(
                "Expected at least one source. Received: none"
                + (
                    f", and {len(self.ignored)} files that are no films by "
                    f"their names, as {self.ignored[0]}"
                    if self.ignored
                    else ""
                )
            )
        seen = {}
        for source in self.sources:
            first = seen.setdefault(source.media_id, source)
            if first is not source:
                raise InputError(
                    "Expected each source under a name of its own. Received: "
                    f"{source.media_id!r} for {first.path} and for "
                    f"{source.path}"
                )


def folder(path, *, labels=False, group_pattern=None, pictures=False):
    """The films below a folder.

    Args:
        path: the folder, in any of Beam's file systems.
        labels: whether the name of the folder that a film lies in is its
            class.
        group_pattern: regular expression whose first group finds the name of a
            film's group in its path below the folder; each film is a group when
            None.
        pictures: whether to look for folders of pictures instead of films.

    Returns:
        `Sources`.

    Raises:
        InputError: if there are no films, or a film has no label or group.
    """
    try:
        pattern = re.compile(group_pattern or "")
    except re.error as error:
        raise InputError(
            "Expected a regular expression for --group-pattern. Received: "
            f"{group_pattern!r}: {error}"
        ) from error
    files, left = _files_below(path)
    is_wanted = _is_picture if pictures else _is_film
    wanted = sorted(file for file in files if is_wanted(file))
    ignored = sorted({*files, *left} - set(wanted))
    if pictures:
        wanted = sorted({os.path.dirname(file) for file in wanted})
    # A directory named like a film is not a film; it is listed as ignored.
    sources = []
    for file in wanted:
        name = _printable(os.path.relpath(file, path).replace(os.sep, "/"))
        parts = name.split("/")
        if labels and len(parts) < 2:
            raise InputError(
                "Expected each film in a folder named as its class. "
                f"Received: {file} in none"
            )
        group = name
        if group_pattern:
            match = pattern.search(name)
            if not match or not match.groups() or match[1] is None:
                raise InputError(
                    f"Expected a name that {group_pattern!r} finds a group "
                    f"in. Received: {name!r}"
                )
            group = match[1]
        sources.append(
            Source(
                file,
                name,
                group,
                label=parts[-2] if labels else None,
                pictures=pictures,
            )
        )
    names = tuple(sorted({s.label for s in sources})) if labels else ()
    return Sources(tuple(sources), names, tuple(ignored))


def listed(file):
    """The films of a list: a path in each line, in UTF-8 or UTF-16.

    Relative paths are relative to the list. Blanks around a path are removed,
    unless there is a file with such a name.

    Raises:
        InputError: if the list cannot be read or is empty.
    """
    try:
        with file_systems().open(
            file, compression_type="uncompressed"
        ) as opened:
            # File names can contain any bytes.
            lines = text.lines(opened.read(), errors="surrogateescape")
    except Exception as error:
        # Each of Beam's file systems has its own errors.
        raise InputError(
            f"Expected a list, a path in each line. Received: {file}: {error}"
        ) from error
    base = os.path.dirname(file)
    paths = [_listed_path(base, line) for line in lines if line.strip(" \t")]
    sources = {}
    for path in sorted(paths):
        file = path if URL.match(path) else os.path.join(base, path)
        name = _printable(path)
        # One film under two names would be in two groups.
        real = file if URL.match(file) else os.path.realpath(file)
        sources.setdefault(real, Source(file, name, name))
    return Sources(tuple(sources.values()))


def _listed_path(base, line):
    bare = line.strip(" \t")
    if URL.match(bare):
        return bare
    if bare != line and file_systems().exists(os.path.join(base, line)):
        bare = line
    return os.path.normpath(bare)


def official(path, lists, split, of):
    """UCF-101 or HMDB-51 in its official layout.

    Args:
        path: folder with a folder of films for each class.
        lists: folder of the official lists.
        split: 1, 2 or 3.
        of: `action_lists.ucf101` or `action_lists.hmdb51`.

    Returns:
        `Sources`, including missing films, which will fail.

    Raises:
        InputError: if the lists cannot be used.
    """
    labels, videos = of(lists, split)
    sources = []
    for video in videos:
        file = action_lists.find_video(path, video.path, file_systems().exists)
        sources.append(
            Source(
                file or file_systems().join(path, video.path),
                video.path,
                video.group,
                video.label,
                video.split,
            )
        )
    sources.sort(key=lambda source: source.media_id)
    return Sources(tuple(sources), labels)


def _files_below(path):
    """Paths of the files below a folder, and of hidden ones there."""
    if os.path.isdir(path):
        return _local_files_below(path)
    if os.path.exists(path):
        raise InputError(
            "Expected a folder, or --layout list for a list of films. "
            f"Received: {path}, a file"
        )
    if not URL.match(path):
        raise InputError(
            f"Expected a folder. Received: {path}, which does not exist"
        )
    try:
        (matched,) = file_systems().match([file_systems().join(path, "**")])
    except Exception as error:
        # Each of Beam's file systems has its own errors.
        raise InputError(
            f"Expected a folder that can be read. Received: {path}: {error}"
        ) from error
    files, left = [], set()
    for found in matched.metadata_list:
        part = hidden(os.path.relpath(found.path, path))
        if part is None:
            files.append(found.path)
        else:
            left.add(file_systems().join(path, part))
    return files, sorted(left)


def _local_files_below(path):
    files, left, seen = [], [], set()
    for parent, folders, names in os.walk(
        path, onerror=_unreadable, followlinks=True
    ):
        # Sorted, so that every machine follows the same of two links.
        folders.sort()
        real = os.path.realpath(parent)
        if real in seen:
            # Following a link to a parent would never end.
            folders.clear()
            continue
        seen.add(real)
        left += [
            os.path.join(parent, name)
            for name in (*names, *folders)
            if hidden(name)
        ]
        folders[:] = [name for name in folders if not hidden(name)]
        files += [
            os.path.join(parent, name)
            # Otherwise directories named like films would be missing silently.
            for name in (*names, *(f for f in folders if _is_film(f)))
            if not hidden(name)
        ]
    return files, left


def _unreadable(error):
    raise InputError(
        "Expected folders that can be read. Received: "
        f"{error.filename}: {error.strerror}"
    )


def _printable(name):
    """A name as valid UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def _is_film(path):
    return path.lower().endswith(FILMS)


def _is_picture(path):
    return path.lower().endswith(PICTURES)
