"""The devices and machines that a run trains on."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import subprocess
import sys

import tensorflow as tf

from video_repr.errors import InputError
from video_repr.errors import WorkerLostError

# Seconds until a worker that does not come is named, and again.
_PATIENCE = 60


@dataclasses.dataclass(frozen=True)
class Workers:
    """The processes that train one model together, one on each machine.

    Attributes:
        addresses: "host:port" of each; empty without other machines.
        index: which of them this process is.
    """

    addresses: tuple[str, ...] = ()
    index: int = 0

    @classmethod
    def from_environment(cls):
        """Reads them from TF_CONFIG, as TensorFlow describes it.

        Raises:
            InputError: if it is something else.
        """
        text = os.environ.get("TF_CONFIG")
        if not text:
            return cls()
        try:
            given = json.loads(text)
            cluster, task = given["cluster"], given["task"]
            # In TensorFlow's order.
            names = [
                (kind, index)
                for kind in sorted(cluster)
                for index in range(len(cluster[kind]))
            ]
            addresses = tuple(str(cluster[of][index]) for of, index in names)
            index = names.index((task["type"], int(task["index"])))
            right = set(cluster) <= {"chief", "worker"}
        except (KeyError, TypeError, ValueError):
            right = False
        if not right:
            raise InputError(
                "Expected TF_CONFIG with a cluster of workers, of a chief at "
                f"most, and a task among them. Received: {text:.300}"
            )
        return cls(addresses, index) if len(addresses) > 1 else cls()

    @property
    def is_first(self):
        """Whether this process writes the run: the first, or the only one."""
        return self.index == 0

    def name(self, index):
        """A worker in words."""
        return f"worker {index} ({self.addresses[index]})"


@dataclasses.dataclass(frozen=True)
class Devices:
    """What a run trains on.

    Attributes:
        count: number of devices of this machine.
        workers: `Workers`.
        strategy: a `tf.distribute.Strategy`; None for a single device.
    """

    count: int
    workers: Workers
    strategy: tf.distribute.Strategy | None

    @classmethod
    def of(cls, training):
        """The devices of a `configs.TrainingConfig`.

        They are GPUs, or on machines without one TensorFlow's CPU devices.
        With TF_CONFIG it waits for the other workers, and says each minute
        which of them do not answer.

        Raises:
            InputError: if there are fewer, if they do not divide a batch, or
                if several machines are to train for a time.
        """
        workers = Workers.from_environment()
        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        # With several machines TensorFlow must not have begun.
        found = (
            tf.config.list_physical_devices(kind)
            if workers.addresses
            else tf.config.list_logical_devices(kind)
        )
        count = len(found) if training.devices == "all" else training.devices
        if count > len(found):
            raise InputError(
                f"Expected training.devices of at most {len(found)}, as there "
                f"are {kind}s. Received: {count}"
            )
        replicas = count * max(1, len(workers.addresses))
        if training.batch_size % replicas:
            raise InputError(
                f"Expected a training.batch_size that {replicas} devices "
                f"divide. Received: {training.batch_size}"
            )
        if not workers.addresses:
            strategy = None
            if count > 1:
                names = [device.name for device in found[:count]]
                strategy = tf.distribute.MirroredStrategy(names)
            return cls(count, workers, strategy)
        if training.minutes is not None:
            raise InputError(
                "Expected training.epochs for several machines, whose clocks "
                f"differ. Received: training.minutes {training.minutes}"
            )
        if kind == "GPU":
            tf.config.set_visible_devices(found[:count], kind)
        with _naming_who_is_missing(workers):
            return cls(count, workers, _all_machines())

    def scope(self):
        """A context in which models are made on these devices."""
        if self.strategy is None:
            return contextlib.nullcontext()
        return self.strategy.scope()

    def introduce(self):
        """How many they are, in words for the end of a sentence."""
        machines = len(self.workers.addresses)
        if machines:
            return f", on {machines} machines"
        return f", on {self.count} devices" if self.strategy else ""

    def agree(self, **values):
        """Refuses workers that disagree.

        Args:
            **values: what they must agree about, by name: JSON's types.

        Raises:
            InputError: in all of them, if they do not.
        """
        if not self.workers.addresses:
            return
        # Of 62 bits, for int64.
        mine = [
            int(hashlib.sha256(json.dumps(value).encode()).hexdigest()[:15], 16)
            for value in values.values()
        ]

        @tf.function
        def gather():
            context = tf.distribute.get_replica_context()
            return context.all_gather(tf.constant([mine], tf.int64), axis=0)

        with _naming_who_is_missing(self.workers):
            rows = self.strategy.run(gather)
        rows = self.strategy.experimental_local_results(rows)[0].numpy()
        for index, row in enumerate(rows[:: self.count]):
            for name, here, first in zip(values, row, rows[0], strict=True):
                if here != first:
                    raise InputError(
                        f"Expected the same {name} on all workers. Received: "
                        f"another on {self.workers.name(index)} than on "
                        f"{self.workers.name(0)}"
                    )


@contextlib.contextmanager
def losing_workers():
    """Says in a sentence that another worker has stopped.

    Raises:
        WorkerLostError: if TensorFlow finds in the block that one has.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        raise WorkerLostError(
            "Another machine of this training has stopped or does not answer. "
            "The same command on all of them, with --resume, goes on from the "
            "last checkpoint."
        ) from error


@functools.cache
def _all_machines():
    """The strategy of TF_CONFIG; TensorFlow makes one in a process."""
    return tf.distribute.MultiWorkerMirroredStrategy()


# A process of its own, as TensorFlow lets no other thread run while it waits.
# It ends with its standard input.
_WATCH = """
import select, socket, sys

def answers(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
        return True
    except (OSError, ValueError):
        return False

seconds, *others = sys.argv[1:]
waited = 0
while not select.select([sys.stdin], [], [], int(seconds))[0]:
    waited += int(seconds)
    missing = [
        f"worker {index} ({address})"
        for index, address in (other.split("=", 1) for other in others)
        if not answers(address)
    ]
    who = " and ".join(missing) or "the other workers"
    print(f"Waiting for {who} for {waited} s.", file=sys.stderr, flush=True)
"""


@contextlib.contextmanager
def _naming_who_is_missing(workers):
    """Says which workers do not answer while the block waits for them."""
    others = [
        f"{index}={address}"
        for index, address in enumerate(workers.addresses)
        if index != workers.index
    ]
    command = [sys.executable, "-c", _WATCH, str(_PATIENCE), *others]
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        # Its end closes the input.
        yield
