"""What the components do: their inputs as kfp gives them, and our functions.

Settings come as JSON: kfp's own numbers would all be floating point.
"""

import json
import pathlib

from pipelines.training.artifacts import making
from pipelines.training.artifacts import tell
from pipelines.training.artifacts import telling
from pipelines.training.settings import EvaluatorConfig
from pipelines.training.settings import ExampleValidatorConfig
from pipelines.training.settings import FineTunerConfig
from pipelines.training.settings import TrainerConfig
from pipelines.training.settings import TunerConfig
from video_repr import configs
from video_repr.model_card import Terms


def example_gen(films, fingerprint, name, settings, beam_options, examples):
    """Films to a dataset directory, NAME/1 in the artifact."""
    from pipelines import patches
    from pipelines import percepts
    from pipelines.arguments import Output
    from pipelines.engine import Engine
    from pipelines.training.config import ExampleGenConfig

    config = _read(settings, ExampleGenConfig)
    options = tuple(json.loads(beam_options))
    parameters = {
        "films": films,
        "films_fingerprint": fingerprint,
        "settings": json.loads(settings),
    }

    def make(root):
        output = Output(
            f"{root}/{name}/1",
            max_failure_rate=config.max_failure_rate,
            validation=config.validation,
            test=config.test,
            shard_mb=config.shard_mb,
        )
        kinds = {"patches": patches.Arguments, "percepts": percepts.Arguments}
        how = getattr(config, config.kind)
        run = kinds[config.kind](
            config.input(films), output, how, config.workers
        )
        run(options)

    if "://" in examples.uri and Engine(beam_options=options).runner:
        # Workers elsewhere write to the bucket itself, whole or not at all.
        with telling("ExampleGen"):
            make(examples.uri)
            examples.metadata["fingerprint"] = _fingerprint_in(
                f"{examples.uri}/{name}/1"
            )
        return
    with making("ExampleGen", examples, parameters, resumes=True) as folder:
        make(folder)


def _fingerprint_in(dataset):
    """The fingerprint of a dataset directory in any of Beam's file systems."""
    from pipelines.transforms.write import read_json
    from video_repr.data import dataset as datasets
    from video_repr.data.features import Features

    info, features = (
        read_json(f"{dataset}/{name}.json") for name in ("info", "features")
    )
    return datasets.fingerprint(info, Features.from_dict(features))


def statistics_gen(examples, workers, statistics):
    """What is in the records, counted anew."""
    from pipelines.training.statistics_gen import write_statistics

    with making(
        "StatisticsGen", statistics, inputs={"examples": examples}
    ) as f:
        write_statistics(dataset_of(examples.path), f, workers)


def schema_gen(statistics, schema):
    """What records have to be."""
    from pipelines.training.schema_gen import write_schema

    with making("SchemaGen", schema, inputs={"statistics": statistics}) as f:
        write_schema(statistics.path, f)


def example_validator(
    statistics, schema, settings, example_gen_settings, previous, anomalies
):
    """Stops the pipeline where the records are not what they have to be."""
    from pipelines.training.example_validator import validate

    config = _read(settings, ExampleValidatorConfig)
    of = json.loads(example_gen_settings)
    # Official lists say which films are for testing.
    drawn = of["layout"] not in ("ucf101", "hmdb51")
    shares = {split: of[split] for split in ("validation", "test")}
    with making(
        "ExampleValidator",
        anomalies,
        {"settings": json.loads(settings), "previous_statistics": previous},
        {"statistics": statistics, "schema": schema},
    ) as f:
        validate(
            statistics.path,
            schema.path,
            f,
            config,
            shares if drawn else None,
            previous or None,
        )


def transform(statistics, trainer_settings, transform):
    """How frames are scaled."""
    from pipelines.training.transform import write_transform

    output = _read(trainer_settings, TrainerConfig).model.output
    with making(
        "Transform", transform, {"output": output}, {"statistics": statistics}
    ) as f:
        write_transform(statistics.path, f, output)


def tuner(examples, transform, trainer_settings, settings, hyperparameters):
    """Settings of the trainer that do well in short trainings."""
    from pipelines.training.trainer import tune

    with making(
        "Tuner",
        hyperparameters,
        {
            "trainer": json.loads(trainer_settings),
            "settings": json.loads(settings),
        },
        {"examples": examples, "transform": transform},
    ) as f:
        tune(
            dataset_of(examples.path),
            transform.path,
            f,
            _read(trainer_settings, TrainerConfig),
            _read(settings, TunerConfig),
        )


def trainer(
    examples,
    transform,
    settings,
    warm_start_fingerprint,
    model,
    hyperparameters,
):
    """A run directory."""
    from pipelines.training.trainer import known_by
    from pipelines.training.trainer import train

    inputs = {"examples": examples, "transform": transform}
    if hyperparameters is not None:
        inputs["hyperparameters"] = hyperparameters
    with making(
        "Trainer",
        model,
        {
            "settings": json.loads(settings),
            "warm_start_fingerprint": warm_start_fingerprint,
        },
        inputs,
        resumes=True,
        known_by=known_by,
    ) as f:
        train(
            dataset_of(examples.path),
            transform.path,
            f,
            _read(settings, TrainerConfig),
            hyperparameters and hyperparameters.path,
        )


def resolver(model, saved_models, name):
    """The encoder that was blessed last, and its fingerprint, JSON."""
    from pipelines.training.resolver import last_blessed
    from video_repr.files import sha256

    with telling("Resolver"):
        found = last_blessed(saved_models, name, model.metadata["fingerprint"])
        told = {}
        if found is not None:
            told = {
                "path": str(found),
                "fingerprint": sha256(found / "SHA256SUMS"),
            }
            print(f"Blessed last: {found}")
        tell("Resolver", "finished", uri=told.get("path"))
        return json.dumps(told)


def evaluator(model, examples, last_blessed, settings, evaluation):
    """Whether the model is good enough."""
    from pipelines.training.evaluator import bless

    config = _read(settings, EvaluatorConfig)
    last = json.loads(last_blessed)
    with making(
        "Evaluator",
        evaluation,
        {"settings": json.loads(settings), "last_blessed": last},
        {"model": model, "examples": examples},
    ) as f:
        bless(
            model.path, dataset_of(examples.path), f, config, last.get("path")
        )


def fine_tuner(model, examples, settings, classifier):
    """A classifier around the encoder."""
    from pipelines.training.evaluator import fine_tune

    with making(
        "FineTuner",
        classifier,
        {"settings": json.loads(settings)},
        {"model": model, "examples": examples},
    ) as f:
        fine_tune(
            model.path,
            dataset_of(examples.path),
            f,
            _read(settings, FineTunerConfig),
        )


def pusher(model, evaluation, examples, saved_models, name, terms, pushed):
    """A blessed model to where encoders are taken from."""
    from pipelines.training.pusher import push
    from video_repr.files import write_json

    inputs = {"model": model, "evaluation": evaluation}
    with making(
        "Pusher", pushed, {"saved_models": saved_models, "name": name}, inputs
    ) as f:
        lineage = {
            "examples": examples.metadata["fingerprint"],
            "evaluation": evaluation.metadata["fingerprint"],
        }
        directory = push(
            model.path,
            model.metadata["fingerprint"],
            evaluation.path,
            saved_models,
            name,
            _read(terms, Terms),
            lineage,
        )
        write_json(f / "pushed.json", {"pushed": directory and str(directory)})


def dataset_of(path):
    """The dataset directory in the artifact of ExampleGen."""
    (info,) = pathlib.Path(path).glob("*/1/info.json")
    return info.parent


def _read(settings, kind):
    return configs.from_dict(json.loads(settings), kind, kind.__name__)
