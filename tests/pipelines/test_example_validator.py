"""Poisoned datasets: what is wrong with them is said, and nothing else."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from percept_data import write_percepts
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipelines.training.artifacts import AnomaliesError
from pipelines.training.example_validator import validate
from pipelines.training.readers import read_schema
from pipelines.training.readers import read_statistics
from pipelines.training.schema_gen import write_schema
from pipelines.training.settings import ExampleValidatorConfig
from pipelines.training.statistics_gen import write_statistics
from pipelines.transforms.parts import frame_record
from video_repr import InputError
from video_repr.data import ClipDataset
from video_repr.files import sha256

pytestmark = pytest.mark.slow

KEY = "RGB/feature/floats"
# Half of 16 clips are to train on, a quarter each for the others.
SHARES = {"validation": 0.25, "test": 0.25}
# Of 36 values a clip: splits differ by chance.
CONFIG = ExampleValidatorConfig(mean_drift=1.0, std_drift=2.0)


@pytest.fixture
def dataset(rng, tmp_path):
    return write_percepts(rng, tmp_path)


def rewrite(dataset, change, told=True):
    """Changes the records of a dataset, a list for each split.

    Args:
        dataset: its directory.
        change: takes and returns a dict from a split to `tf.train.Example`s.
        told: whether info.json says what there is now.
    """
    info = json.loads((dataset / "info.json").read_text())
    shards = {shard["split"]: shard for shard in info["shards"]}
    assert len(shards) == len(info["shards"])
    records = {
        split: [
            tf.train.Example.FromString(record.numpy())
            for record in tf.data.TFRecordDataset(str(dataset / s["name"]))
        ]
        for split, s in shards.items()
    }
    for split, examples in change(records).items():
        path = dataset / shards[split]["name"]
        path.write_bytes(
            b"".join(frame_record(e.SerializeToString()) for e in examples)
        )
        shards[split] |= {"bytes": path.stat().st_size, "sha256": sha256(path)}
        if told:
            info["splits"][split]["clips"] = len(examples)
    (dataset / "info.json").write_text(json.dumps(info))


def each(split, change):
    """Changes the first record of a split in its place."""

    def changed(records):
        change(records[split][0].features.feature)
        return records

    return changed


def statistics_of(dataset, folder):
    folder.mkdir()
    write_statistics(dataset, folder)
    return folder


def check(dataset, tmp_path, previous=None, config=CONFIG):
    """Validates, and returns the lines of what is wrong."""
    statistics = statistics_of(dataset, tmp_path / "statistics")
    for name in ("schema", "anomalies"):
        (tmp_path / name).mkdir()
    write_schema(statistics, tmp_path / "schema")
    try:
        validate(
            statistics,
            tmp_path / "schema",
            tmp_path / "anomalies",
            config,
            SHARES,
            previous,
        )
    except AnomaliesError as error:
        assert not list((tmp_path / "anomalies").iterdir())
        return str(error).splitlines()[1:]
    return []


def test_what_is_counted(dataset, tmp_path):
    assert check(dataset, tmp_path) == []
    assert (tmp_path / "anomalies" / "anomalies.json").exists()
    told = read_statistics(tmp_path / "statistics")
    proto = statistics_pb2.DatasetFeatureStatisticsList.FromString(
        (tmp_path / "statistics" / "stats.pb").read_bytes()
    )
    by_name = {d.name: d for d in proto.datasets}
    for split, clips in (("train", 8), ("validation", 4), ("test", 4)):
        counted = told["splits"][split]
        assert counted["clips"] == clips == by_name[split].num_examples
        assert counted["frames"] == [9, 9]
        # By hand, from what the reader reads.
        values = np.stack(
            list(ClipDataset(dataset).clips(split).as_numpy_iterator())
        )
        np.testing.assert_allclose(counted["mean"], values.mean(), rtol=1e-5)
        np.testing.assert_allclose(counted["std"], values.std(), rtol=1e-5)
        assert counted["max"] == values.max()
        (feature,) = [
            f for f in by_name[split].features if f.path.step[0] == KEY
        ]
        assert feature.num_stats.mean == pytest.approx(values.mean(), 1e-5)
    schema = read_schema(tmp_path / "schema")
    (percepts,) = [f for f in schema.feature if f.name == KEY]
    assert percepts.float_domain.min == 0
    assert percepts.float_domain.max == pytest.approx(
        told["splits"]["train"]["max"] * 1.5, rel=0.01
    )


def no_number(fields):
    fields[KEY].float_list.value[7] = np.nan


def infinite(fields):
    fields[KEY].float_list.value[7] = np.inf


def far(fields):
    fields[KEY].float_list.value[7] = 500


def shorter(fields):
    del fields[KEY].float_list.value[-1]


def without_group(fields):
    del fields["clip/group"]


def with_more(fields):
    fields["clip/colour"].bytes_list.value.append(b"red")


def of_another_type(fields):
    del fields["clip/frames"]
    fields["clip/frames"].float_list.value.append(9.0)


def of_no_class(fields):
    fields["clip/label/index"].int64_list.value[0] = 7


@pytest.mark.parametrize(
    ("change", "split", "lines"),
    [
        (no_number, "train", ["train: 1 values are not a number"]),
        (infinite, "test", ["test: 1 values are infinite"]),
        (far, "test", ["test: values from", "test: its standard deviation"]),
        (
            shorter,
            "validation",
            ["validation: 1 of 4 clips cannot be read as frames of shape (6,)"],
        ),
        (
            without_group,
            "train",
            [
                "train: 1 of 8 records lack clip/group",
                "train: 1 of 8 clips cannot be read",
            ],
        ),
        (with_more, "train", ["train: 1 records have an unknown clip/colour"]),
        (
            of_another_type,
            "test",
            [
                "test: 1 of 4 of clip/frames are no int64_list",
                "test: 1 of 4 clips cannot be read",
            ],
        ),
        (of_no_class, "test", ["test: label 7, where there are 2 classes"]),
    ],
)
def test_poisoned_records(dataset, tmp_path, change, split, lines):
    rewrite(dataset, each(split, change))
    found = [line.strip() for line in check(dataset, tmp_path)]
    assert len(found) == len(lines), found
    for line, begin in zip(found, lines, strict=True):
        assert line.startswith(begin)


def test_clips_that_stand_still(dataset, tmp_path):
    def still(records):
        for example in records["train"][:3]:
            values = example.features.feature[KEY].float_list.value
            values[:] = list(values[:6]) * 9
        return records

    rewrite(dataset, still)
    (line,) = check(dataset, tmp_path)
    assert "train: 3 of 8 clips stand still" in line


def swap(records):
    return {**records, "train": records["test"], "test": records["train"]}


def test_swapped_splits(dataset, tmp_path):
    """Also where info.json was swapped with them, beside an earlier run."""
    before = statistics_of(dataset, tmp_path / "before")
    rewrite(dataset, swap)
    told = "\n".join(check(dataset, tmp_path, before))
    assert "train: 4 groups that info.json does not give to it" in told
    assert "test: 8 groups that were for train in the run before" in told


def test_splits_of_other_sizes_than_meant(rng, tmp_path):
    dataset = write_percepts(rng, tmp_path, clips=160)
    rewrite(dataset, swap)
    info = json.loads((dataset / "info.json").read_text())
    other = {"train": "test", "test": "train"}
    for source in info["sources"]:
        source["split"] = other.get(source["split"], source["split"])
    (dataset / "info.json").write_text(json.dumps(info))
    told = "\n".join(check(dataset, tmp_path))
    assert "test: 80 of 160 groups, where 25% are meant" in told
    assert "have splits been swapped?" in told


def test_a_split_without_clips(rng, tmp_path):
    dataset = write_percepts(rng, tmp_path)
    info = json.loads((dataset / "info.json").read_text())
    del info["splits"]["validation"]
    info["shards"] = [s for s in info["shards"] if s["split"] != "validation"]
    (dataset / "info.json").write_text(json.dumps(info))
    (line,) = check(dataset, tmp_path)
    assert "validation: none of 12 groups, where 25% are meant" in line


def test_a_group_in_two_splits(dataset, tmp_path):
    def leak(records):
        records["test"].append(records["train"][0])
        return records

    rewrite(dataset, leak)
    told = "\n".join(check(dataset, tmp_path))
    assert "train and test: 1 groups are in both" in told


def test_half_the_clips_are_missing(dataset, tmp_path):
    """Whether info.json knows of it or not."""
    before = statistics_of(dataset, tmp_path / "before")

    def halved(records):
        return {**records, "train": records["train"][:4]}

    rewrite(dataset, halved, told=False)
    (line,) = check(dataset, tmp_path)
    assert "train: 4 clips, where info.json says 8" in line
    rewrite(dataset, lambda records: records)
    (tmp_path / "again").mkdir()
    (line,) = check(dataset, tmp_path / "again", before)
    assert "train: 4 clips, 50% fewer than the 8 of the run before" in line


def test_other_values_than_in_the_run_before(dataset, tmp_path):
    before = statistics_of(dataset, tmp_path / "before")

    def brighter(records):
        for examples in records.values():
            for example in examples:
                values = example.features.feature[KEY].float_list.value
                values[:] = [v + 30 for v in values]
        return records

    rewrite(dataset, brighter)
    found = check(dataset, tmp_path, before)
    assert len(found) == 3
    for line in found:
        assert "standard deviations from that of the run before" in line


def test_thresholds_are_what_decides(dataset, tmp_path):
    config = dataclasses.replace(CONFIG, std_drift=1.0, mean_drift=0.0)
    found = check(dataset, tmp_path, config=config)
    assert len(found) == 4
    assert "its mean lies" in found[0]


@pytest.mark.parametrize(
    "options",
    [{"mean_drift": -1}, {"std_drift": 0.5}, {"clips_lost": 2}],
)
def test_thresholds_that_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        ExampleValidatorConfig(**options)
