"""The fields of a dataset's records: one definition for writer and reader.

A record is a `tf.train.Example` of one clip. Keys follow MediaPipe's and the
Model Garden's.

    image/encoded       the clip as one PNG, its frames one below the other;
                        the two channels of flow side by side
    RGB/feature/floats  percepts of the frames, one after the other
    FLOW/feature/floats percepts of their optical flow
    clip/frames         number of frames
    clip/data_path      what the clip was read from
    clip/start/timestamp  where it starts there, in microseconds
    clip/media_id       name of the video, the same on every machine
    clip/group          name of its group, which must stay in one split
    clip/label/index, clip/label/string  the class, where there are classes
    example/id          name of the clip, the same on every machine
"""

import dataclasses
import math
from typing import Literal

import numpy as np

from video_repr.errors import InputError

IMAGE = "image/encoded"
RGB = "RGB/feature/floats"
FLOW = "FLOW/feature/floats"
FRAMES = "clip/frames"
DATA_PATH = "clip/data_path"
START = "clip/start/timestamp"
MEDIA_ID = "clip/media_id"
GROUP = "clip/group"
LABEL_INDEX = "clip/label/index"
LABEL = "clip/label/string"
EXAMPLE_ID = "example/id"

NO_LABEL = -1

# Largest height of a PNG in TensorFlow.
_MOST_ROWS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Clip:
    """The content of a record.

    Attributes:
        id: the clip's name, the same on every machine.
        values: `[time, height, width]` or `[time, height, width, channels]`
            uint8 pixels, or `[time, features]` float32 percepts.
        data_path: the file that it was read from.
        start: time in that file at which it starts, in microseconds.
        media_id: the video's name.
        group: name of the video's group, which must stay in one split.
        label: the class; None where there are none.
    """

    id: str
    values: np.ndarray
    data_path: str
    start: int
    media_id: str
    group: str
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class Features:
    """The fields of a dataset's records.

    Attributes:
        key: `IMAGE`, `RGB` or `FLOW`.
        frame_shape: shape of a frame: `(height, width)`, `(height, width,
            channels)` or `(features,)`.
        labels: names of the classes in the order of their indices.
    """

    key: Literal["image/encoded", "RGB/feature/floats", "FLOW/feature/floats"]
    frame_shape: tuple[int, ...]
    labels: tuple[str, ...] = ()

    @property
    def is_image(self):
        """Whether frames are uint8 pixels rather than percepts."""
        return self.key == IMAGE

    def to_dict(self):
        """JSON-ready, for features.json."""
        return {
            "key": self.key,
            "dtype": "uint8" if self.is_image else "float32",
            "frame_shape": list(self.frame_shape),
            "labels": list(self.labels),
        }

    @classmethod
    def from_dict(cls, values):
        """Features from the result of `to_dict`, or its JSON.

        Raises:
            KeyError: if something is missing.
            InputError: if the key is unknown.
        """
        key = values["key"]
        if key not in (IMAGE, RGB, FLOW):
            raise InputError(
                f"Expected records of {IMAGE}, {RGB} or {FLOW}. Received: {key}"
            )
        return cls(key, tuple(values["frame_shape"]), tuple(values["labels"]))

    def serialize(self, clip):
        """A clip's record, bytes.

        Raises:
            InputError: if the clip does not match these features.
        """
        import tensorflow as tf

        values = clip.values
        dtype = np.uint8 if self.is_image else np.float32
        if (
            values.dtype != dtype
            or values.shape[1:] != self.frame_shape
            or not len(values)
        ):
            raise InputError(
                f"Expected frames of {self.frame_shape}, "
                f"{np.dtype(dtype).name}. Received: {values.dtype} of shape "
                f"{values.shape} in {clip.id}"
            )
        text = {
            DATA_PATH: clip.data_path,
            MEDIA_ID: clip.media_id,
            GROUP: clip.group,
            EXAMPLE_ID: clip.id,
            LABEL: clip.label or "",
        }
        numbers = {
            FRAMES: len(values),
            START: clip.start,
            LABEL_INDEX: self.label_index(clip.label),
        }
        fields = {
            **{
                name: _bytes(value.encode("utf-8", "backslashreplace"))
                for name, value in text.items()
            },
            **{name: _integer(value) for name, value in numbers.items()},
            self.key: _bytes(_png(values))
            if self.is_image
            else _floats(values),
        }
        example = tf.train.Example(features=tf.train.Features(feature=fields))
        # Otherwise the entries of a map are in the order of a hash.
        return example.SerializeToString(deterministic=True)

    def label_index(self, label):
        """Index of a class, `NO_LABEL` for None.

        Raises:
            InputError: if there is no such class.
        """
        if label is None:
            return NO_LABEL
        if label not in self.labels:
            raise InputError(
                f"Expected one of {len(self.labels)} labels. Received: "
                f"{label!r}"
            )
        return self.labels.index(label)

    def parse(self, record):
        """The content of a record, as tensors.

        Args:
            record: a scalar string tensor.

        Returns:
            A dict: "clip", `[time, *frame_shape]`, uint8 or float32;
            "label", int64, `NO_LABEL` where there is none; "id", "group" and
            "media_id", strings; "start", int64.
        """
        import tensorflow as tf

        text = tf.io.FixedLenFeature((), tf.string)
        number = tf.io.FixedLenFeature((), tf.int64)
        fields = tf.io.parse_single_example(
            record,
            {
                **{n: text for n in (EXAMPLE_ID, GROUP, MEDIA_ID)},
                **{n: number for n in (FRAMES, START, LABEL_INDEX)},
                self.key: text
                if self.is_image
                else tf.io.FixedLenSequenceFeature(
                    (math.prod(self.frame_shape),),
                    tf.float32,
                    allow_missing=True,
                ),
            },
        )
        clip = fields[self.key]
        if self.is_image:
            clip = _clip(clip, self.frame_shape)
        return {
            "clip": clip,
            "label": fields[LABEL_INDEX],
            "id": fields[EXAMPLE_ID],
            "group": fields[GROUP],
            "media_id": fields[MEDIA_ID],
            "start": fields[START],
        }

    def parse_together(self, records):
        """The frames of several records, one after another.

        Args:
            records: string tensor `[records]`.

        Returns:
            Tensors: the frames, `[frames, *frame_shape]`, uint8 or float32;
            how many each record has, and its label, int64 `[records]`.
        """
        import tensorflow as tf

        number = tf.io.FixedLenFeature((), tf.int64)
        values = (
            tf.io.FixedLenFeature((), tf.string)
            if self.is_image
            else tf.io.RaggedFeature(tf.float32)
        )
        found = tf.io.parse_example(
            records, {FRAMES: number, LABEL_INDEX: number, self.key: values}
        )
        if self.is_image:
            clips = tf.map_fn(
                lambda png: _clip(png, self.frame_shape),
                found[self.key],
                fn_output_signature=tf.RaggedTensorSpec(
                    (None, *self.frame_shape), tf.uint8, ragged_rank=0
                ),
            )
            frames = clips.values
        else:
            frames = tf.reshape(found[self.key].values, (-1, *self.frame_shape))
        return frames, found[FRAMES], found[LABEL_INDEX]


def check_rows(time, height):
    """Raises `InputError` if one picture cannot hold a clip's frames."""
    if time * height > _MOST_ROWS:
        raise InputError(
            f"Expected clips of at most {_MOST_ROWS:,} rows of pixels, "
            f"which one picture can hold. Received: {time} frames of {height} "
            "px"
        )


def _png(clip):
    import tensorflow as tf

    # One picture for a clip is decoded many times faster than one a frame.
    *_, height, width, channels = clip.reshape(*clip.shape[:3], -1).shape
    if channels not in (1, 3, 4):
        # PNG has no such channels, so they lie side by side.
        clip = np.moveaxis(clip, -1, 2)
        width, channels = width * channels, 1
    strip = clip.reshape(len(clip) * height, width, channels)
    return tf.io.encode_png(strip, compression=1).numpy()


def _clip(png, frame_shape):
    import tensorflow as tf

    height, width, channels = (*frame_shape, 1)[:3]
    if channels in (1, 3, 4):
        strip = tf.io.decode_png(png, channels=channels)
        return tf.reshape(strip, (-1, *frame_shape))
    strip = tf.io.decode_png(png, channels=1)
    strip = tf.reshape(strip, (-1, height, channels, width))
    return tf.transpose(strip, (0, 1, 3, 2))


def _bytes(value):
    import tensorflow as tf

    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integer(value):
    import tensorflow as tf

    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _floats(values):
    import tensorflow as tf

    return tf.train.Feature(
        float_list=tf.train.FloatList(value=values.reshape(-1))
    )
