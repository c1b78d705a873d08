"""Finds released encoders on this machine, and downloads others.

An encoder by name is searched beside the package, in a clone's `saved_models`,
and in `share/video_repr/saved_models` of the Python environment, where you can
put it if you install a wheel. An encoder by URL is downloaded once, into
`video_repr` of Keras's folder (`~/.keras`, or `KERAS_HOME`), and its checksums
are verified.
"""

import hashlib
import os
import pathlib
import sys

import keras

from video_repr.errors import InputError
from video_repr.errors import extra
from video_repr.export import layout
from video_repr.files import only_writer
from video_repr.files import restore
from video_repr.files import whole_directory
from video_repr.files import within

_FOLDERS = (
    pathlib.Path(__file__).parents[1] / "saved_models",
    pathlib.Path(sys.prefix, "share", "video_repr", "saved_models"),
)


def released():
    """The released encoders on this machine.

    Returns:
        A dict from names to directories, the newest version of each.
    """
    found = {}
    for folder in reversed(_FOLDERS):
        for of_name in sorted(folder.glob("*")):
            versions = [
                path
                for path in layout.versions_of(of_name)
                if layout.is_export(path)
            ]
            if versions:
                found[of_name.name] = versions[-1]
    return found


def cards():
    """The cards of those encoders by name; "" for one without a card."""
    found = {}
    for name, directory in released().items():
        card = directory / layout.CARD
        found[name] = card.read_text("utf-8") if card.is_file() else ""
    return found


def locate(preset):
    """The directory of an export.

    Args:
        preset: name of a released encoder, "moving_mnist" or with a version
            "moving_mnist/1"; a directory; or a URL for fsspec, such as
            "https://host/encoder/1" or "gs://bucket/encoder/1".

    Returns:
        A `pathlib.Path`.

    Raises:
        InputError: if there is none, or the checksums of the download are
            wrong.
        MissingExtraError: for a URL without fsspec.
    """
    preset = os.fspath(preset)
    if "://" in preset:
        return _fetched(preset.rstrip("/"))
    path = pathlib.Path(preset)
    # Its replacement may have been killed.
    restore(path, layout.EXPORT)
    if layout.is_export(path):
        return path
    known = released()
    if preset in known:
        return known[preset]
    for folder in _FOLDERS:
        if layout.is_export(folder / preset):
            return folder / preset
    names = ", ".join(map(repr, known)) or "none here"
    raise InputError(
        f"Expected the name of a released encoder ({names}), the directory of "
        f"an export or an address. Received: {preset!r}"
    )


def load(file, kind):
    """Loads an encoder's .keras file.

    Args:
        file: its path.
        kind: class that it must be of.

    Raises:
        InputError: if it is broken, or of another class.
    """
    try:
        found = keras.models.load_model(file)
    except Exception as error:
        # Keras has no specific exception type for a broken archive.
        raise InputError(
            "Expected a run, an export or an encoder's .keras file. Received: "
            f"{str(file)!r}: {error}"
        ) from error
    if not isinstance(found, kind):
        raise InputError(
            f"Expected an encoder in {file}. Received: a {type(found).__name__}"
        )
    return found


def _fetched(address):
    name = hashlib.sha256(address.encode()).hexdigest()[:16]
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    place = pathlib.Path(home).expanduser() / "video_repr" / name
    if layout.is_export(place):
        return place
    # Of several processes only one downloads it.
    with only_writer(place.with_name(f"{name}.fetched"), wait=True):
        if not layout.is_export(place):
            with whole_directory(place, layout.EXPORT) as partial:
                _fetch(address, partial)
    return place


def _fetch(address, directory):
    """Copies an export from an address into a directory, and checks it."""
    with extra("presets"):
        import fsspec
    try:
        system, path = fsspec.url_to_fs(address)
        sums = system.cat_file(f"{path}/{layout.SUMS}")
        names = [*layout.sums_of(sums), layout.SUMS]
        if system.exists(f"{path}/{layout.CARD}"):
            names.append(layout.CARD)
        for file in names:
            to = within(directory, file)
            to.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(f"{path}/{file}", str(to))
    except Exception as error:
        # Each store has its own exception types.
        raise InputError(
            f"Expected an export at {address}, with its {layout.SUMS}. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    layout.check(directory)
