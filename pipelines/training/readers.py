"""Reads artifacts of other components."""

import pathlib

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from video_repr.errors import InputError
from video_repr.files import read_json

STATISTICS = "statistics.json"
SCHEMA = "schema.pbtxt"
BLESSING = "blessing.json"
HYPERPARAMETERS = "hyperparameters.json"


def read_statistics(folder):
    """The content of statistics.json.

    Raises:
        InputError: if it is missing or broken.
    """
    return read_json(pathlib.Path(folder) / STATISTICS)


def read_schema(folder):
    """The schema in a folder.

    Raises:
        InputError: if it is missing or broken.
    """
    path = pathlib.Path(folder) / SCHEMA
    try:
        return text_format.Parse(path.read_text(), schema_pb2.Schema())
    except (OSError, text_format.ParseError) as error:
        raise InputError(
            f"Expected a readable {path}. Received: {error}"
        ) from error


def read_blessing(folder):
    """The content of blessing.json.

    Raises:
        InputError: if it is missing or broken.
    """
    return read_json(pathlib.Path(folder) / BLESSING)
