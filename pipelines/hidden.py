"""Files and folders among films that systems and programs leave there."""

# Bins, thumbnails, resource forks, versions. Names with a dot at the beginning
# are hidden in any case.
_LEFT = frozenset(
    (
        "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "@sharebin",
        "@tmp", "#recycle", "#snapshot", "__macosx", "found.000", "lost+found",
        "network trash folder", "recycler", "system volume information",
        "temporary items",
    )
)  # fmt: skip


def hidden(path):
    """The beginning of a path, up to its first hidden part.

    Args:
        path: relative path, with parts separated by `/`.

    Returns:
        ".Trash-1000" for ".Trash-1000/files/film.mp4"; None if no part is
        hidden.
    """
    parts = path.split("/")
    for number, part in enumerate(parts, start=1):
        if part.startswith(".") or part.lower() in _LEFT:
            return "/".join(parts[:number])
    return None
