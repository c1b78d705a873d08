"""SchemaGen: makes the schema of records from the train split."""

from google.protobuf import text_format

from pipelines.schema import schema as schema_of
from pipelines.training.artifacts import write_artifact
from pipelines.training.readers import SCHEMA
from pipelines.training.readers import read_statistics
from video_repr.data.features import Features
from video_repr.errors import InputError


def run(statistics, schema):
    """Makes the schema of records."""
    with write_artifact(
        "SchemaGen", schema, inputs={"statistics": statistics}
    ) as f:
        write_schema(statistics.path, f)


def write_schema(statistics, folder):
    """Writes schema.pbtxt, a `tensorflow_metadata` schema.

    The fields of our records and their types are known. The range of percepts
    is that of the train split, extended by half of it on either side, but not
    below 0 if no value was negative.

    Args:
        statistics: folder of the statistics.
        folder: existing directory to write to, a `pathlib.Path`.
    """
    found = read_statistics(statistics)
    features = Features(
        found["key"], tuple(found["frame_shape"]), tuple(found["labels"])
    )
    schema = schema_of(features)
    train = found["splits"].get("train", {})
    if "min" not in train:
        raise InputError(
            "Expected a train split with values to infer a schema from. "
            f"Received: {_in_words(train)}"
        )
    if not features.is_image:
        values = next(f for f in schema.feature if f.name == features.key)
        margin = 0.5 * (train["max"] - train["min"])
        low, high = train["min"] - margin, train["max"] + margin
        values.float_domain.min = max(low, 0.0) if train["min"] >= 0 else low
        values.float_domain.max = high
        values.float_domain.disallow_nan = True
        values.float_domain.disallow_inf = True
    (folder / SCHEMA).write_text(text_format.MessageToString(schema))


def _in_words(train):
    if not train:
        return "no clips to train on"
    return (
        f"{train['clips']} clips, {train['broken']} of them unreadable, "
        f"{train['nan']} values that are NaN"
    )
