"""The folder where a job writes until its output is complete.

While a job is not finished, there is beside OUTPUT

    .OUTPUT.unfinished/job.json   the recipe, and the folder's name
    .OUTPUT.unfinished/ID/        parts/, shards/ and done/, see `transforms`

The finished directory is delivered whole: on a disk by a rename, in a bucket
with COMPLETED as the last file.
"""

import contextlib
import json
import os
import pathlib
import shutil
import uuid

from apache_beam.io.filesystem import BeamIOError

from pipelines import directory
from pipelines.lock import is_local
from pipelines.storage import file_systems
from pipelines.storage import read_json
from pipelines.storage import write_whole
from video_repr.errors import InputError
from video_repr.files import put_back
from video_repr.files import replace_directory

FileSystems = file_systems()

_JOB = "job.json"


class ChangedSourcesError(InputError):
    """A dataset is complete, but its sources have changed since."""


def staging_of(output):
    """Folder of the unfinished job, beside the output."""
    head, tail = FileSystems.split(output.path.rstrip("/"))
    return FileSystems.join(head, f".{tail}.unfinished")


def is_left(staging):
    """Whether there is an unfinished job."""
    if is_local(staging):
        return os.path.isdir(staging)
    return _has_files(staging)


def is_made(output, recipe):
    """Whether the output is complete and equals what the job would make."""
    path = output.path
    names = ("COMPLETED", "info.json", "features.json")
    try:
        if not all(_exists(FileSystems.join(path, name)) for name in names):
            return False
        info = read_json(FileSystems.join(path, "info.json"))
    except (OSError, BeamIOError):
        # Another job is replacing it.
        return False
    made_by = info.get("made_by", {})
    if made_by != recipe:
        others = {**made_by, "sources": recipe["sources"]} == recipe
        raise (ChangedSourcesError if others else InputError)(
            "Expected a new output, or --overwrite. Received: "
            f"{path}, a dataset made with {_difference(made_by, recipe)}"
        )
    return True


def _difference(before, now):
    flat = {
        name: dict(
            **d.get("arguments", {}),
            **{k: v for k, v in d.items() if k != "arguments"},
        )
        for name, d in (("before", before), ("now", now))
    }
    names = [
        name
        for name in flat["now"]
        if flat["before"].get(name) != flat["now"][name]
    ]
    return "other " + ", ".join(names) if names else "other code"


def claim(output, recipe, check):
    """Finds the folder in which the job resumes, or makes one.

    The folder has a unique name, STAGING/ID, so that the rest of another job,
    such as workers on other machines, cannot write into it. STAGING/job.json,
    written first and removed first, contains this name.

    Returns:
        The folder; None if there is no work to do.
    """
    path, staging = output.path, staging_of(output)
    if is_local(path):
        _check_place(path)
    begun, work = _begun(staging)
    if begun is not None and _exists(_delivering(work)):
        # Part of the old dataset may be gone.
        _finish_delivery(work, output, check)
        begun = None
    # Results of different versions of decoders must not be mixed.
    recipe = {**recipe, "versions": directory.versions()}
    overwrites = begun is not None and begun.pop("overwrite", False)
    if output.overwrite:
        if _has_files(path) and not _is_dataset(path):
            raise InputError(
                "Expected a dataset to overwrite. Received: "
                f"{path}, which has other files"
            )
        if not overwrites:
            begun = None
    elif is_made(output, {k: v for k, v in recipe.items() if k != "versions"}):
        if begun in (None, recipe):
            _remove(staging)
        return None
    elif _has_files(path):
        raise InputError(
            f"Expected a new output, or --overwrite. Received: {path}, "
            "which has files"
        )
    if begun == recipe:
        # The shards are in the output if a job was killed after its delivery.
        _make(FileSystems.join(work, "shards"))
        return work
    if begun is not None and not output.overwrite:
        raise InputError(
            "Expected the unfinished job to go on with, or --overwrite. "
            f"Received: {staging}, begun with {_difference(begun, recipe)}"
        )
    check()
    return _begin({**recipe, "overwrite": output.overwrite}, output, check)


def _check_place(path):
    put_back(path, directory.DATASET)
    found = None
    if os.path.islink(path):
        found = "a link"
    elif os.path.exists(path) and not os.path.isdir(path):
        found = "a file"
    if found:
        raise InputError(
            f"Expected a directory to write. Received: {path}, {found}"
        )


def _begun(staging):
    """The recipe and the folder of the unfinished job; or two Nones."""
    job = FileSystems.join(staging, _JOB)
    if not _exists(job):
        return None, None
    begun = read_json(job)
    # Before 0.2 a job had no separate folder.
    return begun, FileSystems.join(staging, begun.pop("folder", ""))


def _begin(recipe, output, check):
    staging, folder = staging_of(output), uuid.uuid4().hex[:8]
    work = FileSystems.join(staging, folder)
    try:
        for name in ("parts", "shards", "done"):
            _make(FileSystems.join(work, name))
        job = json.dumps({**recipe, "folder": folder})
        write_whole(FileSystems.join(staging, _JOB), job.encode())
    except (OSError, BeamIOError) as error:
        raise InputError(
            f"Expected an output that can be written. Received: {output.path}: "
            f"{error}"
        ) from error
    check()
    # Remove the rest of other jobs.
    if is_local(staging):
        for name in set(os.listdir(staging)) - {_JOB, folder}:
            _remove_local(os.path.join(staging, name))
    else:
        ours = (FileSystems.join(staging, _JOB), work + "/")
        others = [p for p in found(staging, "**") if not p.startswith(ours)]
        delete(others)
    return work


def deliver(work, output, check):
    """Moves the finished directory to its place."""
    shards = FileSystems.join(work, "shards")
    delete(found(shards, "*.partial"))
    check()
    if is_local(output.path):
        kind = directory.DATASET if output.overwrite else None
        replace_directory(shards, output.path, kind)
        _remove(staging_of(output))
    else:
        write_whole(_delivering(work), b"\n")
        _finish_delivery(work, output, check)


def _delivering(work):
    """The file that marks that the output is being replaced."""
    return FileSystems.join(work, "delivering")


def _finish_delivery(work, output, check):
    """Copies the finished files into a bucket, COMPLETED last.

    A bucket has no rename of all of them at once. They are copied, not moved,
    so that the next job can start again if this one is killed.
    """
    shards = FileSystems.join(work, "shards")
    if _is_delivered(shards, output.path):
        _remove(staging_of(output))
        return
    names = names_in(shards)
    old = {
        name for name in names_in(output.path) if directory.are_its_own({name})
    }

    def to_output(name):
        check()
        FileSystems.copy(
            [FileSystems.join(shards, name)],
            [FileSystems.join(output.path, name)],
        )

    def remove(names):
        check()
        delete([FileSystems.join(output.path, name) for name in names])

    remove(old & {"COMPLETED"})
    for name in sorted(names - {"COMPLETED"}):
        to_output(name)
    remove(old - names)
    to_output("COMPLETED")
    _remove(staging_of(output))


def _is_delivered(shards, path):
    names = ("COMPLETED", "info.json")
    if not all(_exists(FileSystems.join(path, name)) for name in names):
        return False
    ours, there = (
        read_json(FileSystems.join(folder, "info.json"))
        for folder in (shards, path)
    )
    return ours == there


def _has_files(path):
    if is_local(path):
        return os.path.isdir(path) and bool(os.listdir(path))
    return bool(found(path, "**"))


def _is_dataset(path):
    if is_local(path):
        return directory.DATASET.holds(pathlib.Path(path))
    # Buckets have files, but no folders.
    below = path.rstrip("/") + "/"
    return directory.are_of_a_dataset(
        {file.removeprefix(below) for file in found(path, "**")}
    )


def found(path, pattern):
    """Paths of the files below a folder that match a pattern."""
    (matched,) = FileSystems.match([FileSystems.join(path, pattern)])
    return [file.path for file in matched.metadata_list]


def names_in(path, ending=""):
    """Names of the files in a folder with an ending, without the ending."""
    return {
        os.path.basename(file).removesuffix(ending)
        for file in found(path, f"*{ending}")
    }


def _exists(path):
    return FileSystems.exists(path)


def _make(path):
    with contextlib.suppress(OSError):
        FileSystems.mkdirs(path)


def _remove(staging):
    """Removes the rest of a job, and first the file that names it."""
    job = FileSystems.join(staging, _JOB)
    if _exists(job):
        delete([job])
    if is_local(staging):
        _remove_local(staging)
    else:
        delete(found(staging, "**"))


def _remove_local(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def delete(files):
    """Deletes files, if there are any."""
    if files:
        FileSystems.delete(files)
