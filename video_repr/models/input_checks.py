"""Keras's `fit`, `evaluate` and `predict` with checks of their inputs."""

import functools
import inspect
import math
import types

import keras
import tensorflow as tf

from video_repr import inputs
from video_repr.errors import DivergedError
from video_repr.errors import InputError


class ChecksInputs:
    """Mixin for models that check every batch on the host.

    They check arrays in advance, and batches of generators and datasets when
    they come; those of a dataset in its `map`, in parallel with the training.
    The method `expected` of a model returns the rules.

    `fit` also takes `inputs.DeviceBatches`, which its step makes.
    """

    _make_batch = None

    def expected(self, method):
        """The rules for inputs of `fit`, `evaluate` or `predict`.

        Args:
            method: name of the method.

        Returns:
            Rules for the clips, the targets and the weights, see `inputs`; None
            for those without a rule.
        """
        raise NotImplementedError

    def check_arguments(self, given):
        """Checks the other arguments of a method, a dict by name."""

    def make_variables(self):
        """Makes the variables that a first step would, if the model is built.

        TensorFlow traces a step that makes variables a second time.
        """
        if self.built and self.compiled and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def fit(self, *args, **kwargs):
        """Keras's `fit`, with checked inputs.

        Raises:
            InputError: for wrong clips, targets or weights.
            DivergedError: if the loss of an epoch is NaN or infinite.
        """
        given = _arguments(super().fit, args, kwargs)
        self._check_data(given, "fit")
        if given.get("validation_data") is not None:
            # Checked before an epoch is trained rather than after.
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
            self._check_data(held_out, "evaluate")
            given["validation_data"] = keras.utils.pack_x_y_sample_weight(
                *held_out.values()
            )
        if isinstance(given.get("x"), tf.data.Dataset):
            # Keras warns that it does not shuffle datasets unless told so.
            given.setdefault("shuffle", False)
        self.make_variables()
        why = _ExplainsDivergence(*self.expected("fit"))
        why.set_model(self)
        given["callbacks"] = _with(why, given.get("callbacks"))
        steps = given.get("steps_per_epoch")
        if steps and steps % self.steps_per_execution:
            given["callbacks"] = _with(_WholeEpochs(steps), given["callbacks"])
        with inputs.assertions_as_errors():
            return super().fit(**given)

    def evaluate(self, *args, **kwargs):
        """Keras's `evaluate`, with checked inputs, as for `fit`."""
        if "_use_cached_eval_dataset" in kwargs:
            # Called by `fit`, which has checked the inputs.
            return super().evaluate(*args, **kwargs)
        given = _arguments(super().evaluate, args, kwargs)
        self._check_data(given, "evaluate")
        with inputs.assertions_as_errors():
            return super().evaluate(**given)

    def predict(self, *args, **kwargs):
        """Keras's `predict`, with checked clips."""
        given = _arguments(super().predict, args, kwargs)
        self._check_data(given, "predict")
        with inputs.assertions_as_errors():
            return super().predict(**given)

    def train_on_batch(self, *args, **kwargs):
        given = _arguments(super().train_on_batch, args, kwargs)
        self._check_data(given, "fit")
        return super().train_on_batch(**given)

    def test_on_batch(self, *args, **kwargs):
        given = _arguments(super().test_on_batch, args, kwargs)
        self._check_data(given, "evaluate")
        return super().test_on_batch(**given)

    def predict_on_batch(self, x):
        given = {"x": x}
        self._check_data(given, "predict")
        return super().predict_on_batch(**given)

    def train_step(self, data):
        if self._make_batch is not None:
            data = self._make_batch(data)
        with inputs.checking(inputs.Check.NAN):
            return super().train_step(data)

    def test_step(self, data):
        with inputs.checking(inputs.Check.NAN):
            return super().test_step(data)

    def _check_data(self, given, method):
        """Checks arrays now, and other data when their batches come."""
        self.check_arguments(given)
        batch = _Batch(*self.expected(method))
        x = given.get("x")
        if method == "fit":
            self._train_on(x)
        if isinstance(x, inputs.DeviceBatches):
            batch.check_spec(x.element_spec)
            given["x"] = x.dataset
        elif isinstance(x, tf.data.Dataset):
            given["x"] = batch.of_dataset(x)
        elif isinstance(x, types.GeneratorType):
            given["x"] = batch.of_generator(x)
        elif isinstance(x, keras.utils.PyDataset):
            given["x"] = _CheckedDataset(x, batch)
        elif isinstance(x, list | tuple | dict) or hasattr(x, "__array__"):
            batch.check(x, given.get("y"), given.get("sample_weight"))

    def _train_on(self, x):
        """Makes the batches of `x` in the training step, if it says how."""
        make = x.make if isinstance(x, inputs.DeviceBatches) else None
        if make is not self._make_batch:
            self._make_batch = make
            # Traced again at its next use.
            self.train_function = None


class ReadsPaddedClips:
    """Mixin for models that take clips with their mask as one argument.

    In place of clips it can be a dict of "clips" and "mask", as in
    `ClipDataset.clips(pad=True)`: Keras passes the data of `fit` on unchanged.
    """

    def __call__(self, clips, *args, **kwargs):
        if isinstance(clips, dict):
            clips, mask = inputs.PaddedClips().parts(clips)
            # `Sequential` gives a mask of its own, of what it cannot read.
            kwargs["mask"] = tf.cast(mask, tf.bool)
        return super().__call__(clips, *args, **kwargs)


class _Batch:
    """Rules of clips, targets and weights."""

    def __init__(self, clips, targets, weights):
        self._rules = clips, targets, weights

    def check(self, *data):
        for rule, values in self._of(data):
            rule.check(values)

    def check_spec(self, spec):
        """Checks the spec of batches; returns whether to check values too."""
        return any(
            [rule.check_spec(of) for rule, of in self._of(_unpacked(spec))]
        )

    def of_dataset(self, dataset):
        spec = dataset.element_spec
        unknown = self.check_spec(spec)
        if dataset.cardinality() == 0:
            raise InputError(
                "Expected at least one batch of clips. Received: an empty "
                "dataset"
            )
        if not unknown:
            return dataset

        @tf.autograph.experimental.do_not_convert
        def check(*batch):
            if not isinstance(spec, tuple):
                (batch,) = batch
            for rule, values in self._of(_unpacked(batch)):
                rule.check_in_graph(values)
            return batch

        return dataset.map(check, num_parallel_calls=tf.data.AUTOTUNE)

    def of_generator(self, generator):
        for batch in generator:
            self.check(*_unpacked(batch))
            yield batch

    def _of(self, data):
        for rule, values in zip(self._rules, data, strict=True):
            if rule is not None and (values is not None or rule.required):
                yield rule, values


class _CheckedDataset(keras.utils.PyDataset):
    """A PyDataset whose batches are checked."""

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


class _WholeEpochs(keras.callbacks.Callback):
    """Ends an epoch after its steps, even in the middle of an execution.

    Keras would go on to the end of the execution, and take the data of the
    next epoch.
    """

    def __init__(self, steps):
        super().__init__()
        self._steps = steps

    def on_train_begin(self, logs=None):
        self._execute = self.model.train_function
        self._execute_some = self._some
        if not self.model.run_eagerly:
            self._execute_some = tf.function(self._some, autograph=False)

    def on_train_batch_begin(self, batch, logs=None):
        left = self._steps - batch
        if left < self.model.steps_per_execution:
            self.model.train_function = functools.partial(self._end, left)

    def _end(self, left, iterator):
        self.model.train_function = self._execute
        try:
            return self._execute_some(iterator, tf.constant(left))
        except tf.errors.OutOfRangeError as error:
            # As Keras has it for a dataset that is too short.
            raise StopIteration from error

    def _some(self, iterator, steps):
        """Runs some steps; called in a graph, so that XLA compiles no other."""

        def step():
            # Keras runs a step for each batch of a list.
            return self._execute([next(iterator)])

        _, logs = tf.while_loop(
            lambda done, _: done < steps,
            lambda done, _: (done + 1, step()),
            (tf.constant(1), step()),
        )
        return logs


class _ExplainsDivergence(keras.callbacks.Callback):
    """Stops a training whose loss is NaN or infinite, and says why."""

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
    """The arguments of a call of a method, by name."""
    return inspect.signature(method).bind(*args, **kwargs).arguments


def _unpacked(batch):
    return keras.utils.unpack_x_y_sample_weight(batch)


def _with(callback, callbacks):
    """Callbacks, as Keras takes them, with one more at the end."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.callbacks.append(callback)
        return callbacks
    if isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]
    return [*(callbacks or ()), callback]
