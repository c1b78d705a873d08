"""Films that are there more than once: copies and links, known by content.

What is the same is of one group, so that no film is in two splits. Where
official lists put the same into several splits, it stays in the one that
measures, and is left out of the other.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import os

from pipelines.sources import URL
from pipelines.sources import Sources
from pipelines.sources import described
from pipelines.storage import file_systems
from pipelines.transforms.decode import attempt
from pipelines.transforms.decode import list_pictures
from pipelines.transforms.frames import Frames
from video_repr.data.film import Decoded

# What is measured on first, for a leak from it is the worse.
_SPLITS = ("test", "validation", "train")
# Of a bucket most of the time is spent waiting.
_AT_ONCE = 16


def contents(sources):
    """The contents that several sources have.

    Only what is as large as another is read.

    Args:
        sources: a list of `Source`s.

    Returns:
        SHA-256 by media id of those that are there more than once. What
        cannot be read or has no frame is not among them.
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
        # An error page saved under many names is no film.
        if len(found) > 1 and _has_a_frame(found[0])
        for source in found
    }


def _listed(sources):
    """Sizes by path of what lies elsewhere, for each folder is listed once."""
    folders = {
        s.path if s.pictures else os.path.dirname(s.path)
        for s in sources
        if URL.match(s.path)
    }
    sizes = {}
    for folder in folders:
        # To ask for each file takes Beam a new client of the bucket.
        with contextlib.suppress(Exception):
            (found,) = file_systems().match([file_systems().join(folder, "*")])
            sizes |= {f.path: f.size_in_bytes for f in found.metadata_list}
    return sizes


def _sizes(listed, source):
    """Bytes of a film's file, or of each picture; none if it cannot be read."""
    try:
        paths = [source.path]
        if source.pictures:
            paths = list_pictures(source.path)
        return tuple(listed.get(path) or _size(path) for path in paths)
    except Exception:
        # Beam's file systems have errors of their own; the job tells them.
        return ()


def _size(path):
    if os.path.exists(path):
        return os.path.getsize(path)
    # Its folder has a name that Beam takes for a pattern.
    return file_systems().get_filesystem(path).size(path)


def _has_a_frame(source):
    frame, _ = attempt(iter(Frames().read(source, Decoded())))
    return frame is not None


def unite(sources, sums):
    """Sources of which each content is in one group.

    A united group has the first of its groups' names. Official splits of the
    same content: it stays in "test" before "validation" before "train"; where
    it would be in another too, it is left out. Labels stay as they are.

    Args:
        sources: `Sources`.
        sums: digest of the content by media id; of some.

    Returns:
        `Sources`, the same ones where no content is there twice.
    """
    of_sum = collections.defaultdict(list)
    for source in sources.sources:
        if source.media_id in sums:
            of_sum[sums[source.media_id]].append(source)
    copies = [found for found in of_sum.values() if len(found) > 1]
    if not copies:
        return sources
    groups, left_out, told = {}, {}, []
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
        told.append(_tell(found, left_out))
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
        copies=tuple(told),
    )


def _first(groups, group):
    """The name of the united group that a group is in."""
    while groups.get(group, group) != group:
        group = groups[group]
    return group


def _splits(sources):
    return {source.split for source in sources}


def _name(source):
    return repr(source.path if source.row is None else source.media_id)


def _tell(sources, left_out):
    told = " and ".join(map(_name, sources)) + " are the same"
    labels = sorted({s.label for s in sources if s.label is not None})
    if len(labels) > 1:
        told += f", of the classes {' and '.join(labels)}"
    told += "".join(
        f"; {_name(source)} is {left_out[source.media_id]}"
        for source in sources
        if source.media_id in left_out
    )
    return told


def told(sources: Sources):
    """What is the same, in lines."""
    return "\n".join(
        [
            f"{len(sources.copies):,} of the sources are there more than "
            "once; what is the same is in one group:",
            *(f"  {line}" for line in sources.copies),
        ]
    )
