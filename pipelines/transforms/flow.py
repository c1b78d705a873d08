"""Dense optical flow between the frames of a source."""

import collections
import dataclasses
from typing import Literal

import numpy as np

from pipelines.transforms.frame_sampling import FrameSampling
from video_repr.data import film
from video_repr.data.features import Clip
from video_repr.errors import InputError
from video_repr.errors import MissingExtraError
from video_repr.errors import extra
from video_repr.ranges import check_ranges

# The quantised value for no motion.
ZERO = 128


@dataclasses.dataclass(frozen=True)
class Flow:
    """How flow is computed and quantised.

    Attributes:
        method: "dis" (fast); "deepflow" (nearest to the paper's) or "tvl1",
            which need opencv-contrib-python-headless in place of
            opencv-python-headless.
        bound: largest flow, in pixels a frame; larger flow is clipped.
        stack: flow frames that the temporal network reads at once.
        height: height of the frames that flow is computed on.
        width: width of the frames that flow is computed on.
    """

    method: Literal["dis", "deepflow", "tvl1"] = "dis"
    bound: float = 20.0
    stack: int = 10
    height: int = 240
    width: int = 320

    def __post_init__(self):
        check_ranges(
            self,
            "flow.",
            bound="(0, inf)",
            stack="[1, inf)",
            # DIS finds no motion in smaller frames.
            height="[32, inf)",
            width="[32, inf)",
        )

    def between(self, frames):
        """Yields the flow from each frame to the next of its span.

        Args:
            frames: yields `(span, seconds, frame)`, with an `av.VideoFrame`.

        Yields:
            `(span, seconds, flow)`: quantised flow, uint8 `[height, width, 2]`,
            to the right and down, with the time of the earlier frame.
        """
        compute, scale = self.make(), film.reformatter()
        before = None
        for span, seconds, frame in frames:
            grey = scale.reformat(
                frame, self.width, self.height, "gray"
            ).to_ndarray()
            if before is not None and before[0] == span:
                flow = compute(before[2], grey)
                yield span, before[1], quantise(flow, self.bound)
            before = span, seconds, grey

    def stacks(self, frames):
        """Yields all series of `stack` consecutive flow frames in a span.

        Yields:
            `(span, seconds, stack)`: uint8 `[stack, height, width, 2]`, with
            the time of the first frame.
        """
        window, of = collections.deque(maxlen=self.stack), None
        for span, seconds, flow in self.between(frames):
            if span != of:
                window.clear()
                of = span
            window.append((seconds, flow))
            if len(window) == self.stack:
                yield span, window[0][0], np.stack([f for _, f in window])

    def make(self):
        """The function that computes flow from two grey frames.

        Raises:
            MissingExtraError: if OpenCV lacks it.
        """
        with extra("pipelines"):
            import cv2
        # One thread, as Beam runs several workers.
        cv2.setNumThreads(1)
        if self.method == "dis":
            dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            return lambda a, b: dis.calc(a, b, None)
        if not hasattr(cv2, "optflow"):
            raise MissingExtraError(
                f"Expected OpenCV with its contributed modules for "
                f"{self.method}. Received: OpenCV without; pip uninstall "
                "opencv-python-headless and pip install "
                "opencv-contrib-python-headless"
            )
        make = {
            "deepflow": cv2.optflow.createOptFlow_DeepFlow,
            "tvl1": cv2.optflow.createOptFlow_DualTVL1,
        }[self.method]
        method = make()
        return lambda a, b: method.calc(a, b, None)


def quantise(flow, bound):
    """Flow in pixels a frame as uint8: 128 is 0, 1 and 255 are the bounds."""
    steps = np.clip(flow / bound, -1, 1) * (ZERO - 1)
    return (np.rint(steps) + ZERO).astype(np.uint8)


def restore(quantised, bound):
    """The inverse of `quantise`: flow in pixels a frame."""
    return (quantised.astype(np.float32) - ZERO) * (bound / (ZERO - 1))


@dataclasses.dataclass(frozen=True)
class FlowImages:
    """Clips of quantised flow.

    Attributes:
        frames: which frames are read.
        flow: how flow is computed.
        clip_frames: flow frames of a clip.
    """

    frames: FrameSampling
    flow: Flow
    clip_frames: int

    def __post_init__(self):
        if self.clip_frames is None:
            raise InputError(
                "Expected clip_frames for flow that is written as pictures. "
                "Received: None"
            )

    @property
    def frame_shape(self):
        """Shape of a flow frame."""
        return self.flow.height, self.flow.width, 2

    def clips(self, source, decoded):
        """Yields the `Clip`s of a source."""
        number, begun, of, longest = 0, [], None, 0
        frames = self.frames.read(source, decoded)
        for span, seconds, flow in self.flow.between(frames):
            if span != of:
                begun, of = [], span
            begun.append((seconds, flow))
            longest = max(longest, len(begun))
            if len(begun) < self.clip_frames:
                continue
            yield Clip(
                f"{source.media_id}/{number:06}",
                np.stack([flow for _, flow in begun]),
                source.path,
                round(begun[0][0] * 1e6),
                source.media_id,
                source.group,
                source.label,
            )
            number, begun = number + 1, []
        if not number:
            decoded.problems.append(
                f"{longest} flow frames in a row are less than a clip's "
                f"{self.clip_frames}"
            )
