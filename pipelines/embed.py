r"""Embeddings of clips, by an exported encoder.

    python -m pipelines.embed --encoder runs/demo/export \
        --dataset data/moving_mnist/1 --output data/embeddings

or, with films in place of a dataset, `--films films`, whose frames are then
scaled to the encoder's size. Writes, for each shard or film,

    NAME.parquet    id (string), vector (float32 list)
    NAME.tfrecord   tf.train.Example of example/id and embedding/floats

and COMPLETED at last. Options of Beam follow `--`.
"""

import dataclasses
import functools
import os
import pathlib
import sys

import apache_beam as beam
import numpy as np
import pyarrow
import pyarrow.parquet
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import KeyedModelHandler
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.ml.inference.base import RunInference

from pipelines import sources
from pipelines.arguments import main
from pipelines.engine import Engine
from pipelines.transforms import write
from pipelines.transforms.crop import Patches
from pipelines.transforms.decode import Decoded
from pipelines.transforms.frames import Frames
from video_repr.data import ClipDataset
from video_repr.data.features import EXAMPLE_ID
from video_repr.errors import InputError

EMBEDDING = "embedding/floats"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Embed clips by an exported encoder.

    Attributes:
        encoder: SavedModel of the encoder, as `video-repr export` writes it.
        output: directory to write.
        dataset: dataset directory of the clips.
        films: folder of films, in place of a dataset.
        clip_frames: frames of a film's clip.
        overwrite: replace what is there.
        batch: clips that go through the encoder at once.
        workers: processes on this machine.
    """

    encoder: str
    output: str
    dataset: str | None = None
    films: str | None = None
    clip_frames: int = 10
    overwrite: bool = False
    batch: int = 64
    workers: int = 1

    def __call__(self, beam_options=()):
        """Runs the pipeline."""
        engine = Engine(self.workers, tuple(beam_options))
        if (self.dataset is None) == (self.films is None):
            raise InputError(
                "Expected --dataset or --films. Received: "
                + ("neither" if self.dataset is None else "both")
            )
        frame_shape = _frame_shape(self.encoder)
        if self.dataset is not None:
            named, read = self._of_dataset(frame_shape)
        else:
            named, read = self._of_films(frame_shape)
        self._make_output()
        handler = KeyedModelHandler(SavedEncoder(self.encoder, self.batch))
        with engine.pipeline() as p:
            _ = (
                p
                | beam.Create(named)
                | "Read" >> beam.FlatMap(read)
                | "Embed" >> RunInference(handler)
                | "By file" >> beam.MapTuple(_by_file)
                | beam.GroupByKey()
                | "Write"
                >> beam.MapTuple(functools.partial(_write, self.output))
            )
        if len(os.listdir(self.output)) == 0:
            raise InputError("Expected clips. Received: none")
        write.write_whole(FileSystems.join(self.output, "COMPLETED"), b"")
        print(f"{self.output} written.")

    def _of_dataset(self, frame_shape):
        dataset = ClipDataset(self.dataset)
        shape = dataset.features.frame_shape
        if frame_shape not in (shape, (int(np.prod(shape)),)):
            raise InputError(
                f"Expected a dataset of frames of {frame_shape}, as "
                f"{self.encoder} reads them. Received: {shape} in "
                f"{self.dataset}"
            )
        names = [shard["name"] for shard in dataset.info["shards"]]
        return names, functools.partial(_shard, str(self.dataset))

    def _of_films(self, frame_shape):
        height, width, *channels = (*frame_shape, 0, 0)[:3]
        if len(frame_shape) < 2 or height != width:
            raise InputError(
                "Expected an encoder of square frames for films. Received: "
                f"{self.encoder}, which reads {frame_shape}"
            )
        patches = Patches(
            Frames(),
            self.clip_frames,
            height,
            grey=channels[0] != 3,
            whole=True,
        )
        return list(sources.folder(self.films).sources), functools.partial(
            _film, patches
        )

    def _make_output(self):
        path = pathlib.Path(self.output)
        if path.is_dir() and any(path.iterdir()):
            if not self.overwrite:
                raise InputError(
                    "Expected a new output, or --overwrite. Received: "
                    f"{self.output}, which has files"
                )
            for file in path.iterdir():
                if file.suffix in (".parquet", ".tfrecord", ".partial") or (
                    file.name == "COMPLETED"
                ):
                    file.unlink()
        path.mkdir(parents=True, exist_ok=True)


class SavedEncoder(ModelHandler):
    """An exported encoder for `RunInference`.

    Args:
        path: of the SavedModel.
        batch: clips at once.
    """

    def __init__(self, path, batch):
        self._path = path
        self._batching = {"min_batch_size": 1, "max_batch_size": batch}

    def load_model(self):
        """The SavedModel."""
        return _load(self._path)

    def run_inference(self, batch, model, inference_args=None):
        """Vectors of clips, which may be of several lengths."""
        vectors = [None] * len(batch)
        for length in {len(clip) for clip in batch}:
            rows = [i for i, c in enumerate(batch) if len(c) == length]
            found = model(np.stack([batch[i] for i in rows])).numpy()
            for row, vector in zip(rows, found, strict=True):
                vectors[row] = vector
        return vectors

    def batch_elements_kwargs(self):
        """Sizes of batches, for Beam."""
        return self._batching


def _load(path):
    import tensorflow as tf

    try:
        return tf.saved_model.load(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected an exported encoder. Received: {path}: {error}"
        ) from error


def _frame_shape(path):
    signature = _load(path).signatures.get("serving_default")
    inputs = (
        {} if signature is None else signature.structured_input_signature[1]
    )
    if "clips" not in inputs:
        raise InputError(
            "Expected an encoder as `video-repr export` writes it. Received: "
            f"{path}, which reads no clips"
        )
    return tuple(inputs["clips"].shape[2:])


def _shard(path, name):
    import tensorflow as tf

    features = ClipDataset(path).features
    file = str(pathlib.Path(path) / name)
    for record in tf.data.TFRecordDataset(file):
        example = features.parse(record)
        clip = example["clip"].numpy()
        if features.is_image:
            clip = clip.astype(np.float32) / 255
        stem = name.removesuffix(".tfrecord")
        yield (stem, example["id"].numpy().decode()), clip


def _film(patches, source):
    decoded = Decoded()
    for clip in patches.clips(source, decoded):
        stem = f"film-{write.hash_of(source.media_id)[:16]}"
        yield (stem, clip.id), clip.values.astype(np.float32) / 255


def _by_file(key, vector):
    stem, name = key
    return stem, (name, vector)


def _write(output, stem, rows):
    import tensorflow as tf

    rows = sorted(rows, key=lambda row: write.hash_of(row[0]))
    base = FileSystems.join(output, stem)
    table = pyarrow.table(
        {
            "id": pyarrow.array([name for name, _ in rows]),
            "vector": pyarrow.array(
                [vector for _, vector in rows],
                pyarrow.list_(pyarrow.float32()),
            ),
        }
    )
    data = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, data)
    write.write_whole(f"{base}.parquet", data.getvalue().to_pybytes())
    records = []
    for name, vector in rows:
        fields = {
            EXAMPLE_ID: tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[name.encode()])
            ),
            EMBEDDING: tf.train.Feature(
                float_list=tf.train.FloatList(value=vector)
            ),
        }
        example = tf.train.Example(features=tf.train.Features(feature=fields))
        records.append(
            write.frame_record(example.SerializeToString(deterministic=True))
        )
    write.write_whole(f"{base}.tfrecord", b"".join(records))
    return stem


def nearest(embeddings, example_id, count=5):
    """Clips that move like one.

    Args:
        embeddings: directory that this pipeline wrote.
        example_id: id of the clip.
        count: number of clips.

    Returns:
        Pairs `(id, cosine similarity)`, the nearest first, without the clip.

    Raises:
        InputError: if the directory is not complete, or has no such clip.
    """
    path = pathlib.Path(embeddings)
    if not (path / "COMPLETED").is_file():
        raise InputError(
            f"Expected embeddings that were written to their end. Received: "
            f"{embeddings} without its file COMPLETED"
        )
    table = pyarrow.concat_tables(
        pyarrow.parquet.read_table(file)
        for file in sorted(path.glob("*.parquet"))
    )
    ids = table["id"].to_pylist()
    if example_id not in ids:
        raise InputError(
            f"Expected the id of a clip in {embeddings}. Received: "
            f"{example_id!r}"
        )
    vectors = np.array(table["vector"].to_pylist(), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12
    similarity = vectors @ vectors[ids.index(example_id)]
    order = np.argsort(-similarity, kind="stable")
    return [
        (ids[i], float(similarity[i])) for i in order if ids[i] != example_id
    ][:count]


if __name__ == "__main__":
    sys.exit(main(Arguments, "pipelines.embed"))
