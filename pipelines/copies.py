"""Finds copies and links of films, by their content.

Copies are put in one group, so that no film is in two splits. If official lists
put a film in several splits, test keeps it before validation before train, and
it is left out of the others.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import os

from pipelines.pictures import list_pictures
from pipelines.sources import URL
from pipelines.sources import Sources
from pipelines.sources import attempt
from pipelines.sources import described
from pipelines.storage import file_systems
from pipelines.transforms.frame_sampling import FrameSampling
from video_repr.data.film import Decoded

# In order of importance: a leak from the test split is the worst.
_SPLITS = ("test", "validation", "train")
# Files read at once: reading from a bucket is mostly waiting.
_AT_ONCE = 16


def contents(sources):
    """The checksums of sources that have copies.

    It reads only sources of equal size.

    Args:
        sources: a list of `Source`s.

    Returns:
        SHA-256 by media id, of sources whose content occurs more than once,
        without those that cannot be read or have no frame.
    """
    listed = _listed(sources)
    of_size = collections.defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        sizes = pool.map(functools.partial(_sizes, listed), sources)
        for source, size in zip(sources, sizes, strict=True):
            if any(size):
                of_size[size].append(source)
        alike = [
            source
            for found in of_size.values()
            if len(found) > 1
            for source in found
        ]
        sums = [about.get("sha256") for about, _ in pool.map(described, alike)]
    of_sum = collections.defaultdict(list)
    for source, digest in zip(alike, sums, strict=True):
        if digest:
            of_sum[digest].append(source)
    return {
        source.media_id: digest
        for digest, found in of_sum.items()
        # The same error page, saved under many names, is not a film.
        if len(found) > 1 and _has_a_frame(found[0])
        for source in found
    }


def _listed(sources):
    """Sizes by path of files in buckets; lists each folder once."""
    folders = {
        s.path if s.pictures else os.path.dirname(s.path)
        for s in sources
        if URL.match(s.path)
    }
    sizes = {}
    for folder in folders:
        # Beam would open a new client of the bucket for each file.
        with contextlib.suppress(Exception):
            (found,) = file_systems().match([file_systems().join(folder, "*")])
            sizes |= {f.path: f.size_in_bytes for f in found.metadata_list}
    return sizes


def _sizes(listed, source):
    """Sizes of a film's file or of its pictures; () if they are unreadable."""
    try:
        paths = [source.path]
        if source.pictures:
            paths = list_pictures(source.path)
        return tuple(listed.get(path) or _size(path) for path in paths)
    except Exception:
        # Each of Beam's file systems has its own errors; the job reports them.
        return ()


def _size(path):
    if os.path.exists(path):
        return os.path.getsize(path)
    # Not listed, as Beam takes the name of its folder for a pattern.
    return file_systems().get_filesystem(path).size(path)


def _has_a_frame(source):
    frame, _ = attempt(iter(FrameSampling().read(source, Decoded())))
    return frame is not None


def unite(sources, sums):
    """Sources with all copies in one group.

    A merged group has the first of its groups' names. If official splits share
    a film, "test" keeps it before "validation" before "train", and it is left
    out of the others. Labels do not change.

    Args:
        sources: `Sources`.
        sums: checksum of the content by media id, for some sources.

    Returns:
        `Sources`; the given ones if there are no copies.
    """
    of_sum = collections.defaultdict(list)
    for source in sources.sources:
        if source.media_id in sums:
            of_sum[sums[source.media_id]].append(source)
    copies = [found for found in of_sum.values() if len(found) > 1]
    if not copies:
        return sources
    groups, left_out, lines = {}, {}, []
    for found in copies:
        official = [split for split in _SPLITS if split in _splits(found)]
        kept = [s for s in found if s.split == next(iter(official), None)]
        for source in found:
            if source not in kept:
                left_out[source.media_id] = (
                    f"left out of {source.split}: it is the same as "
                    f"{_name(kept[0])}, which is for {kept[0].split}"
                )
        first = min(_first(groups, source.group) for source in kept)
        for source in kept:
            groups[_first(groups, source.group)] = first
        lines.append(_sentence(found, left_out))
    return dataclasses.replace(
        sources,
        sources=tuple(
            dataclasses.replace(
                source,
                group=_first(groups, source.group),
                left_out=left_out.get(source.media_id),
            )
            for source in sources.sources
        ),
        copies=tuple(lines),
    )


def _first(groups, group):
    """The name of the merged group that a group is in."""
    while groups.get(group, group) != group:
        group = groups[group]
    return group


def _splits(sources):
    return {source.split for source in sources}


def _name(source):
    return repr(source.path if source.row is None else source.media_id)


def _sentence(sources, left_out):
    sentence = " and ".join(map(_name, sources)) + " are the same"
    labels = sorted({s.label for s in sources if s.label is not None})
    if len(labels) > 1:
        sentence += f", of the classes {' and '.join(labels)}"
    sentence += "".join(
        f"; {_name(source)} is {left_out[source.media_id]}"
        for source in sources
        if source.media_id in left_out
    )
    return sentence


def summary(sources: Sources):
    """The copies, one line each."""
    return "\n".join(
        [
            f"{len(sources.copies):,} of the sources are there more than "
            "once; what is the same is in one group:",
            *(f"  {line}" for line in sources.copies),
        ]
    )
