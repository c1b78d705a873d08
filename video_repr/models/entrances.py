"""Keras's `fit` and its like, that look at what enters them."""

import inspect
import math
import types

import keras
import tensorflow as tf

from video_repr import inputs
from video_repr.errors import DivergedError
from video_repr.errors import InputError


class LooksAtInputs:
    """Mixin for models whose every batch is looked at on the host.

    Arrays are looked at before, batches of generators and datasets when they
    come: a dataset's in its own `map`, beside the training. A model says by
    `expected` what they have to be.
    """

    def expected(self, method):
        """What `fit`, `evaluate` or `predict` may be given.

        Args:
            method: its name.

        Returns:
            Rules of the clips, the targets and the weights, see `inputs`;
            None for anything.
        """
        raise NotImplementedError

    def check_arguments(self, given):
        """Refuses what else a method is given, a dict by name."""

    def make_variables(self):
        """Makes those that a first step would, if the model is built.

        TensorFlow traces a step that makes variables a second time.
        """
        if self.built and self.compiled and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def fit(self, *args, **kwargs):
        """Keras's `fit`, on what can be learned from.

        Raises:
            InputError: for clips, targets or weights that cannot.
            DivergedError: if the loss of an epoch is NaN or infinite.
        """
        given = _arguments(super().fit, args, kwargs)
        self._look_at(given, "fit")
        if given.get("validation_data") is not None:
            # Before an epoch is trained rather than after.
            names = "x", "y", "sample_weight"
            held_out = dict(
                zip(
                    names,
                    keras.utils.unpack_x_y_sample_weight(
                        given["validation_data"]
                    ),
                    strict=True,
                )
            )
            self._look_at(held_out, "evaluate")
            given["validation_data"] = keras.utils.pack_x_y_sample_weight(
                *held_out.values()
            )
        if isinstance(given.get("x"), tf.data.Dataset):
            # Keras warns that it does not shuffle datasets unless told so.
            given.setdefault("shuffle", False)
        self.make_variables()
        why = _SaysWhy(*self.expected("fit"))
        why.set_model(self)
        given["callbacks"] = _with(why, given.get("callbacks"))
        with inputs.in_words():
            return super().fit(**given)

    def evaluate(self, *args, **kwargs):
        """Keras's `evaluate`, on what `fit` takes."""
        if "_use_cached_eval_dataset" in kwargs:
            # Called by `fit`, which has looked.
            return super().evaluate(*args, **kwargs)
        given = _arguments(super().evaluate, args, kwargs)
        self._look_at(given, "evaluate")
        with inputs.in_words():
            return super().evaluate(**given)

    def predict(self, *args, **kwargs):
        """Keras's `predict`, on clips."""
        given = _arguments(super().predict, args, kwargs)
        self._look_at(given, "predict")
        with inputs.in_words():
            return super().predict(**given)

    def train_on_batch(self, *args, **kwargs):
        given = _arguments(super().train_on_batch, args, kwargs)
        self._look_at(given, "fit")
        return super().train_on_batch(**given)

    def test_on_batch(self, *args, **kwargs):
        given = _arguments(super().test_on_batch, args, kwargs)
        self._look_at(given, "evaluate")
        return super().test_on_batch(**given)

    def predict_on_batch(self, x):
        given = {"x": x}
        self._look_at(given, "predict")
        return super().predict_on_batch(**given)

    def train_step(self, data):
        with inputs.looking(inputs.Looking.NAN):
            return super().train_step(data)

    def test_step(self, data):
        with inputs.looking(inputs.Looking.NAN):
            return super().test_step(data)

    def _look_at(self, given, method):
        """Checks arrays, and makes other data be checked when they come."""
        self.check_arguments(given)
        batch = _Batch(*self.expected(method))
        x = given.get("x")
        if isinstance(x, tf.data.Dataset):
            given["x"] = batch.of_dataset(x)
        elif isinstance(x, types.GeneratorType):
            given["x"] = batch.of_generator(x)
        elif isinstance(x, keras.utils.PyDataset):
            given["x"] = _LookedAt(x, batch)
        elif isinstance(x, list | tuple | dict) or hasattr(x, "__array__"):
            batch.check(x, given.get("y"), given.get("sample_weight"))


class ReadsPadded:
    """Mixin for models that take clips with their mask as one thing.

    A dict of "clips" and "mask", as `ClipDataset.clips(pad=True)` has them,
    wherever clips are: Keras hands the data of `fit` over as they are.
    """

    def __call__(self, clips, *args, **kwargs):
        if isinstance(clips, dict):
            clips, mask = inputs.PaddedClips().parts(clips)
            mask = tf.cast(mask, tf.bool)
            return super().__call__(clips, *args, mask=mask, **kwargs)
        return super().__call__(clips, *args, **kwargs)


class _Batch:
    """Rules of clips, targets and weights."""

    def __init__(self, clips, targets, weights):
        self._rules = clips, targets, weights

    def check(self, *data):
        for rule, values in self._of(data):
            rule.check(values)

    def of_dataset(self, dataset):
        spec = dataset.element_spec
        unknown = [
            rule.check_spec(of) for rule, of in self._of(_unpacked(spec))
        ]
        if dataset.cardinality() == 0:
            raise InputError(
                "Expected at least one batch of clips. Received: an empty "
                "dataset"
            )
        if not any(unknown):
            return dataset

        @tf.autograph.experimental.do_not_convert
        def look(*batch):
            if not isinstance(spec, tuple):
                (batch,) = batch
            for rule, values in self._of(_unpacked(batch)):
                rule.check_in_graph(values)
            return batch

        return dataset.map(look, num_parallel_calls=tf.data.AUTOTUNE)

    def of_generator(self, generator):
        for batch in generator:
            self.check(*_unpacked(batch))
            yield batch

    def _of(self, data):
        for rule, values in zip(self._rules, data, strict=True):
            if rule is not None and (values is not None or rule.required):
                yield rule, values


class _LookedAt(keras.utils.PyDataset):
    """A PyDataset whose batches are looked at."""

    def __init__(self, dataset, batch):
        super().__init__(
            dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size
        )
        self._dataset, self._batch = dataset, batch

    def __getitem__(self, index):
        batch = self._dataset[index]
        self._batch.check(*_unpacked(batch))
        return batch

    @property
    def num_batches(self):
        return self._dataset.num_batches

    def on_epoch_begin(self):
        self._dataset.on_epoch_begin()

    def on_epoch_end(self):
        self._dataset.on_epoch_end()


class _SaysWhy(keras.callbacks.Callback):
    """Ends a training whose loss is no number, and says why."""

    def __init__(self, *rules):
        super().__init__()
        self._expected = ". ".join(rule.expected for rule in rules if rule)

    def on_epoch_end(self, epoch, logs=None):
        bad = [
            name
            for name, value in (logs or {}).items()
            if name.endswith("loss") and not math.isfinite(float(value))
        ]
        if bad and not self.model.stop_training:
            raise DivergedError(
                f"{', '.join(bad)} became NaN or infinite in epoch "
                f"{epoch + 1}. {self._expected}. Where they are so, a lower "
                "learning rate or clipped gradients help."
            )


def _arguments(method, args, kwargs):
    """What a method is given, by name."""
    return inspect.signature(method).bind(*args, **kwargs).arguments


def _unpacked(batch):
    return keras.utils.unpack_x_y_sample_weight(batch)


def _with(callback, callbacks):
    """Callbacks, as Keras takes them, and one more behind them."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.callbacks.append(callback)
        return callbacks
    if isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]
    return [*(callbacks or ()), callback]
