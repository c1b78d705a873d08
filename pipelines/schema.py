"""The `tensorflow_metadata` schema of a dataset's records."""

from tensorflow_metadata.proto.v0 import schema_pb2

from video_repr.data import features as fields


def schema(features):
    """The records' `tensorflow_metadata` schema."""
    result = schema_pb2.Schema()
    for name, kind, shape in columns(features):
        feature = result.feature.add(name=name, type=kind)
        feature.presence.min_fraction = 1.0
        feature.presence.min_count = 1
        if shape is None:
            feature.value_count.min = 1
        else:
            feature.shape.SetInParent()
    if features.labels:
        label = next(f for f in result.feature if f.name == fields.LABEL_INDEX)
        label.int_domain.min = 0
        label.int_domain.max = len(features.labels) - 1
        label.int_domain.is_categorical = True
    return result


def columns(features):
    """Yields the fields of a record: name, schema type, shape or None."""
    texts = (
        fields.DATA_PATH,
        fields.MEDIA_ID,
        fields.GROUP,
        fields.LABEL,
        fields.EXAMPLE_ID,
    )
    numbers = (fields.FRAMES, fields.START, fields.LABEL_INDEX)
    yield (
        features.key,
        schema_pb2.BYTES if features.is_image else schema_pb2.FLOAT,
        () if features.is_image else None,
    )
    for name in texts:
        yield name, schema_pb2.BYTES, ()
    for name in numbers:
        yield name, schema_pb2.INT, ()
