"""ExampleValidator: stops the pipeline if the records have anomalies."""

import itertools
import json
import math

import numpy as np
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tensorflow_metadata.proto.v0 import schema_pb2

from pipelines.training.artifacts import AnomaliesError
from pipelines.training.artifacts import write_artifact
from pipelines.training.readers import read_schema
from pipelines.training.readers import read_statistics
from pipelines.training.settings import ExampleValidatorConfig
from pipelines.training.settings import read_settings
from video_repr.files import write_json

_KINDS = {
    schema_pb2.BYTES: "bytes_list",
    schema_pb2.FLOAT: "float_list",
    schema_pb2.INT: "int64_list",
}


def run(
    statistics, schema, settings, example_gen_settings, previous, anomalies
):
    """Stops the pipeline if the records have anomalies."""
    config = read_settings(settings, ExampleValidatorConfig)
    of = json.loads(example_gen_settings)
    # Official lists say which films are for testing.
    drawn = of["layout"] not in ("ucf101", "hmdb51")
    shares = {split: of[split] for split in ("validation", "test")}
    with write_artifact(
        "ExampleValidator",
        anomalies,
        {"settings": json.loads(settings), "previous_statistics": previous},
        {"statistics": statistics, "schema": schema},
    ) as f:
        validate(
            statistics.path,
            schema.path,
            f,
            config,
            shares if drawn else None,
            previous or None,
        )


def validate(statistics, schema, folder, config, shares, previous=None):
    """Finds anomalies; writes anomalies.json and anomalies.pbtxt.

    Args:
        statistics: folder of the statistics.
        schema: folder of the schema.
        folder: existing directory to write to, a `pathlib.Path`.
        config: an `ExampleValidatorConfig`.
        shares: dict with the shares of the groups for "validation" and "test";
            None if official lists decide.
        previous: folder of the statistics of an earlier run, or None.

    Raises:
        AnomaliesError: with a line for each anomaly, if there are any.
    """
    counts = read_statistics(statistics)
    found = [
        *against_schema(counts, read_schema(schema)),
        *within(counts, config, shares),
    ]
    if previous is not None:
        found += against_previous(counts, read_statistics(previous), config)
    if found:
        what = "an anomaly" if len(found) == 1 else f"{len(found)} anomalies"
        raise AnomaliesError(
            f"The dataset has {what}:\n  " + "\n  ".join(found)
        )
    write_json(
        folder / "anomalies.json",
        {"anomalies": [], "beside_previous": previous is not None},
    )
    (folder / "anomalies.pbtxt").write_text(
        text_format.MessageToString(anomalies_pb2.Anomalies())
    )


def against_schema(counts, schema):
    """Yields deviations from the schema, a line each."""
    known = {feature.name: feature for feature in schema.feature}
    domain = known[counts["key"]].float_domain
    # Without classes, -1 (no label) is the only index.
    classes = len(counts["labels"])
    labels = {str(i) for i in range(classes)} if classes else {"-1"}
    for split, counted in counts["splits"].items():
        clips, fields = counted["clips"], counted["fields"]
        for name in sorted({*fields} - {*known}):
            yield f"{split}: {fields[name]} records have an unknown {name}"
        for name, feature in known.items():
            having = fields.get(name, 0)
            without = clips - having
            kind = _KINDS[feature.type]
            other = having - counted["kinds"].get(f"{name} {kind}", 0)
            if without:
                yield f"{split}: {without} of {clips} records lack {name}"
            if other:
                yield f"{split}: {other} of {having} of {name} are no {kind}"
        if counted["broken"]:
            yield (
                f"{split}: {counted['broken']} of {clips} clips cannot be read "
                f"as frames of shape {tuple(counts['frame_shape'])}"
            )
        if counted["nan"]:
            yield f"{split}: {counted['nan']:,} values are not a number"
        if counted["infinite"]:
            yield f"{split}: {counted['infinite']:,} values are infinite"
        low, high = counted.get("min", 0.0), counted.get("max", 0.0)
        # Pixels have no domain, as they cannot have other values.
        if domain.max > domain.min and (low < domain.min or high > domain.max):
            yield (
                f"{split}: values from {low:.4g} to {high:.4g}, beyond "
                f"{domain.min:.4g} to {domain.max:.4g}"
            )
        strange = sorted({*counted["labels"]} - labels)
        if strange:
            yield (
                f"{split}: label {strange[0]}, where there are {classes} "
                "classes"
            )


def within(counts, config, shares):
    """Yields inconsistencies within the dataset."""
    splits = counts["splits"]
    for split, declared in counts["declared"].items():
        counted = splits.get(split, {"clips": 0, "groups": []})
        if counted["clips"] != declared["clips"]:
            yield (
                f"{split}: {counted['clips']} clips, where info.json says "
                f"{declared['clips']}"
            )
        strange = {*counted["groups"]} - {*declared["groups"]}
        if strange:
            yield (
                f"{split}: {len(strange)} groups that info.json does not give "
                f"to it, as {min(strange)!r}"
            )
    for a, b in itertools.combinations(splits, 2):
        shared = {*splits[a]["groups"]} & {*splits[b]["groups"]}
        if shared:
            yield (
                f"{a} and {b}: {len(shared)} groups are in both, as "
                f"{min(shared)!r}"
            )
    for split, counted in splits.items():
        if counted["still"] > config.constant_clips * counted["clips"]:
            yield (
                f"{split}: {counted['still']} of {counted['clips']} clips "
                "stand still: hardly a value of them changes"
            )
    if shares is not None:
        yield from _sizes(splits, shares)
    for split, counted in splits.items():
        if split != "train":
            yield from _drift(
                split, counted, "train", splits.get("train", {}), config
            )


def against_previous(counts, before, config):
    """Yields changes since an earlier run."""
    for name in ("key", "frame_shape", "labels"):
        if counts[name] != before[name]:
            yield (
                f"{name} is {counts[name]}, and was {before[name]} in the run "
                "before"
            )
    for split, earlier in before["splits"].items():
        counted = counts["splits"].get(split)
        if counted is None:
            yield f"{split}: none, and there was in the run before"
            continue
        lost = 1 - counted["clips"] / earlier["clips"]
        if lost > config.clips_lost:
            yield (
                f"{split}: {counted['clips']} clips, {lost:.0%} fewer than the "
                f"{earlier['clips']} of the run before"
            )
        yield from _drift(split, counted, "the run before", earlier, config)
        for other, of in counts["splits"].items():
            moved = {*of["groups"]} & {*earlier["groups"]}
            if other != split and moved:
                yield (
                    f"{other}: {len(moved)} groups that were for {split} in "
                    f"the run before, as {min(moved)!r}"
                )


def _sizes(splits, shares):
    """Yields splits whose sizes do not fit their shares."""
    groups = {split: len(of["groups"]) for split, of in splits.items()}
    total = sum(groups.values())
    for split, share in {"train": 1 - sum(shares.values()), **shares}.items():
        found = groups.get(split, 0)
        # Tolerance: four standard deviations of a draw, and at least one group.
        spread = 4 * math.sqrt(total * share * (1 - share)) + 1
        if share and not found:
            yield (
                f"{split}: none of {total} groups, where {share:.0%} are "
                "meant; take more films or a larger share"
            )
        elif abs(found - total * share) > spread:
            yield (
                f"{split}: {found} of {total} groups, where {share:.0%} are "
                "meant; have splits been swapped?"
            )


def _drift(split, counted, beside, other, config):
    """Yields differences between the values of two sets of clips."""
    if "mean" not in counted or len(counted["std"]) != len(
        other.get("std", ())
    ):
        return
    std, was = (np.maximum(of["std"], 1e-12) for of in (counted, other))
    shift = np.abs(np.subtract(counted["mean"], other["mean"]) / was).max()
    if shift > config.mean_drift:
        yield (
            f"{split}: its mean lies {shift:.2f} standard deviations from that "
            f"of {beside}, more than {config.mean_drift}"
        )
    factor = np.maximum(std / was, was / std).max()
    if factor > config.std_drift:
        yield (
            f"{split}: its standard deviation and that of {beside} differ by a "
            f"factor of {factor:.2f}, more than {config.std_drift}"
        )
