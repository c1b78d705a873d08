"""What systems and programs leave among films, and no user put there."""

# Bins, pictures of the contents, resource forks, versions. Names that begin
# with a dot are not repeated.
_LEFT = frozenset(
    (
        "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "@sharebin",
        "@tmp", "#recycle", "#snapshot", "__macosx", "found.000", "lost+found",
        "network trash folder", "recycler", "system volume information",
        "temporary items",
    )
)  # fmt: skip


def hidden(path):
    """The part of a path, from its beginning, that is hidden.

    Args:
        path: relative, its parts divided by `/`.

    Returns:
        ".Trash-1000" of ".Trash-1000/files/film.mp4"; None where nothing is
        hidden.
    """
    parts = path.split("/")
    for number, part in enumerate(parts, start=1):
        if part.startswith(".") or part.lower() in _LEFT:
            return "/".join(parts[:number])
    return None
