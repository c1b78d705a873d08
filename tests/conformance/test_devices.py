"""What can be known about GPUs where there is none."""

import re

import keras
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

from video_repr import Decoder
from video_repr import Encoder
from video_repr import VideoSeq2Seq

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def one_step():
    """A compiled training step of every kind of decoder, and its clips."""
    model = VideoSeq2Seq(
        Encoder((4, 5)),
        {
            "reconstruction": Decoder((4, 5), 6),
            "future": Decoder((4, 5), 6, conditional=True),
        },
        input_frames=3,
        future_frames=2,
    )
    model.compile(keras.optimizers.Nadam(1e-3, global_clipnorm=1.0))
    model.build((2, 5, 6))
    model.optimizer.build(model.trainable_variables)
    return tf.function(model.train_step, jit_compile=True), tf.zeros((2, 5, 6))


def operations(graph):
    """Types of the operations of a graph, those of its functions too."""
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes += function.node_def
    functions = {f.signature.name for f in definition.library.function}
    # Placeholders are what a function is called with.
    return {node.op for node in nodes} - functions - {"Placeholder"}


def missing_on_gpus(function, *arguments):
    """Operations of a compiled function without a kernel of XLA for GPUs."""
    graph = function.get_concrete_function(*arguments).graph
    return {
        operation
        for operation in operations(graph)
        if not any(
            kernel.device_type == "XLA_GPU_JIT"
            for kernel in kernels.get_registered_kernels_for_op(
                operation
            ).kernel
        )
    }


def test_every_operation_of_a_step_has_a_kernel_for_gpus(one_step):
    step, clips = one_step
    assert not missing_on_gpus(step, clips)


def test_an_operation_without_a_kernel_for_gpus_is_found():
    step = tf.function(lambda x: tf.py_function(lambda y: y, [x], tf.float32))
    assert missing_on_gpus(step, tf.zeros(())) == {"EagerPyFunc"}


def test_a_step_stays_on_its_device_with_known_shapes(one_step):
    step, clips = one_step
    program = step.experimental_get_compiler_ir(clips)(stage="hlo")
    # The type before an operation may be a tuple.
    found = set(re.findall(r"= .*?[\])}] ([a-z-]+)\(", program))
    assert {"dot", "while", "parameter"} <= found
    assert not found & {
        *("infeed", "outfeed", "send", "recv", "custom-call", "rng"),
        *("set-dimension-size", "get-dimension-size"),
    }
    # A dynamic dimension is written as a bound.
    assert "<=" not in program
    assert "f64" not in program


def test_replicas_of_the_benchmark_need_gpus():
    from benchmarks.step.ours import AbsentError
    from benchmarks.step.ours import step
    from benchmarks.step.work import Work

    gpus = len(tf.config.list_physical_devices("GPU"))
    with pytest.raises(AbsentError, match=f"{gpus} found"):
        step(Work(2, 6, (4,), 3, 2, devices=gpus + 2))
