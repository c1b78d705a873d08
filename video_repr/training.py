"""Training a model into a run directory."""

import dataclasses
import functools
import math
import pathlib
import sys

import keras

from video_repr import runs
from video_repr import schedules
from video_repr.callbacks import Checkpoints
from video_repr.callbacks import Clock
from video_repr.callbacks import Progress
from video_repr.callbacks import TensorBoard
from video_repr.configs.config import policy_of
from video_repr.data.run_data import frame_scaling
from video_repr.data.run_data import load_data
from video_repr.devices import Devices
from video_repr.devices import Workers
from video_repr.devices import losing_workers
from video_repr.errors import InputError
from video_repr.errors import need
from video_repr.evaluation import evaluate_run
from video_repr.files import remove_partials
from video_repr.files import write_json
from video_repr.inputs import Pictures
from video_repr.machine import made
from video_repr.models import ConvDecoder
from video_repr.models import ConvEncoder
from video_repr.models import Decoder
from video_repr.models import Encoder
from video_repr.models import VideoSeq2Seq
from video_repr.optimizers import with_compiled_update
from video_repr.precision import in_precision


def build_model(config, frames=None):
    """The untrained, compiled model of a config.

    Args:
        config: a `configs.Config`.
        frames: a `FrameScaling`; that of the config's data when None.

    Returns:
        A built `VideoSeq2Seq`. Its weights are a function of
        `config.training.seed`.

    Raises:
        InputError: if `config.model.patch` does not fit the frames.
    """
    model, training = config.model, config.training
    keras.utils.set_random_seed(training.seed)
    options = {
        "dropout": model.dropout,
        "forget_bias": model.forget_bias,
        "dtype": policy_of(training.precision),
    }
    sampling = schedules.sampling(config)
    kinds = {"reconstruction": model.reconstruction, "future": model.future}
    frames = frames or frame_scaling(config)
    if model.patch is None:
        encoder = functools.partial(Encoder, model.units)
        decoder = functools.partial(
            Decoder, model.units, math.prod(frames.shape)
        )
    else:
        pictures = Pictures.of(frames.shape, model.patch)
        pictures.check(frames.shape, f"for model.patch {model.patch}")
        options |= {"kernel_size": model.kernel_size, "patch": model.patch}
        encoder = functools.partial(ConvEncoder, model.units)
        decoder = functools.partial(ConvDecoder, model.units, pictures.channels)
    seq2seq = VideoSeq2Seq(
        encoder(
            offset=frames.offset,
            scale=frames.scale,
            # Percepts have no height and width.
            pixels=len(frames.shape) > 1,
            input_dropout=model.input_dropout,
            name="encoder",
            **options,
        ),
        {
            branch: decoder(
                output=model.output,
                conditional=kind == "conditional",
                first_step=model.first_step,
                residual=model.residual,
                scheduled_sampling=sampling,
                output_bias=model.output_bias,
                name=branch,
                **options,
            )
            for branch, kind in kinds.items()
            if kind != "none"
        },
        input_frames=model.input_frames,
        future_frames=0 if model.future == "none" else model.future_frames,
        dtype=policy_of(training.precision),
    )
    seq2seq.build((None, seq2seq.clip_frames, *frames.shape))
    seq2seq.compile(
        _optimizer(training),
        jit_compile=training.jit_compile,
        steps_per_execution=training.steps_per_execution,
    )
    # If the memory is too small for its variables, this fails before the data
    # are read rather than in the first step.
    seq2seq.optimizer.build(seq2seq.trainable_variables)
    return seq2seq


def _optimizer(training):
    rate = training.learning_rate
    if training.minutes is None:
        rate = schedules.learning_rate(training, training.steps)
    make = {
        "nadam": functools.partial(keras.optimizers.Nadam, beta_1=0.85),
        "adam": keras.optimizers.Adam,
        "rmsprop": functools.partial(
            keras.optimizers.RMSprop, rho=0.95, momentum=0.9
        ),
    }[training.optimizer]
    optimizer = make(rate, global_clipnorm=training.clip_norm)
    if training.jit_update:
        return with_compiled_update(optimizer)
    return optimizer


def pretrain(config, directory, **options):
    """Trains the model of a config and evaluates it.

    Of several machines only the first evaluates it.

    Args:
        config: a `configs.Config`.
        directory: the run directory to make.
        **options: as for `train`.

    Returns:
        `runs.Run`, complete but for the export.

    Raises:
        InputError: as for `train`.
        DivergedError: if the loss becomes NaN or infinite.
    """
    run = train(config, directory, **options)
    if Workers.from_environment().is_first:
        evaluate_run(run)
    return run


def train(
    config,
    directory,
    *,
    resume=False,
    gate_images=False,
    frames=None,
    encoder=None,
):
    """Trains the model of a config.

    With the environment variable TF_CONFIG it trains together with other
    machines. The first writes the run directory, which all must see.

    Args:
        config: a `configs.Config`.
        directory: the run directory to make.
        resume: whether to resume the run in the directory, if there is one.
            The result is the same as without the interruption.
        gate_images: whether to write images of the gates, of the encoder and of
            a rollout, to TensorBoard after every epoch.
        frames: as for `build_model`.
        encoder: an `Encoder` with the initial weights of the model's encoder;
            random weights when None.

    Returns:
        `runs.Run`, complete but for the evaluation and the export.

    Raises:
        InputError: if the directory exists and `resume` is False, or has the
            run of another config, the data cannot be loaded, the shapes of
            the encoder's weights differ from the config's, the devices are
            not there or do not divide a batch, or machines disagree.
        DivergedError: if the loss becomes NaN or infinite.
        WorkerLostError: if another machine of the training has stopped.
    """
    # Checked now, as the end of the first epoch may be hours later.
    need("report", "matplotlib", "PIL", "tensorboard")
    with in_precision(config.training.precision), losing_workers():
        return _train(config, directory, resume, gate_images, frames, encoder)


def _train(config, directory, resume, gate_images, frames, encoder):
    run = runs.Run(pathlib.Path(directory))
    devices = Devices.of(config.training)
    found = dataclasses.replace(config.training, devices=devices.count)
    config = dataclasses.replace(config, training=found)
    started = run.config_file.exists()
    if not started and not _is_empty(run.path):
        raise InputError(
            "Expected a new or a run directory. Received: "
            f"{str(run.path)!r}, which has other files"
        )
    if started and not resume:
        raise InputError(
            "Expected a new run directory. Received: "
            f"{str(run.path)!r}, which has a run; --resume goes on with it"
        )
    if started:
        config = _same_config(run, config)
    data = load_data(config)
    config = data.config
    if started:
        run.check_data(data)
    # Read now, to find a broken test set before the training.
    data.test()
    data.validation()
    data.train(config.training.batch_size)
    epoch = run.epochs(run.last) if started and run.last.exists() else 0
    devices.agree(
        config=config.to_dict(), data=data.fingerprint, checkpoint=epoch
    )
    with devices.scope():
        if epoch:
            model = run.model(run.last)
        else:
            model = build_model(config, frames)
            if encoder is not None:
                _begin_with(model.encoder, encoder)
    if devices.workers.is_first:
        _begin(run, data)
    _fit(data, run, model, epoch, gate_images, devices)
    return run


def _begin(run, data):
    """Writes what is known before the training."""
    run.path.mkdir(parents=True, exist_ok=True)
    write_json(run.config_file, data.config.to_dict())
    # A process that was killed may have written some of them.
    if not run.videos_file.exists():
        write_json(run.videos_file, data.videos())
    if not run.made_file.exists():
        write_json(run.made_file, made())
    write_json(run.data_file, {"fingerprint": data.fingerprint})
    remove_partials(run.path)
    run.last.parent.mkdir(exist_ok=True)


def _is_over(training, run, epoch):
    """Whether a run that was trained for some epochs has ended."""
    if training.minutes is None:
        return epoch == training.epochs
    return run.share(epoch) >= 1


def _is_empty(path):
    """Whether there is nothing, or only the first files of a killed process."""
    return not path.exists() or all(
        file.name.startswith(".partial-") for file in path.iterdir()
    )


def _begin_with(encoder, other):
    """Copies the weights of another encoder with the same shapes."""
    shapes, given = (
        [w.shape for w in e.get_weights()] for e in (encoder, other)
    )
    if shapes != given:
        raise InputError(
            f"Expected an encoder of {encoder.units} for {encoder.frame} to "
            f"begin with. Received: one of {other.units} for {other.frame}"
        )
    encoder.set_weights(other.get_weights())


def _same_config(run, config):
    """The config of the run to resume; `config` must equal it."""
    old = run.config()
    kinds = (old.data.kind, config.data.kind)
    if kinds == ("moving_mnist",) * 2 and config.data.digits == "auto":
        # "auto" means the source found when the run began.
        found = dataclasses.replace(config.data, digits=old.data.digits)
        config = dataclasses.replace(config, data=found)
    if kinds == ("clip_dataset",) * 2 and run.data_file.exists():
        # The dataset's fingerprint is compared, not its path.
        moved = dataclasses.replace(old.data, path=config.data.path)
        old = dataclasses.replace(old, data=moved)
    differences = [
        f"{section}.{name} {new!r} instead of {before.get(name)!r}"
        for section, before in old.to_dict().items()
        for name, new in config.to_dict()[section].items()
        if name not in before or new != before[name]
    ]
    if differences:
        raise InputError(
            f"Expected the config of the run in {run.path}, or a new "
            f"directory. Received: {', '.join(differences)}"
        )
    return old


def _fit(data, run, model, epoch, gate_images, devices):
    training = data.config.training
    if _is_over(training, run, epoch):
        print(f"{run.path}: all {epoch} epochs are trained.", flush=True)
        return
    validation = data.validation()
    verbose, writing = 0, []
    if devices.workers.is_first:
        verbose = 1 if sys.stdout.isatty() else 2
    clock, timed, length = None, [], devices.introduce()
    if training.minutes is not None:
        clock = Clock(data.config, run.share(epoch))
        timed = [clock, Progress(clock, verbose)]
        length += (
            f", for {training.minutes:g} minutes; the result depends on the "
            "speed of this machine, too"
        )
    print(
        f"Training {model.count_params():,} parameters on {data.introduce()}"
        f"{f', from epoch {epoch + 1} on' if epoch else ''}{length}.",
        flush=True,
    )
    if devices.workers.is_first:
        writing = [
            TensorBoard(run, validation[:4], gate_images),
            Checkpoints(run, training, epoch, clock),
        ]
    model.fit(
        # A function of the step: a resumed run sees what it would have seen.
        data.train(
            training.batch_size,
            start=epoch * training.steps_per_epoch * training.batch_size,
        ),
        # The clock ends the last one.
        epochs=training.epochs or sys.maxsize,
        initial_epoch=epoch,
        steps_per_epoch=training.steps_per_epoch,
        validation_data=validation,
        validation_batch_size=min(len(validation), 100),
        verbose=verbose if training.minutes is None else 0,
        callbacks=[*timed, *writing],
    )
