r"""Embeddings of clips, by an exported encoder.

    python -m pipelines.embed --encoder saved_models/demo/1 \
        --dataset data/moving_mnist/1 --output data/embeddings

or, with films in place of a dataset, `--films films`. This scales the films to
the encoder's size first, again if they have changed. It writes, for each shard,

    NAME.parquet    id (string), vector (float32 list)
    NAME.tfrecord   tf.train.Example of example/id and embedding/floats

and embeddings.json, and at the end COMPLETED. Beam's options follow `--`.
"""

import dataclasses
import os
import pathlib
import sys

import numpy as np

from pipelines import patches
from pipelines.arguments import Input
from pipelines.arguments import Output
from pipelines.arguments import main
from pipelines.engine import Engine
from pipelines.transforms.crop import Patches
from video_repr._quiet import import_tensorflow
from video_repr.errors import InputError
from video_repr.files import checksums
from video_repr.files import fingerprint
from video_repr.files import only_writer
from video_repr.files import read_json
from video_repr.files import write_json

# Says which encoder embedded which clips; marks a folder of embeddings.
_MARK = "embeddings.json"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Embed clips by an exported encoder.

    Attributes:
        encoder: SavedModel of the encoder, as `video-repr export` writes it.
        output: directory to write.
        dataset: dataset directory of the clips.
        films: folder of films, in place of a dataset; a dataset of their clips
            is made below the output.
        clip_frames: frames of a film's clip.
        max_failure_rate: share of the films that may fail.
        overwrite: replace the embeddings that are there.
        batch: clips in a batch of the encoder.
        workers: processes on this machine.
    """

    encoder: str
    output: str
    dataset: str | None = None
    films: str | None = None
    clip_frames: int = 10
    max_failure_rate: float = 0.01
    overwrite: bool = False
    batch: int = 64
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        engine = Engine(self.workers, tuple(beam_options))
        if "://" in self.output:
            raise InputError(
                f"Expected an output on this machine. Received: {self.output}"
            )
        with only_writer(self.output):
            self._run(engine)

    def _run(self, engine):
        if (self.dataset is None) == (self.films is None):
            raise InputError(
                "Expected --dataset or --films. Received: "
                + ("neither" if self.dataset is None else "both")
            )
        is_complete = self._check_output()
        import_tensorflow()
        import apache_beam as beam

        from pipelines.staging import ChangedSourcesError
        from pipelines.storage import write_whole
        from pipelines.transforms import vectors
        from video_repr.data import ClipDataset

        frame, frame_shape = vectors.frames_of(self.encoder)
        dataset = self.dataset
        if dataset is None:
            dataset = os.path.join(self.output, "clips", "1")
            try:
                self._cut(frame_shape, dataset, engine, self.overwrite)
            except ChangedSourcesError:
                if is_complete:
                    raise
                self._cut(frame_shape, dataset, engine, overwrite=True)
        dataset = ClipDataset(dataset)
        frame_shape = self._shape(frame, frame_shape, dataset)
        sums = {
            # Not known for an encoder in a bucket.
            "encoder": fingerprint(checksums(self.encoder))
            if os.path.isdir(self.encoder)
            else None,
            "dataset": dataset.fingerprint,
        }
        if is_complete:
            self._check_same(sums)
            print(f"{self.output} is complete already.")
            return
        self._begin(sums)
        with engine.pipeline() as p:
            _ = (
                p
                | beam.Create(
                    [shard["name"] for shard in dataset.info["shards"]]
                )
                | vectors.WriteVectors(
                    self.encoder,
                    self.batch,
                    str(dataset.path),
                    frame_shape,
                    self.output,
                )
            )
        write_whole(os.path.join(self.output, "COMPLETED"), b"\n")
        print(f"{self.output} written.")

    def _shape(self, frame, frame_shape, dataset):
        """The shape in which the encoder reads the frames of a dataset."""
        from video_repr.inputs import Pictures

        shape = dataset.features.frame_shape
        if len(shape) > 1 and isinstance(frame, Pictures):
            frame.check(shape, f"in {dataset.path} for {self.encoder}")
            return (*shape[:2], *frame_shape[2:])
        if frame_shape not in (shape, (int(np.prod(shape)),)):
            raise InputError(
                f"Expected a dataset of frames of {frame_shape}, as "
                f"{self.encoder} reads them. Received: {shape} in "
                f"{dataset.path}"
            )
        return frame_shape

    def _cut(self, frame_shape, path, engine, overwrite):
        """Makes a dataset of clips of the encoder's size from the films."""
        height, width, channels = (*frame_shape, 0, 0)[:3]
        if len(frame_shape) < 2 or height != width:
            raise InputError(
                "Expected an encoder of square frames for films. Received: "
                f"{self.encoder}, which reads {frame_shape}"
            )
        patches.Arguments(
            Input(self.films),
            Output(
                path,
                overwrite=overwrite,
                max_failure_rate=self.max_failure_rate,
                validation=0.0,
                test=0.0,
            ),
            Patches(
                clip_frames=self.clip_frames,
                size=height,
                grey=channels != 3,
                whole=True,
            ),
            workers=self.workers,
        )(engine.beam_options)

    def _check_output(self):
        """Whether the output has complete embeddings to keep."""
        path = pathlib.Path(self.output)
        if path.exists() and not path.is_dir():
            raise InputError(
                f"Expected a directory to write. Received: {path}, a file"
            )
        there = {
            file.name
            for file in path.glob("*")
            if not file.name.startswith(".partial-")
        } - {"clips"}
        if there and _MARK not in there:
            raise InputError(
                "Expected a new output, or one of embeddings. Received: "
                f"{self.output}, which has other files"
            )
        return "COMPLETED" in there and not self.overwrite

    def _check_same(self, sums):
        """Checks that embeddings are of the same encoder and clips.

        It compares their content, not their names.
        """
        before = read_json(pathlib.Path(self.output, _MARK), dict)
        before = before.get("sha256")
        if before != sums or sums["encoder"] is None:
            others = [n for n in sums if before and before.get(n) != sums[n]]
            raise InputError(
                "Expected a new output, or --overwrite. Received: "
                f"{self.output}, which has embeddings "
                + (
                    f"of another {' and another '.join(others)}"
                    if others
                    else "without a record of their content"
                )
            )

    def _begin(self, sums):
        """Removes previous embeddings, and the rest of a killed job."""
        path = pathlib.Path(self.output)
        path.mkdir(parents=True, exist_ok=True)
        (path / "COMPLETED").unlink(missing_ok=True)
        for file in path.iterdir():
            if file.name.endswith(
                (".parquet", ".tfrecord", ".partial")
            ) or file.name.startswith(".partial-"):
                file.unlink()
        about = {
            "encoder": self.encoder,
            "dataset": self.dataset,
            "films": self.films,
            "clip_frames": self.clip_frames,
            "sha256": sums,
        }
        write_json(path / _MARK, about)


if __name__ == "__main__":
    # Imported again, as workers do not know the names of `__main__`.
    from pipelines.embed import Arguments

    sys.exit(main(Arguments, "pipelines.embed"))
