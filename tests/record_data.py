"""Dataset directories as pipelines wrote them before 0.2, without pipelines."""

import json

import tensorflow as tf

from video_repr.data.features import Clip
from video_repr.files import sha256


def write_dataset(path, features, clips, shards=2):
    """A dataset directory of clips to train on, dealt to shards."""
    path.mkdir(parents=True)
    told = []
    for shard in range(shards):
        file = path / f"d-train-{shard:05}-of-{shards:05}.tfrecord"
        with tf.io.TFRecordWriter(str(file)) as writer:
            for clip in clips[shard::shards]:
                writer.write(features.serialize(clip))
        told.append(
            {
                "name": file.name,
                "split": "train",
                "bytes": file.stat().st_size,
                "sha256": sha256(file),
            }
        )
    lengths = [len(clip.values) for clip in clips]
    frames = {"min": min(lengths), "max": max(lengths)}
    info = {
        "splits": {"train": {"clips": len(clips), "frames": frames}},
        "shards": told,
    }
    (path / "info.json").write_text(json.dumps(info))
    (path / "features.json").write_text(json.dumps(features.to_dict()))
    (path / "COMPLETED").touch()
    return path


def clip_of(values, number, label=None):
    name = f"clip {number}"
    return Clip(name, values, f"{name}.mp4", 40_000, name, "g1", label)
