"""What happens during `fit`: checkpoints, figures, and the end of the time."""

import json
import math
import time

import keras
import tensorflow as tf

from video_repr import schedules
from video_repr import visualization
from video_repr.errors import DivergedError
from video_repr.errors import InputError
from video_repr.files import whole_file


class Clock(keras.callbacks.Callback):
    """Ends a training when its minutes are spent.

    It sets what the share of the time decides: the learning rate and scheduled
    sampling. At the end of each execution Keras has fetched the loss: the
    updates are done, and their time is known.

    Attributes:
        minutes: the time.
        share: share of it that is spent.
        steps: updates of this epoch.

    Args:
        config: a `configs.Config`.
        share: share that was spent before.
    """

    def __init__(self, config, share):
        super().__init__()
        self.minutes, self.share, self.steps = config.training.minutes, share, 0
        self._training = config.training
        self._rate = schedules.learning_rate(config.training, 1.0)
        self._began = None

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic() - self.share * 60 * self.minutes

    def on_train_batch_begin(self, batch, logs=None):
        if callable(self._rate):
            self.model.optimizer.learning_rate = self._rate(self.share)
        for decoder in self.model.decoders.values():
            if decoder.conditional and callable(decoder.scheduled_sampling):
                ticks = min(1.0, self.share) * schedules.TICKS
                decoder.training_steps.assign(int(ticks))

    def on_train_batch_end(self, batch, logs=None):
        spent = time.monotonic() - self._began
        self.share = spent / (60 * self.minutes)
        # Keras counts a whole execution.
        self.steps = min(batch + 1, self._training.steps_per_epoch)
        if self.share >= 1:
            self.model.stop_training = True


class Progress(keras.callbacks.ProgbarLogger):
    """The progress of a training whose number of epochs is not known.

    Args:
        clock: its `Clock`.
        verbose: as for `keras.Model.fit`.
    """

    def __init__(self, clock, verbose):
        super().__init__()
        self._clock, self._verbose = clock, verbose

    def set_params(self, params):
        super().set_params({**params, "epochs": 1, "verbose": self._verbose})

    def on_epoch_begin(self, epoch, logs=None):
        share, minutes = self._clock.share, self._clock.minutes
        print(
            f"Epoch {epoch + 1}, {share:.0%} of {minutes:g} minutes are over",
            flush=True,
        )
        super().on_epoch_begin(epoch, logs)


class Checkpoints(keras.callbacks.Callback):
    """Writes metrics.jsonl and the checkpoints at the end of every epoch.

    `last.keras` is written last: a run that is killed at any time resumes from
    it and writes the other files again.

    Args:
        run: a `runs.Run`.
        training: its `configs.TrainingConfig`.
        epoch: number of epochs that it was trained for.
        clock: the `Clock` of a training for a time, None otherwise.
    """

    def __init__(self, run, training, epoch, clock=None):
        super().__init__()
        self._run, self._training, self._clock = run, training, clock
        self._lines = run.metrics()[:epoch]
        if len(self._lines) != epoch:
            raise InputError(
                f"Expected {epoch} lines in {run.metrics_file}, as many as "
                f"epochs in {run.last}. Received: {len(self._lines)}"
            )
        self._write_lines()
        self._seconds = self._lines[-1]["seconds"] if self._lines else 0.0
        self._started = None

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in logs.items()}
        bad = [name for name, value in logs.items() if not math.isfinite(value)]
        if bad:
            raise DivergedError(self._why(epoch, bad))
        self._seconds += time.monotonic() - self._started
        step, share = self._training.steps_per_epoch, {}
        if self._clock is not None:
            # The last epoch ends with the time.
            step, share = self._clock.steps, {"share": self._clock.share}
        step += self._lines[-1]["step"] if self._lines else 0
        line = {
            "epoch": epoch + 1,
            "step": step,
            "sequences": step * self._training.batch_size,
            "seconds": round(self._seconds, 2),
            **share,
            "learning_rate": float(self.model.optimizer.learning_rate),
            **{self._named(name): value for name, value in logs.items()},
        }
        before = [old["val_loss"] for old in self._lines]
        self._lines.append(line)
        if not before or line["val_loss"] < min(before):
            self._run.save(self.model, self._run.best, epoch + 1)
        self._write_lines()
        self._run.save(self.model, self._run.last, epoch + 1)

    def _why(self, epoch, bad):
        what = f"{', '.join(bad)} became NaN or infinite in epoch {epoch + 1}."
        if not self._run.last.exists():
            return f"{what} No epoch had ended before; nothing was saved."
        return (
            f"{what} The weights before it are in {self._run.last}, the best "
            f"in {self._run.best}. A lower learning rate or clip norm helps."
        )

    def _named(self, name):
        """A log's name with its reduction, which "future_loss" lacks."""
        for branch, loss in self.model.loss.items():
            if name.endswith(f"{branch}_loss"):
                return name.replace("loss", loss.name)
        return name

    def _write_lines(self):
        with whole_file(self._run.metrics_file) as partial:
            partial.write_text(
                "".join(f"{json.dumps(line)}\n" for line in self._lines)
            )


class TensorBoard(keras.callbacks.TensorBoard):
    """Writes scalars, strips of validation clips, and optionally gates.

    Args:
        run: a `runs.Run`.
        clips: some clips for validation.
        gate_images: whether to write images of the gates.
    """

    # It has nothing to do there, and Keras would wait for each update's loss.
    on_train_batch_end = keras.callbacks.Callback.on_train_batch_end

    def __init__(self, run, clips, gate_images):
        super().__init__(run.tensorboard, write_graph=False)
        self._clips = clips
        self._gate_images = gate_images

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self._gate_images:
            self._write_gates(epoch)
        if visualization.are_pictures(self._clips):
            self._write_strips(epoch)

    def _write_gates(self, epoch):
        encoder = self.model.encoder
        clip = self._clips[:1, : self.model.input_frames]
        found = {"encoder": encoder.activations(clip)}
        if "future" in self.model.decoders:
            found["future decoder"] = self.model.decoders["future"].activations(
                encoder.encode_states(clip), 100, encoder.last(clip)
            )
        with self._val_writer.as_default():
            for name, layers in found.items():
                top = {key: value[0] for key, value in layers[-1].items()}
                tf.summary.image(
                    f"gates of the {name}",
                    visualization.as_array(visualization.gate_images(top))[
                        None
                    ],
                    step=epoch,
                )

    def _write_strips(self, epoch):
        # By itself, without the other machines.
        frames = self.model.predict_step(tf.constant(self._clips))
        with self._val_writer.as_default():
            tf.summary.image(
                "truth above, prediction below",
                visualization.strip_arrays(
                    self._clips, frames, self.model.input_frames
                ),
                step=epoch,
                max_outputs=len(self._clips),
            )
