"""Models that train on several devices, the replicas of `tf.distribute`.

Keras has all replicas in one function, which XLA cannot compile, and clips the
gradients of each before it adds them up. Here each replica does by itself what
lies between two exchanges, with its own copies of the variables, as the only
device does: forward and backward pass; then the gradients are averaged over the
replicas; then the update. Of these XLA compiles both.
"""

import concurrent.futures
import contextlib
import contextvars
import functools

import keras
import tensorflow as tf

from video_repr.errors import InputError


class TrainsReplicas:
    """Mixin for models that train in a strategy of several replicas.

    `tf.distribute.MirroredStrategy` has the devices of one machine,
    `MultiWorkerMirroredStrategy` those of several. The replicas read equal
    shares of a batch. After an update the weights are those of one device that
    has read all of it, but for rounding. In the same update, dropout drops the
    same units in each share.
    """

    _alone = None

    @functools.wraps(keras.Model.fit)
    def fit(self, **given):
        if self._has_replicas:
            replicas = self.distribute_strategy.num_replicas_in_sync
            x = given.get("x")
            clips = x.get("clips") if isinstance(x, dict) else x
            if hasattr(clips, "__array__"):
                size = given.get("batch_size") or 32
                for batch in (min(size, len(clips)), len(clips) % size):
                    _check_share(batch, replicas)
            for name in ("x", "validation_data"):
                if isinstance(given.get(name), tf.data.Dataset):
                    given[name] = _in_shares(given[name])
            if isinstance(x, tf.data.Dataset):
                given["x"] = _with_even_shares(given["x"], replicas)
        return super().fit(**given)

    def make_train_function(self, force=False):
        if not self._has_replicas:
            super().make_train_function(force)
        elif force or self.train_function is None:
            self.train_function = self._of_all_replicas(self.train_step)

    def make_test_function(self, force=False):
        if not self._has_replicas:
            super().make_test_function(force)
        elif force or self.test_function is None:
            self.test_function = self._of_all_replicas(self.test_step)

    def train_step(self, data):
        if not self._has_replicas:
            return super().train_step(data)
        gradients = self._alone(self._gradients, data)
        gradients = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.MEAN, gradients
        )
        self._alone(self._update, gradients)
        return self.get_metrics_result()

    def test_step(self, data):
        if not self._has_replicas:
            return super().test_step(data)
        self._alone(super().test_step, data)
        return self.get_metrics_result()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if self._has_replicas and iterator is not None:
            # Keras averages a batch over all workers, only to see its shape.
            batch = next(next(iter(iterator))[2])
            data_batch = tf.nest.map_structure(
                lambda of: self.distribute_strategy.experimental_local_results(
                    of
                )[0],
                batch,
            )
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    @property
    def _has_replicas(self):
        strategy = self.distribute_strategy
        return strategy.num_replicas_in_sync > 1 and not self.run_eagerly

    def _gradients(self, data):
        # Keras's step, which ends with the update.
        found = []
        with _in_place(self.optimizer, apply_gradients=found.extend):
            super().train_step(data)
        return [gradient for gradient, _ in found]

    def _update(self, gradients):
        self.optimizer.apply(gradients, self.trainable_weights)

    def _of_all_replicas(self, step):
        """A function from an iterator of batches to the logs of an execution.

        Keras's fails for several steps in an execution. Here Python starts
        each step, and waits for none before the last.
        """
        strategy, steps = self.distribute_strategy, self.steps_per_execution
        self._alone = _Alone(self)

        @tf.function(reduce_retracing=True, autograph=False)
        def one(batch):
            return tf.nest.map_structure(
                lambda value: strategy.reduce("MEAN", value, axis=None),
                strategy.run(step, (batch,)),
            )

        def execute(iterator):
            logs = None
            for _, batch in zip(range(steps), iterator, strict=False):
                logs = one(batch)
            if logs is None:
                raise StopIteration
            return logs

        return execute


def _check_share(batch, replicas):
    if batch % replicas:
        raise InputError(
            f"Expected batches that {replicas} devices divide. Received: a "
            f"batch of {batch} clips"
        )


def _in_shares(dataset):
    """A dataset of which each worker reads its share of every batch."""
    options = tf.data.Options()
    # Others give each its own files.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return dataset.with_options(options)


def _with_even_shares(dataset, replicas):
    """A dataset whose batches the replicas divide, or an error."""
    sizes = {
        spec.shape[0] for spec in tf.nest.flatten(dataset.element_spec)
    } - {None}
    for size in sizes:
        _check_share(size, replicas)
    if sizes:
        return dataset

    @tf.autograph.experimental.do_not_convert
    def check(*batch):
        size = tf.shape(tf.nest.flatten(batch)[0])[0]
        tf.debugging.Assert(
            size % replicas == 0,
            [
                f"Expected batches that {replicas} devices divide. Received: "
                "a batch of",
                size,
                "clips",
            ],
        )
        return batch if len(batch) > 1 else batch[0]

    return dataset.map(check, num_parallel_calls=tf.data.AUTOTUNE)


class _Alone:
    """Calls functions of a model in a replica as if it were the only one.

    They read and change the replica's copies of the variables.

    Args:
        model: a compiled `keras.Model` with all of its variables.
    """

    def __init__(self, model):
        self._model, self._compiled = model, {}

    def __call__(self, function, argument):
        """Calls a function of the model, which XLA compiles if it is to."""
        strategy = tf.distribute.get_strategy()
        devices = strategy.extended.worker_devices
        # The workers before this one have as many devices.
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        replica = int(tf.get_static_value(number)) % len(devices)
        key = function.__name__, replica
        if key not in self._compiled:
            self._compiled[key] = tf.function(
                function,
                autograph=False,
                jit_compile=bool(self._model.jit_compile),
            )
        spec = tf.nest.map_structure(tf.type_spec_from_value, argument)

        def trace():
            with tf.device(devices[replica]), self._copies(strategy, replica):
                return self._compiled[key].get_concrete_function(spec)

        # In another thread, which is in no strategy.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            context = contextvars.copy_context()
            traced = thread.submit(context.run, trace).result()
        return traced(argument)

    @contextlib.contextmanager
    def _copies(self, strategy, replica):
        """Has Keras's variables be the copies of one replica."""
        model = self._model
        optimizers = {model.optimizer}
        # One that scales the loss has another inside.
        optimizers.add(getattr(model.optimizer, "inner_optimizer", None))
        variables = [
            *model.variables,
            *model.metrics_variables,
            *model.optimizer.variables,
        ]
        with contextlib.ExitStack() as stack:
            for optimizer in optimizers - {None}:
                alone = _in_place(
                    optimizer,
                    _distribution_strategy=tf.distribute.get_strategy(),
                )
                stack.enter_context(alone)
            for variable in {id(of): of for of in variables}.values():
                copies = strategy.experimental_local_results(variable.value)
                stack.enter_context(_in_place(variable, _value=copies[replica]))
            yield


@contextlib.contextmanager
def _in_place(thing, **attributes):
    """Sets attributes of an object while the block runs."""
    own = vars(thing)
    before = {name: own[name] for name in attributes if name in own}
    own.update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            del own[name]
        own.update(before)
