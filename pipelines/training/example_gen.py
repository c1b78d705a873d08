"""ExampleGen: makes a dataset directory from films."""

import json

from pipelines import patches
from pipelines import percepts
from pipelines.arguments import Output
from pipelines.engine import Engine
from pipelines.storage import read_json
from pipelines.training.artifacts import component_events
from pipelines.training.artifacts import write_artifact
from pipelines.training.config import ExampleGenConfig
from pipelines.training.settings import read_settings


def run(films, fingerprint, name, settings, beam_options, examples):
    """Makes a dataset directory from films, NAME/1 in the artifact."""
    config = read_settings(settings, ExampleGenConfig)
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
        # Workers on other machines write to the bucket itself, whole or not at
        # all.
        with component_events("ExampleGen"):
            make(examples.uri)
            examples.metadata["fingerprint"] = fingerprint_in(
                f"{examples.uri}/{name}/1"
            )
        return
    with write_artifact(
        "ExampleGen", examples, parameters, resumes=True
    ) as folder:
        make(folder)


def fingerprint_in(dataset):
    """The fingerprint of a dataset directory in any of Beam's file systems."""
    from video_repr.data import dataset as datasets
    from video_repr.data.features import Features

    info, features = (
        read_json(f"{dataset}/{name}.json") for name in ("info", "features")
    )
    return datasets.fingerprint(info, Features.from_dict(features))
