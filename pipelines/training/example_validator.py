"""ExampleValidator: are the records what they have to be?"""

import itertools
import math

import numpy as np
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tensorflow_metadata.proto.v0 import schema_pb2

from pipelines.training.artifacts import AnomaliesError
from pipelines.training.readers import read_schema
from pipelines.training.readers import read_statistics
from video_repr.files import write_json

_KINDS = {
    schema_pb2.BYTES: "bytes_list",
    schema_pb2.FLOAT: "float_list",
    schema_pb2.INT: "int64_list",
}


def validate(statistics, schema, folder, config, shares, previous=None):
    """Writes anomalies.json and anomalies.pbtxt, if there are none.

    Args:
        statistics: folder of the statistics.
        schema: folder of the schema.
        folder: existing directory to write to, a `pathlib.Path`.
        config: an `ExampleValidatorConfig`.
        shares: shares of the groups that are for "validation" and "test",
            a dict; None where lists say which are.
        previous: folder of the statistics of an earlier run, or None.

    Raises:
        AnomaliesError: with a line for each, if there are any.
    """
    told = read_statistics(statistics)
    found = [
        *against_schema(told, read_schema(schema)),
        *within(told, config, shares),
    ]
    if previous is not None:
        found += against_previous(told, read_statistics(previous), config)
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


def against_schema(told, schema):
    """Yields what is not as the schema says, a line each."""
    known = {feature.name: feature for feature in schema.feature}
    domain = known[told["key"]].float_domain
    # None is an index of its own where there are no classes.
    classes = len(told["labels"])
    labels = {str(i) for i in range(classes)} if classes else {"-1"}
    for split, counted in told["splits"].items():
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
                f"as frames of shape {tuple(told['frame_shape'])}"
            )
        if counted["nan"]:
            yield f"{split}: {counted['nan']:,} values are not a number"
        if counted["infinite"]:
            yield f"{split}: {counted['infinite']:,} values are infinite"
        low, high = counted.get("min", 0.0), counted.get("max", 0.0)
        # Pixels have no domain: they have no other values than pixels have.
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


def within(told, config, shares):
    """Yields what does not fit together inside of the dataset."""
    splits = told["splits"]
    for split, declared in told["declared"].items():
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


def against_previous(told, before, config):
    """Yields what is no longer as it was in an earlier run."""
    for name in ("key", "frame_shape", "labels"):
        if told[name] != before[name]:
            yield (
                f"{name} is {told[name]}, and was {before[name]} in the run "
                "before"
            )
    for split, earlier in before["splits"].items():
        counted = told["splits"].get(split)
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
        for other, of in told["splits"].items():
            moved = {*of["groups"]} & {*earlier["groups"]}
            if other != split and moved:
                yield (
                    f"{other}: {len(moved)} groups that were for {split} in "
                    f"the run before, as {min(moved)!r}"
                )


def _sizes(splits, shares):
    """Yields splits of other sizes than groups are drawn for."""
    groups = {split: len(of["groups"]) for split, of in splits.items()}
    total = sum(groups.values())
    for split, share in {"train": 1 - sum(shares.values()), **shares}.items():
        found = groups.get(split, 0)
        # Four standard deviations of a draw, and one group where they are few.
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
    """Yields what differs between the values of two sets of clips."""
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
