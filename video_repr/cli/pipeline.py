"""Commands about the training pipeline."""

import dataclasses
import pathlib
from typing import Annotated

import tyro

from video_repr.errors import extra

Positional = tyro.conf.Positional


@dataclasses.dataclass(frozen=True)
class PipelineRun:
    """Run the training pipeline on this machine, from films to an encoder.

    Components with the same films and settings as before are not run again.

    Attributes:
        config: TOML file, see docs/pipeline.md.
        films: folder of films, in place of the config's.
        root: directory of the pipeline's artifacts.
        saved_models: where blessed encoders go, in place of the config's.
        beam: Beam's own options for ExampleGen.
    """

    config: Positional[pathlib.Path]
    films: str | None = None
    root: pathlib.Path = pathlib.Path("pipeline")
    saved_models: str | None = None
    beam: tuple[str, ...] = ()

    def __call__(self):
        config = _pipeline_config(self)
        with extra("kfp"):
            from pipelines.training.local import run_pipeline

        from pipelines.training.lineage import in_words
        from pipelines.training.lineage import read_run

        print(in_words(read_run(run_pipeline(config, self.root, self.beam))))


@dataclasses.dataclass(frozen=True)
class PipelineCompile:
    """Write the training pipeline for Kubeflow or Vertex AI.

    Attributes:
        config: TOML file, see docs/pipeline.md.
        films: folder of films, in place of the config's.
        saved_models: where blessed encoders go, in place of the config's.
        output: YAML file to write.
    """

    config: Positional[pathlib.Path]
    films: str | None = None
    saved_models: str | None = None
    output: pathlib.Path = pathlib.Path("pipeline.yaml")

    def __call__(self):
        config = _pipeline_config(self)
        with extra("kfp"):
            from pipelines.training.pipeline import compile_pipeline

        compile_pipeline(config, self.output)
        print(f"{self.output} written.")


@dataclasses.dataclass(frozen=True)
class PipelineShow:
    """Print which artifact a run of the training pipeline made from which.

    Attributes:
        run: directory of a pipeline's artifacts, for its last run, or the file
            of a run below it.
    """

    run: Positional[pathlib.Path]

    def __call__(self):
        with extra("pipelines"):
            from pipelines.training.lineage import in_words
            from pipelines.training.lineage import read_run

        print(in_words(read_run(self.run)))


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """The training pipeline: from a folder of films to a blessed encoder."""

    command: (
        Annotated[PipelineRun, tyro.conf.subcommand("run")]
        | Annotated[PipelineCompile, tyro.conf.subcommand("compile")]
        | Annotated[PipelineShow, tyro.conf.subcommand("show")]
    )

    def __call__(self):
        self.command()


def _pipeline_config(command):
    with extra("pipelines"):
        from pipelines.training.config import load

    values = {"films": command.films, "saved_models": command.saved_models}
    given = {name: value for name, value in values.items() if value}
    return load(command.config, **given)
