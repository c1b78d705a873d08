"""The training pipeline: from a folder of films to a blessed encoder.

Components are named as TFX names them, and run as Kubeflow Pipelines: on one
machine by `video-repr pipeline run`, on Kubeflow or Vertex AI from what
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

# kfp takes the source of these functions and nothing around it: they import
# what they need, and say no more than which of our functions does the work.


def example_gen(
    films: str,
    films_fingerprint: str,
    name: str,
    settings: str,
    beam_options: str,
    examples: Output[Dataset],
):
    """Films to records of patches or percepts."""
    from pipelines.training import components

    components.example_gen(
        films, films_fingerprint, name, settings, beam_options, examples
    )


def statistics_gen(
    examples: Input[Dataset], workers: int, statistics: Output[Artifact]
):
    """What is in the records, counted anew."""
    from pipelines.training import components

    components.statistics_gen(examples, workers, statistics)


def schema_gen(statistics: Input[Artifact], schema: Output[Artifact]):
    """What records have to be."""
    from pipelines.training import components

    components.schema_gen(statistics, schema)


def example_validator(
    statistics: Input[Artifact],
    schema: Input[Artifact],
    settings: str,
    example_gen_settings: str,
    previous_statistics: str,
    anomalies: Output[Artifact],
):
    """Stops the pipeline where the records are not what they have to be."""
    from pipelines.training import components

    components.example_validator(
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
    """How frames are scaled, fitted on the train split alone."""
    from pipelines.training import components

    components.transform(statistics, trainer_settings, transform)


def tuner(
    examples: Input[Dataset],
    transform: Input[Artifact],
    trainer_settings: str,
    settings: str,
    hyperparameters: Output[Artifact],
):
    """Settings of the trainer that do well in short trainings."""
    from pipelines.training import components

    components.tuner(
        examples, transform, trainer_settings, settings, hyperparameters
    )


def trainer(
    examples: Input[Dataset],
    transform: Input[Artifact],
    settings: str,
    warm_start_fingerprint: str,
    model: Output[Model],
    hyperparameters: Input[Artifact] = None,
):
    """Unsupervised pretraining."""
    from pipelines.training import components

    components.trainer(
        examples,
        transform,
        settings,
        warm_start_fingerprint,
        model,
        hyperparameters,
    )


def resolver(model: Input[Model], saved_models: str, name: str) -> str:
    """The encoder that was blessed last."""
    from pipelines.training import components

    return components.resolver(model, saved_models, name)


def evaluator(
    model: Input[Model],
    examples: Input[Dataset],
    last_blessed: str,
    settings: str,
    evaluation: Output[Artifact],
):
    """Whether the model is good enough, beside baselines and the last."""
    from pipelines.training import components

    components.evaluator(model, examples, last_blessed, settings, evaluation)


def fine_tuner(
    model: Input[Model],
    examples: Input[Dataset],
    settings: str,
    classifier: Output[Model],
):
    """An action classifier around the encoder."""
    from pipelines.training import components

    components.fine_tuner(model, examples, settings, classifier)


def pusher(
    model: Input[Model],
    evaluation: Input[Artifact],
    examples: Input[Dataset],
    saved_models: str,
    name: str,
    terms: str,
    pushed: Output[Artifact],
):
    """A blessed model to where encoders are taken from."""
    from pipelines.training import components

    components.pusher(
        model, evaluation, examples, saved_models, name, terms, pushed
    )


def make_pipeline(config):
    """The pipeline of a config, for kfp.

    What the config says is the default of the pipeline's parameters, JSON
    where it is more than a word.

    Args:
        config: a `pipelines.training.config.PipelineConfig`.

    Returns:
        What `kfp.dsl.pipeline` makes of a function.
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
        # Beside a run that changes: quick, and not worth a cache.
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
        # What is pushed lies elsewhere, where it may have been removed.
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
    """The name that TFX gives a component, "ExampleGen" of "example_gen"."""
    return "".join(word.capitalize() for word in function.split("_"))


def compile_pipeline(config, path):
    """Writes the YAML of a pipeline, for Kubeflow or Vertex AI."""
    compiler.Compiler().compile(make_pipeline(config), str(path))


def _json(settings):
    return json.dumps(dataclasses.asdict(settings))
