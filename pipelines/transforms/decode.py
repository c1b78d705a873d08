"""Frames from films and from folders of pictures."""

import contextlib
import dataclasses
import fractions
import os
import pathlib
import re
import shutil
import tempfile

import numpy as np

from pipelines.storage import file_systems
from video_repr.errors import InputError
from video_repr.errors import extra

PICTURES = (".jpg", ".jpeg", ".png")
# Undecodable packets in a row after which the rest of a film is given up.
_LOST = 1000


@dataclasses.dataclass
class Decoded:
    """What came of decoding a source, filled while its frames are read.

    Attributes:
        frames: number of frames that were decoded.
        gaps: number of times that frames between two others were lost.
        left_out: number of clips that were asked to be left out.
        promised: number of frames that the header promises, 0 if it does not.
        problems: what was wrong, a sentence each.
    """

    frames: int = 0
    gaps: int = 0
    left_out: int = 0
    promised: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


class UndecodableError(InputError):
    """A source of which not a single frame can be had."""


@contextlib.contextmanager
def local_file(path):
    """A local copy of a file in any of Beam's file systems."""
    if os.path.exists(path):
        yield path
        return
    with (
        tempfile.NamedTemporaryFile(
            suffix=pathlib.PurePosixPath(path).suffix
        ) as copy,
        file_systems().open(path, compression_type="uncompressed") as source,
    ):
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        yield copy.name


def film(path, decoded):
    """Yields the frames of a film that can be decoded.

    Broken packets are left out and counted; what follows them is read.

    Args:
        path: a local file.
        decoded: a `Decoded` to fill.

    Yields:
        `(seconds, frame)`: the frame's time in the film and the
        `av.VideoFrame`.

    Raises:
        UndecodableError: if there is no frame at all.
    """
    with extra("pipelines"):
        import av
    av.logging.set_level(None)
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise UndecodableError("it has no video stream")
            stream = container.streams.video[0]
            # One thread a worker: Beam brings the parallelism.
            stream.thread_type = "NONE"
            decoded.promised = stream.frames
            yield from _decoded(container, stream, decoded, av)
    except (av.FFmpegError, OSError, ValueError) as error:
        if not decoded.frames:
            raise UndecodableError(_reason(error)) from error
        decoded.problems.append(f"decoding stopped: {_reason(error)}")
    if not decoded.frames:
        raise UndecodableError(
            "; ".join(decoded.problems) or "it has no frames"
        )
    if decoded.frames < decoded.promised:
        decoded.problems.append(
            f"{decoded.frames} of {decoded.promised} promised frames"
        )


def _decoded(container, stream, decoded, av):
    period = 1 / (stream.average_rate or fractions.Fraction(25))
    broken = in_a_row = 0
    first = last = None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            broken, in_a_row = broken + 1, in_a_row + 1
            decoded.gaps += 1
            if broken == 1:
                decoded.problems.append(f"broken data: {_reason(error)}")
            if in_a_row > _LOST:
                break
            continue
        in_a_row = 0
        for frame in frames:
            if frame.is_corrupt:
                broken += 1
                decoded.gaps += 1
                continue
            # Films without times, or with times that run back, are read at
            # their average rate.
            seconds = frame.time
            # From the first frame on: some films begin at 10 hours.
            if seconds is not None:
                first = seconds if first is None else first
                seconds -= first
            if seconds is None or (last is not None and seconds <= last):
                seconds = 0.0 if last is None else last + float(period)
            last = seconds
            decoded.frames += 1
            yield seconds, frame
    if broken:
        decoded.problems.append(f"{broken} packets or frames left out")


def pictures(folder, rate, decoded):
    """Yields the pictures of a folder in the order of their names.

    Args:
        folder: a folder in any of Beam's file systems.
        rate: pictures in a second.
        decoded: a `Decoded` to fill.

    Yields:
        `(seconds, frame)`: the time and an RGB `av.VideoFrame`.

    Raises:
        UndecodableError: if no picture can be read.
    """
    with extra("pipelines"):
        import av
        import cv2
    for name in list_pictures(folder):
        decoded.promised += 1
        with file_systems().open(name) as file:
            data = np.frombuffer(file.read(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if picture is None:
            decoded.gaps += 1
            decoded.problems.append(
                f"{os.path.basename(name)} cannot be decoded"
            )
            continue
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        yield (decoded.promised - 1) / rate, frame
        decoded.frames += 1
    if not decoded.frames:
        raise UndecodableError(
            "; ".join(decoded.problems) or "it has no pictures"
        )


def list_pictures(folder):
    """Paths of the pictures in a folder, 2.jpg before 10.jpg."""
    if os.path.isdir(folder):
        # Beam would take a [ in its name for a pattern.
        paths = [os.path.join(folder, name) for name in os.listdir(folder)]
    else:
        (matched,) = file_systems().match([file_systems().join(folder, "*")])
        paths = [found.path for found in matched.metadata_list]

    def in_words_and_numbers(path):
        words = re.split(r"(\d+)", os.path.basename(path))
        return [int(w) if w.isdigit() else w for w in words], path

    return sorted(
        (path for path in paths if path.lower().endswith(PICTURES)),
        key=in_words_and_numbers,
    )


def _reason(error):
    return str(error) or type(error).__name__


def reformatter():
    """Converts frames like `av.VideoFrame.reformat`, and many times faster.

    A frame's own method prepares each conversion anew. Give each kind of
    conversion a reformatter of its own.
    """
    with extra("pipelines"):
        from av.video.reformatter import VideoReformatter
    return VideoReformatter()


def duration(path):
    """Seconds of a film, by its header; None if that does not say."""
    with extra("pipelines"):
        import av
    try:
        with av.open(path) as container:
            if container.duration:
                return container.duration / av.time_base
    except (av.FFmpegError, OSError):
        # Decoding it will say what is wrong.
        pass
    return None
