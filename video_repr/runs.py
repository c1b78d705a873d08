"""The run directory: what training writes, and how to read it.

    config.json        the settings of the run
    data.json          the fingerprint of the data that it was trained on
    videos.json        the videos of a dataset that it was trained on, by split
    made.json          machine, versions and time
    checkpoints/       last.keras to resume from, best.keras to use
    metrics.jsonl      a line an epoch
    tensorboard/       scalars and strips
    evaluation.json    the test set, read once
    figures/           strips, animation, error curve

Only `Run` contains these names. What `finetune` and `label-curve` write is in
`transfer.predictions` and `transfer.cells`.
"""

import dataclasses
import json
import pathlib
import zipfile

from video_repr import configs
from video_repr.errors import InputError
from video_repr.files import load_json
from video_repr.files import read_json
from video_repr.files import whole_file

# The file in a checkpoint's archive with its number of epochs. The optimizer's
# own count omits steps that loss scaling skipped.
_EPOCHS = "epochs.txt"
_OF_A_LINE = {"step", "sequences", "seconds", "loss", "val_loss"}


@dataclasses.dataclass(frozen=True)
class Run:
    """The files in a run directory.

    Attributes:
        path: the directory.
    """

    path: pathlib.Path

    @property
    def config_file(self):
        return self.path / "config.json"

    @property
    def data_file(self):
        return self.path / "data.json"

    @property
    def videos_file(self):
        return self.path / "videos.json"

    @property
    def last(self):
        return self.path / "checkpoints" / "last.keras"

    @property
    def best(self):
        return self.path / "checkpoints" / "best.keras"

    @property
    def metrics_file(self):
        return self.path / "metrics.jsonl"

    @property
    def made_file(self):
        return self.path / "made.json"

    @property
    def tensorboard(self):
        return self.path / "tensorboard"

    @property
    def evaluation_file(self):
        return self.path / "evaluation.json"

    @property
    def figures(self):
        return self.path / "figures"

    def config(self):
        """The run's config.

        Raises:
            InputError: if the directory is not a run, or its config is broken.
        """
        if (self.path / "saved_model.pb").is_file():
            raise InputError(
                "Expected a run directory. Received: "
                f"{str(self.path)!r}, an exported encoder"
            )
        try:
            values = load_json(self.config_file)
        except (OSError, ValueError) as error:
            raise InputError(
                "Expected a run directory with a readable config.json. "
                f"Received: {str(self.path)!r}: {error}"
            ) from error
        return configs.from_dict(values, where=str(self.config_file))

    def check_data(self, data):
        """Checks that data are those that the run began with.

        It compares fingerprints. Runs made before 0.2 have none; for these it
        compares the names of videos.

        Args:
            data: the result of `data.run_data.load_data`.

        Raises:
            InputError: if the data differ.
        """
        same, videos = True, data.videos()
        before = {}
        if self.videos_file.is_file():
            before = read_json(self.videos_file, dict)
        if self.data_file.is_file():
            known = read_json(self.data_file, dict).get("fingerprint")
            same = known == data.fingerprint
        elif before:
            # Before 0.2 it had no checksums.
            same = {s: sorted(of) for s, of in before.items()} == {
                s: sorted(of) for s, of in videos.items()
            }
        if not same:
            raise InputError(
                f"Expected the data that the run in {self.path} began with. "
                f"Received: {_difference(before, videos)}, {data.place}"
            )

    def made(self):
        """Machine and versions with which the run began; {} if unknown."""
        if not self.made_file.is_file():
            return {}
        return read_json(self.made_file, dict)

    def model(self, checkpoint=None):
        """The model of a checkpoint, the best by default.

        Raises:
            InputError: if there is no such checkpoint, or it is broken.
        """
        checkpoint = checkpoint or self.best
        if not checkpoint.is_file():
            raise InputError(
                f"Expected a trained run with {checkpoint}. Received: "
                f"{str(self.path)!r} without it"
            )
        import keras

        try:
            return keras.models.load_model(checkpoint)
        except Exception as error:
            # Keras has no specific exception type for a broken archive.
            raise InputError(
                f"Expected a whole checkpoint. Received: {checkpoint}, which "
                f"cannot be loaded: {error}"
            ) from error

    def save(self, model, checkpoint, epochs):
        """Writes a checkpoint of a model that was trained for `epochs`."""
        with whole_file(checkpoint) as partial:
            model.save(partial)
            with zipfile.ZipFile(partial, "a") as archive:
                archive.writestr(_EPOCHS, str(epochs))

    def epochs(self, checkpoint):
        """The number of epochs that a checkpoint was trained for.

        Raises:
            InputError: if it does not say.
        """
        try:
            with zipfile.ZipFile(checkpoint) as archive:
                return int(archive.read(_EPOCHS))
        except Exception as error:
            # A broken archive can raise any exception.
            raise InputError(
                f"Expected a whole checkpoint. Received: {checkpoint}, which "
                f"does not say how long it was trained: {error!s:.200}"
            ) from error

    def updates(self, checkpoint):
        """The number of updates that a checkpoint was trained for.

        Raises:
            InputError: if it does not say, or metrics.jsonl does not.
        """
        epochs, training = self.epochs(checkpoint), self.config().training
        if training.minutes is None:
            return epochs * training.steps_per_epoch
        # The last epoch ended with the time.
        return self._line(epochs)["step"]

    def share(self, epochs):
        """The share of its minutes that a run has spent after some epochs.

        Raises:
            InputError: if metrics.jsonl does not say.
        """
        return self._line(epochs)["share"] if epochs else 0.0

    def _line(self, epochs):
        lines = self.metrics()
        if len(lines) < epochs:
            raise InputError(
                f"Expected a line for each of {epochs} epochs in "
                f"{self.metrics_file}. Received: {len(lines)}"
            )
        return lines[epochs - 1]

    def metrics(self):
        """The lines of metrics.jsonl, as dicts.

        Raises:
            InputError: if one is broken.
        """
        lines, problems = self.read_metrics()
        if problems:
            raise InputError(problems[0])
        return lines

    def read_metrics(self):
        """The whole lines of metrics.jsonl, and the problems of others.

        Returns:
            A list of dicts, and a list of sentences.
        """
        if not self.metrics_file.is_file():
            return [], []
        lines, problems = [], []
        text = self.metrics_file.read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                found = None
            if isinstance(found, dict) and set(found) >= _OF_A_LINE:
                lines.append(found)
            else:
                problems.append(
                    f"Expected an object of {', '.join(sorted(_OF_A_LINE))} "
                    f"and losses in each line of {self.metrics_file}. "
                    f"Received: line {number}, {line[:40]!r}"
                )
        return lines, problems


def _difference(before, now):
    """How a dataset differs, by its videos, in words."""
    if not now:
        return "other digits"
    if {s: sorted(of) for s, of in before.items()} != {
        s: sorted(of) for s, of in now.items()
    }:
        return "a dataset with other videos in its splits"
    changed = [
        name
        for split, of in now.items()
        if isinstance(before[split], dict)
        for name, content in of.items()
        if content != before[split][name]
    ]
    if changed:
        return (
            f"a dataset of other content of {len(changed)} videos, as "
            f"{changed[0]!r}"
        )
    return "a dataset with other records of the same videos"
