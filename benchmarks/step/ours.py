"""This package."""

import functools

import keras
import tensorflow as tf

from benchmarks.step.work import AbsentError
from video_repr import ConvDecoder
from video_repr import ConvEncoder
from video_repr import Decoder
from video_repr import Encoder
from video_repr import VideoSeq2Seq
from video_repr.precision import set_precision


def step(work):
    set_precision(work.precision)
    if work.devices == 1:
        return _step(work)
    gpus = len(tf.config.list_physical_devices("GPU"))
    if gpus < work.devices:
        raise AbsentError(f"{work.devices} GPUs, {gpus} found")
    devices = [f"/gpu:{i}" for i in range(work.devices)]
    with tf.distribute.MirroredStrategy(devices).scope():
        return _step(work)


def device_memory():
    """Peak bytes on the first GPU, None without one."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def _step(work):
    if work.task == "roll out":
        return _roll_out(work)
    clips = tf.constant(work.clips())
    if work.patch:
        shape = {"patch": work.patch, "kernel_size": work.kernel_size}
        encoder = ConvEncoder(work.units, **shape)
        decoder = functools.partial(ConvDecoder, work.units, **shape)
    else:
        encoder = Encoder(work.units)
        decoder = functools.partial(Decoder, work.units, work.features)
    if work.task == "encode":
        encoder.build(clips.shape)
        encode = tf.function(lambda: encoder(clips), jit_compile=True)
        return lambda: encode()[0, 0]
    if work.classes:
        model = _classifier(encoder, work)
        y = tf.constant(work.labels())
    else:
        model = VideoSeq2Seq(
            encoder,
            {
                name: decoder(
                    output=work.output,
                    conditional=work.conditional and name == "future",
                )
                for name in work.decoded
            },
            input_frames=work.input_frames,
            future_frames=work.future_frames,
        )
        model.build(clips.shape)
        model.compile(
            keras.optimizers.Adam(1e-3),
            jit_compile=True,
            # The mean over all frames, as the peers have it.
            loss_weights={
                name: frames / sum(work.decoded.values())
                for name, frames in work.decoded.items()
            },
        )
        y = None
    # As our own training does.
    model.optimizer.build(model.trainable_variables)
    if work.devices > 1:
        return _on_many(model, clips, y)
    return updates(model, clips, y)


def updates(model, clips, y):
    """Keras's `train_on_batch`, which would wait for the loss.

    The loss is the mean over all updates, as in an epoch of `fit`.
    """
    model.make_train_function()
    return lambda: model.train_function(iter([(clips, y, None)]))["loss"]


def _on_many(model, clips, y):
    """An update of which every device makes its share."""
    batch = tf.data.Dataset.from_tensors(clips if y is None else (clips, y))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    batches = batch.unbatch().batch(len(clips)).repeat().with_options(options)
    # This makes the metrics' variables, too.
    model.fit(batches, steps_per_epoch=1, verbose=0)
    batches = iter(
        model.distribute_strategy.experimental_distribute_dataset(batches)
    )
    return lambda: model.train_function(batches)["loss"]


def _roll_out(work):
    decoder = Decoder(work.units, work.features, conditional=True)
    decoder.build()
    states = [[tf.constant(x) for x in state] for state in work.states()]
    roll_out = tf.function(
        lambda: decoder(states, steps=work.future_frames), jit_compile=True
    )
    return lambda: roll_out()[0, -1, 0]


def _classifier(encoder, work):
    clips = keras.Input((work.input_frames, work.features))
    sequence = encoder.encode_sequence(clips)
    logits = keras.layers.Dense(work.classes)(sequence)
    model = keras.Model(clips, logits)
    model.compile(
        keras.optimizers.Adam(1e-3), every_step, jit_compile=work.devices == 1
    )
    return model


def every_step(labels, logits):
    # Keras casts them to the type of the logits.
    labels = tf.cast(labels, tf.int32)
    labels = tf.repeat(labels[:, None], logits.shape[1], axis=1)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


SYSTEMS = {"ours": step}
