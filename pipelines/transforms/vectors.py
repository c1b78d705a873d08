"""Computes embeddings of clips with an exported encoder."""

import functools
import json
import pathlib

import apache_beam as beam
import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import KeyedModelHandler
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.ml.inference.base import RunInference

from pipelines.storage import write_whole
from pipelines.transforms.parts import frame_record
from pipelines.transforms.parts import hash_of
from video_repr import inputs
from video_repr.data import ClipDataset
from video_repr.data.features import EXAMPLE_ID
from video_repr.errors import InputError

EMBEDDING = "embedding/floats"


class WriteVectors(beam.PTransform):
    """Writes a file of vectors for each shard, from the names of shards.

    Args:
        encoder: path of the SavedModel.
        batch: clips in a batch.
        dataset: path of the dataset directory of the shards.
        frame_shape: shape of the frames that the encoder reads.
        output: directory to write.
    """

    def __init__(self, encoder, batch, dataset, frame_shape, output):
        super().__init__()
        self._handler = KeyedModelHandler(SavedEncoder(encoder, batch))
        self._clips = dataset, frame_shape
        self._output = output

    def expand(self, shards):
        return (
            shards
            | "Read" >> beam.FlatMap(_clips, *self._clips)
            | "Embed" >> RunInference(self._handler)
            | "By file" >> beam.MapTuple(_by_file)
            | beam.GroupByKey()
            | "Write" >> beam.MapTuple(functools.partial(_write, self._output))
        )


class SavedEncoder(ModelHandler):
    """An exported encoder for `RunInference`.

    Args:
        path: path of the SavedModel.
        batch: clips in a batch.
    """

    def __init__(self, path, batch):
        self._path = path
        self._batching = {"min_batch_size": 1, "max_batch_size": batch}

    def load_model(self):
        """Loads the SavedModel."""
        return _load(self._path)

    def run_inference(self, batch, model, inference_args=None):
        """Computes vectors of clips, which may have different lengths."""
        vectors = [None] * len(batch)
        for length in {len(clip) for clip in batch}:
            rows = [i for i, c in enumerate(batch) if len(c) == length]
            clips = np.stack([batch[i] for i in rows])
            # Always one batch size, whatever Beam has gathered, so that the
            # bytes are reproducible.
            missing = self._batching["max_batch_size"] - len(rows)
            padding = [(0, missing)] + [(0, 0)] * (clips.ndim - 1)
            found = model(np.pad(clips, padding)).numpy()
            for row, vector in zip(rows, found, strict=False):
                vectors[row] = vector
        return vectors

    def batch_elements_kwargs(self):
        """Sizes of batches, for Beam."""
        return self._batching


def _load(path):
    try:
        return tf.saved_model.load(path)
    except Exception as error:
        # TensorFlow raises many exception types for a broken SavedModel.
        raise InputError(
            f"Expected an exported encoder. Received: {path}: {error}"
        ) from error


def frames_of(path):
    """The frames that an exported encoder reads.

    Args:
        path: path of the SavedModel, in a bucket too.

    Returns:
        What a frame is, see `inputs.frame_of`, and the shape of those that the
        encoder was trained on.

    Raises:
        InputError: if it is not such an encoder.
    """
    try:
        # Beside the SavedModel, in a bucket too.
        with tf.io.gfile.GFile(f"{path}/config.json") as file:
            about = json.load(file)["encoder"]
            return inputs.frame_of(about), tuple(about["frame_shape"])
    except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "Expected an encoder as `video-repr export` writes it, with a "
            f"config.json. Received: {path}: {error}"
        ) from error


def _clips(name, path, frame_shape):
    features = ClipDataset(path).features
    file = str(pathlib.Path(path) / name)
    for record in tf.data.TFRecordDataset(file):
        example = features.parse(record)
        clip = example["clip"].numpy()
        if features.is_image:
            clip = clip.astype(np.float32) / 255
        clip = clip.reshape(len(clip), *frame_shape)
        stem = name.removesuffix(".tfrecord")
        yield (stem, example["id"].numpy().decode()), clip


def _by_file(key, vector):
    stem, name = key
    return stem, (name, vector)


def _write(output, stem, rows):
    rows = sorted(rows, key=lambda row: hash_of(row[0]))
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
    write_whole(f"{base}.parquet", data.getvalue().to_pybytes())
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
            frame_record(example.SerializeToString(deterministic=True))
        )
    write_whole(f"{base}.tfrecord", b"".join(records))
    return stem
