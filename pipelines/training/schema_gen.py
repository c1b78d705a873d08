"""SchemaGen: what records have to be, from what those to train on are."""

from google.protobuf import text_format

from pipelines.schema import schema as schema_of
from pipelines.training.readers import SCHEMA
from pipelines.training.readers import read_statistics
from video_repr.data.features import Features
from video_repr.errors import InputError


def write_schema(statistics, folder):
    """Writes schema.pbtxt, a `tensorflow_metadata` schema.

    Which fields there are, of which types, is known of our records; the
    range of percepts is that of the train split and half as much again on
    either side, without what is negative where nothing was.

    Args:
        statistics: folder of the statistics.
        folder: existing directory to write to, a `pathlib.Path`.
    """
    told = read_statistics(statistics)
    features = Features(
        told["key"], tuple(told["frame_shape"]), tuple(told["labels"])
    )
    schema = schema_of(features)
    train = told["splits"].get("train", {})
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
        f"{train['nan']} values that are no numbers"
    )
