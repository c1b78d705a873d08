"""The training pipeline: from a folder of films to a blessed encoder.

Components have the names of TFX, and run in Kubeflow Pipelines: on one machine
with `video-repr pipeline run`, on Kubeflow or Vertex AI from the YAML that
`video-repr pipeline compile` writes.

    ExampleGen -> StatisticsGen -> SchemaGen -> ExampleValidator
        -> Transform [-> Tuner] -> Trainer -> Resolver -> Evaluator -> Pusher
                                       [-> FineTuner]
"""

import dataclasses
import json

from kfp import compiler
from kfp import dsl
from kfp.dsl import Artifact
from kfp.dsl import Dataset
from kfp.dsl import Input
from kfp.dsl import Model
from kfp.dsl import Output

# kfp copies the source of these functions and nothing around it. So they import
# what they need, and only call one of our functions.


def example_gen(
    films: str,
    films_fingerprint: str,
    name: str,
    settings: str,
    beam_options: str,
    examples: Output[Dataset],
):
    """Makes records of patches or percepts from films."""
    from pipelines.training.example_gen import run

    run(films, films_fingerprint, name, settings, beam_options, examples)


def statistics_gen(
    examples: Input[Dataset], workers: int, statistics: Output[Artifact]
):
    """Computes statistics from the records."""
    from pipelines.training.statistics_gen import run

    run(examples, workers, statistics)


def schema_gen(statistics: Input[Artifact], schema: Output[Artifact]):
    """Makes the schema of records."""
    from pipelines.training.schema_gen import run

    run(statistics, schema)


def example_validator(
    statistics: Input[Artifact],
    schema: Input[Artifact],
    settings: str,
    example_gen_settings: str,
    previous_statistics: str,
    anomalies: Output[Artifact],
):
    """Stops the pipeline if the records have anomalies."""
    from pipelines.training.example_validator import run

    run(
        statistics,
        schema,
        settings,
        example_gen_settings,
        previous_statistics,
        anomalies,
    )


def transform(
    statistics: Input[Artifact],
    trainer_settings: str,
    transform: Output[Artifact],
):
    """Fits the scaling of frames on the train split alone."""
    from pipelines.training.transform import run

    run(statistics, trainer_settings, transform)


def tuner(
    examples: Input[Dataset],
    transform: Input[Artifact],
    trainer_settings: str,
    settings: str,
    hyperparameters: Output[Artifact],
):
    """Searches for good settings of the trainer in short trainings."""
    from pipelines.training.tuner import run

    run(examples, transform, trainer_settings, settings, hyperparameters)


def trainer(
    examples: Input[Dataset],
    transform: Input[Artifact],
    settings: str,
    warm_start_fingerprint: str,
    model: Output[Model],
    hyperparameters: Input[Artifact] = None,
):
    """Pretrains a model without labels."""
    from pipelines.training.trainer import run

    run(
        examples,
        transform,
        settings,
        warm_start_fingerprint,
        model,
        hyperparameters,
    )


def resolver(model: Input[Model], saved_models: str, name: str) -> str:
    """Finds the last blessed encoder."""
    from pipelines.training.resolver import run

    return run(model, saved_models, name)


def evaluator(
    model: Input[Model],
    examples: Input[Dataset],
    last_blessed: str,
    settings: str,
    evaluation: Output[Artifact],
):
    """Decides whether the model is better than baselines and the last one."""
    from pipelines.training.evaluator import run

    run(model, examples, last_blessed, settings, evaluation)


def fine_tuner(
    model: Input[Model],
    examples: Input[Dataset],
    settings: str,
    classifier: Output[Model],
):
    """Fits an action classifier on top of the encoder."""
    from pipelines.training.fine_tuner import run

    run(model, examples, settings, classifier)


def pusher(
    model: Input[Model],
    evaluation: Input[Artifact],
    examples: Input[Dataset],
    saved_models: str,
    name: str,
    terms: str,
    pushed: Output[Artifact],
):
    """Exports a blessed model to `saved_models`."""
    from pipelines.training.pusher import run

    run(model, evaluation, examples, saved_models, name, terms, pushed)


def make_pipeline(config):
    """The pipeline of a config, for kfp.

    The settings of the config are the defaults of the pipeline's parameters, in
    JSON unless they are plain strings.

    Args:
        config: a `pipelines.training.config.PipelineConfig`.

    Returns:
        The result of `kfp.dsl.pipeline` for a function.
    """
    cluster = config.cluster

    def step(function, resources, cached=True, **arguments):
        component = dsl.component(
            function, base_image=cluster.image, install_kfp_package=False
        )
        task = component(**arguments)
        task.set_display_name(component_name(function.__name__))
        task.set_cpu_limit(resources.cpu)
        task.set_memory_limit(resources.memory)
        if resources.accelerator:
            task.set_accelerator_type(resources.accelerator)
            task.set_accelerator_limit(resources.accelerators)
        task.set_caching_options(cached)
        return task

    @dsl.pipeline(name=config.name.lower().replace("_", "-"))
    def pipeline(
        films: str = config.films,
        films_fingerprint: str = "",
        saved_models: str = config.saved_models,
        previous_statistics: str = "",
        warm_start_fingerprint: str = "",
        beam_options: str = "[]",
        example_gen_settings: str = _json(config.example_gen),
        example_validator_settings: str = _json(config.example_validator),
        tuner_settings: str = _json(config.tuner),
        trainer_settings: str = _json(config.trainer),
        evaluator_settings: str = _json(config.evaluator),
        fine_tuner_settings: str = _json(config.fine_tuner),
        terms: str = _json(config.terms),
    ):
        examples = step(
            example_gen,
            cluster.data,
            films=films,
            films_fingerprint=films_fingerprint,
            name=config.name,
            settings=example_gen_settings,
            beam_options=beam_options,
        ).outputs["examples"]
        statistics = step(
            statistics_gen,
            cluster.data,
            examples=examples,
            workers=config.example_gen.workers,
        ).outputs["statistics"]
        schema = step(schema_gen, cluster.small, statistics=statistics).outputs[
            "schema"
        ]
        # It depends on an earlier run, and is too quick to need a cache.
        valid = step(
            example_validator,
            cluster.small,
            cached=False,
            statistics=statistics,
            schema=schema,
            settings=example_validator_settings,
            example_gen_settings=example_gen_settings,
            previous_statistics=previous_statistics,
        )
        transformed = step(
            transform,
            cluster.small,
            statistics=statistics,
            trainer_settings=trainer_settings,
        ).after(valid)
        learned_from = {
            "examples": examples,
            "transform": transformed.outputs["transform"],
        }
        found = {}
        if config.tuner.trials:
            found = step(
                tuner,
                cluster.models,
                **learned_from,
                trainer_settings=trainer_settings,
                settings=tuner_settings,
            ).outputs
        model = step(
            trainer,
            cluster.models,
            **learned_from,
            **found,
            settings=trainer_settings,
            warm_start_fingerprint=warm_start_fingerprint,
        ).outputs["model"]
        last = step(
            resolver,
            cluster.small,
            cached=False,
            model=model,
            saved_models=saved_models,
            name=config.name,
        )
        evaluation = step(
            evaluator,
            cluster.models,
            model=model,
            examples=examples,
            last_blessed=last.output,
            settings=evaluator_settings,
        ).outputs["evaluation"]
        if config.fine_tuner.enabled:
            step(
                fine_tuner,
                cluster.models,
                model=model,
                examples=examples,
                settings=fine_tuner_settings,
            )
        # The export lies outside, where it may have been removed.
        step(
            pusher,
            cluster.small,
            cached=False,
            model=model,
            evaluation=evaluation,
            examples=examples,
            saved_models=saved_models,
            name=config.name,
            terms=terms,
        )

    return pipeline


def component_name(function):
    """TFX's name of a component: "ExampleGen" for "example_gen"."""
    return "".join(word.capitalize() for word in function.split("_"))


def compile_pipeline(config, path):
    """Writes the YAML of a pipeline, for Kubeflow or Vertex AI."""
    compiler.Compiler().compile(make_pipeline(config), str(path))


def _json(settings):
    return json.dumps(dataclasses.asdict(settings))
