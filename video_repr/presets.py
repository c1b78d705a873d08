"""Released encoders: where they lie, and fetching those that lie elsewhere.

An encoder by name is looked for beside the package, where a clone has it, and
in `share/video_repr/saved_models` of the Python environment, where whoever
installs a wheel can put it. One at an address is fetched once, into
`video_repr` of Keras's folder (`~/.keras`, or `KERAS_HOME`), and checked
against its sums there.
"""

import hashlib
import os
import pathlib
import sys

import keras

from video_repr import artefact
from video_repr.errors import InputError
from video_repr.errors import extra
from video_repr.files import only_writer
from video_repr.files import restore
from video_repr.files import whole_directory
from video_repr.files import within

_FOLDERS = (
    pathlib.Path(__file__).parents[1] / "saved_models",
    pathlib.Path(sys.prefix, "share", "video_repr", "saved_models"),
)


def released():
    """The released encoders that are here.

    Returns:
        A dict from names to directories, the newest version of each.
    """
    found = {}
    for folder in reversed(_FOLDERS):
        for of_name in sorted(folder.glob("*")):
            versions = [
                path
                for path in artefact.versions_of(of_name)
                if artefact.is_export(path)
            ]
            if versions:
                found[of_name.name] = versions[-1]
    return found


def cards():
    """The cards of those encoders by name; "" of one that has none."""
    found = {}
    for name, directory in released().items():
        card = directory / artefact.CARD
        found[name] = card.read_text("utf-8") if card.is_file() else ""
    return found


def locate(preset):
    """The directory of an export.

    Args:
        preset: name of a released encoder, "moving_mnist" or with a version
            "moving_mnist/1"; a directory; or an address that fsspec knows, as
            "https://host/encoder/1" or "gs://bucket/encoder/1".

    Returns:
        A `pathlib.Path`.

    Raises:
        InputError: if there is none, or what was fetched is not what its
            sums say.
        MissingExtraError: for an address without fsspec.
    """
    preset = os.fspath(preset)
    if "://" in preset:
        return _fetched(preset.rstrip("/"))
    path = pathlib.Path(preset)
    # One that was being replaced when its process was killed.
    restore(path, artefact.EXPORT)
    if artefact.is_export(path):
        return path
    known = released()
    if preset in known:
        return known[preset]
    for folder in _FOLDERS:
        if artefact.is_export(folder / preset):
            return folder / preset
    names = ", ".join(map(repr, known)) or "none here"
    raise InputError(
        f"Expected the name of a released encoder ({names}), the directory of "
        f"an export or an address. Received: {preset!r}"
    )


def load(file, kind):
    """What is in an encoder's .keras file.

    Args:
        file: its path.
        kind: class that it must be of.

    Raises:
        InputError: if it is broken, or something else.
    """
    try:
        found = keras.models.load_model(file)
    except Exception as error:
        # Keras has no type of its own for what a broken archive raises.
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
    if artefact.is_export(place):
        return place
    # Of several processes that want it one fetches it.
    with only_writer(place.with_name(f"{name}.fetched"), wait=True):
        if not artefact.is_export(place):
            with whole_directory(place, artefact.EXPORT) as partial:
                _fetch(address, partial)
    return place


def _fetch(address, directory):
    """Copies an export from an address into a directory, and checks it."""
    with extra("presets"):
        import fsspec
    try:
        system, path = fsspec.url_to_fs(address)
        sums = system.cat_file(f"{path}/{artefact.SUMS}")
        names = [*artefact.sums_of(sums), artefact.SUMS]
        if system.exists(f"{path}/{artefact.CARD}"):
            names.append(artefact.CARD)
        for file in names:
            to = within(directory, file)
            to.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(f"{path}/{file}", str(to))
    except Exception as error:
        # Each store has types of its own.
        raise InputError(
            f"Expected an export at {address}, with its {artefact.SUMS}. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    artefact.check(directory)
