"""Short trainings that differ from a base in one thing.

    python -m benchmarks.tries --minutes 3.3 --json FILE

Every try gets the same time, and a whole schedule of the learning rate in
it: the rate falls with the time that is spent rather than with the updates,
so that a cheaper update is worth what it saves. Validation digits judge. Called
again with the same FILE it goes on with the tries that are missing in it.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tyro

from benchmarks.resume import results_before
from video_repr import configs
from video_repr.data.run_data import MovingMNISTData
from video_repr.files import write_json
from video_repr.machine import machine
from video_repr.optimizers import with_compiled_update
from video_repr.precision import set_precision
from video_repr.training import build_model


def _down(spent):
    return 1 - spent


def _slowly_down(spent):
    return (1 - spent) ** 0.5


def _flat(spent):
    return 1.0


@dataclasses.dataclass(frozen=True)
class Try:
    """One change of the base.

    Attributes:
        model: changed fields of `ModelConfig`.
        training: changed fields of `TrainingConfig`.
        optimizer: name in `keras.optimizers`, instead of the base's.
        options: arguments of that optimizer.
        loss_weights: of the branches.
        rate: share of the learning rate after a share of the time.
        scale: factors of initial weights, by the end of their paths.
        orthogonal: whether the recurrent weights of each gate start so.
    """

    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    training: dict[str, Any] = dataclasses.field(default_factory=dict)
    optimizer: str | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    loss_weights: dict[str, float] | None = None
    rate: Callable[[float], float] = _down
    scale: dict[str, float] = dataclasses.field(default_factory=dict)
    orthogonal: bool = False


TRIES = {
    "base": Try(),
    "base, seed 1": Try(training={"seed": 1}),
    "Adam": Try(training={"optimizer": "adam"}),
    "RMSProp with momentum, rate 1e-3": Try(
        training={"optimizer": "rmsprop", "learning_rate": 1e-3}
    ),
    "Lion, rate 3e-4": Try(optimizer="Lion", training={"learning_rate": 3e-4}),
    "Muon": Try(
        optimizer="Muon",
        options={"exclude_layers": ["readout"], "adam_lr_ratio": 1.0},
    ),
    "Nadam, beta_1 0.7": Try(optimizer="Nadam", options={"beta_1": 0.7}),
    "Nadam, beta_1 0.95": Try(optimizer="Nadam", options={"beta_1": 0.95}),
    "Nadam, beta_2 0.98": Try(
        optimizer="Nadam", options={"beta_1": 0.85, "beta_2": 0.98}
    ),
    "rate 1.5e-3": Try(training={"learning_rate": 1.5e-3}),
    "rate 6e-3": Try(training={"learning_rate": 6e-3}),
    "rate as the root of what is left": Try(rate=_slowly_down),
    "rate flat, weights averaged": Try(
        rate=_flat,
        optimizer="Nadam",
        options={"beta_1": 0.85, "use_ema": True, "ema_momentum": 0.99},
    ),
    "batch 16": Try(training={"batch_size": 16}),
    "batch 64": Try(training={"batch_size": 64}),
    "clip norm 10": Try(training={"clip_norm": 10.0}),
    "clip norm 1000": Try(training={"clip_norm": 1000.0}),
    "forget bias 0": Try(model={"forget_bias": 0.0}),
    "forget bias 1": Try(model={"forget_bias": 1.0}),
    "forget bias 5": Try(model={"forget_bias": 5.0}),
    "output bias 0": Try(model={"output_bias": 0.0}),
    "output bias -4": Try(model={"output_bias": -4.0}),
    "input kernel x 4": Try(scale={"encoder/lstm_1/cell/kernel": 4.0}),
    "output kernel x 0.2": Try(scale={"readout/kernel": 0.2}),
    "orthogonal recurrent kernels": Try(orthogonal=True),
    "256 units": Try(model={"units": (256,)}),
    "768 units": Try(model={"units": (768,)}),
    "1024 units": Try(model={"units": (1024,)}),
    "mixed bfloat16 under XLA": Try(training={"precision": "mixed_bfloat16"}),
    "mixed bfloat16, the update alone under XLA": Try(
        training={
            "precision": "mixed_bfloat16",
            "jit_compile": False,
            "jit_update": True,
        }
    ),
    "reconstruction x 0.3": Try(
        loss_weights={"reconstruction": 0.3, "future": 1.0}
    ),
    "future alone": Try(model={"reconstruction": "none"}),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Try recipes.

    Attributes:
        tries: names of tries, all when left out.
        config: the base.
        digits: source of the glyphs, as in a config.
        minutes: training time of each, without its compilation.
        json: file to write, anew after each try.
    """

    tries: tuple[str, ...] = tuple(TRIES)
    config: str = "demo"
    digits: str = "auto"
    minutes: float = 5.0
    json: pathlib.Path | None = None


def run(attempt, config, minutes):
    """Trains; returns the updates made and the validation losses."""
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, **attempt.model),
        training=dataclasses.replace(config.training, **attempt.training),
    )
    # The rate is set below.
    training = dataclasses.replace(config.training, schedule="constant")
    config = dataclasses.replace(config, training=training)
    data = MovingMNISTData.of(config)
    set_precision(training.precision)
    model = build_model(config)
    _initialize(model, attempt)
    optimizer = model.optimizer
    if attempt.optimizer:
        optimizer = getattr(keras.optimizers, attempt.optimizer)(
            global_clipnorm=training.clip_norm, **attempt.options
        )
        if training.jit_update:
            optimizer = with_compiled_update(optimizer)
    optimizer.learning_rate = 0.0
    model.compile(
        optimizer,
        jit_compile=training.jit_compile,
        loss_weights=attempt.loss_weights,
    )
    batches = iter(data.sequences("train").dataset(training.batch_size))
    # Compiles; a rate of 0 leaves the weights as they are.
    model.train_on_batch(next(batches))
    started, updates, spent = time.perf_counter(), 0, 0.0
    while spent < 1:
        optimizer.learning_rate.assign(
            training.learning_rate * attempt.rate(spent)
        )
        model.train_on_batch(next(batches))
        updates += 1
        spent = (time.perf_counter() - started) / (60 * minutes)
    if optimizer.use_ema:
        optimizer.finalize_variable_values(model.trainable_variables)
    losses = model.evaluate(
        data.validation(), batch_size=100, verbose=0, return_dict=True
    )
    return {
        "updates": updates,
        "sequences": updates * training.batch_size,
        "future": losses.get("future_loss", losses["loss"]),
        "reconstruction": losses.get("reconstruction_loss"),
    }


def _changes(attempt):
    """What a try changes, for its result to be told by."""
    changes = {
        field.name: getattr(attempt, field.name)
        for field in dataclasses.fields(attempt)
        if field.name != "rate"
        and getattr(attempt, field.name) != field.default
    }
    changes["rate"] = attempt.rate.__name__
    return json.loads(json.dumps(changes))


def _initialize(model, attempt):
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        for path, factor in attempt.scale.items():
            if variable.path.endswith(path):
                variable.assign(variable * factor)
        if attempt.orthogonal and variable.path.endswith("recurrent_kernel"):
            units = variable.shape[0]
            gates = [
                np.linalg.qr(rng.normal(size=(units, units)))[0]
                for _ in range(4)
            ]
            variable.assign(np.concatenate(gates, axis=1))


def main():
    arguments = tyro.cli(Arguments)
    config = configs.load(arguments.config)
    data = dataclasses.replace(config.data, digits=arguments.digits)
    data = MovingMNISTData.of(dataclasses.replace(config, data=data))
    config = data.config
    asked = {
        "machine": machine(),
        "config": config.to_dict(),
        "digits": data.digits.describe(),
        "minutes": arguments.minutes,
    }
    results = results_before(arguments.json, asked) or {}
    for name in arguments.tries:
        changes = _changes(TRIES[name])
        if results.get(name, {}).get("changes") == changes:
            continue
        result = run(TRIES[name], config, arguments.minutes)
        result["changes"] = changes
        results[name] = result
        print(
            f"{name:<34}{result['updates']:>8,} updates   future "
            f"{result['future']:.1f}   reconstruction "
            f"{result['reconstruction'] or float('nan'):.1f}",
            flush=True,
        )
        if arguments.json:
            write_json(arguments.json, {**asked, "results": results})


if __name__ == "__main__":
    main()
