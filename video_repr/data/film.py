"""Films and pictures, decoded as a viewer would show them.

All code that reads films follows these rules:

- Of a film it reads the video stream that is marked as the default, else the
  first one; cover pictures are not films.
- It crops, turns and mirrors frames as the file says, to the nearest quarter
  turn. Where pixels are not square, it makes frames wider or higher, never
  smaller.
- It deinterlaces interlaced frames, one frame for each (FFmpeg's bwdif), and
  does not change others.
- It puts transparent pixels on black.
- It converts colours with the matrix and range that the stream names, or with
  BT.601 and limited range if it names none.
- It ignores damaged metadata and reads the film without them: text that is not
  UTF-8, a colour matrix that does not exist, an impossible pixel aspect ratio.
"""

import contextlib
import dataclasses
import fractions
import re
import struct
import typing

import numpy as np

from video_repr.data.view import UndecodableError
from video_repr.data.view import View
from video_repr.errors import extra

# What Pillow raises for broken pictures and for files that are not pictures.
PICTURE_ERRORS = (OSError, EOFError, SyntaxError, ValueError, struct.error)
# Number of undecodable packets in a row after which reading a film stops.
_LOST = 1000
# Seconds that a picture may be held; a larger jump in the times is damage.
_HELD = 600.0
# Seconds that timestamps are rounded to in Matroska, WebM, Flash and ASF, and
# in films that were copied from them.
_MILLISECOND = 0.001
# Containers that state their duration; FFmpeg estimates that of others.
_TOLD = {"asf", "avi", "flv", "matroska", "mov"}
# Decoders that read transparency; FFmpeg's own for these formats do not.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclasses.dataclass
class Decoded:
    """The outcome of decoding a source, filled while its frames are read.

    Attributes:
        frames: number of decoded frames.
        gaps: number of times that frames between two others were lost, or
            that the times jumped.
        left_out: number of clips that were left out on purpose.
        promised: number of frames that the header promises, 0 if it does not.
        problems: sentences, one for each problem.
    """

    frames: int = 0
    gaps: int = 0
    left_out: int = 0
    promised: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


class Shown(typing.NamedTuple):
    """A frame and when it is shown, in seconds from the first frame on.

    Attributes:
        seconds: its timestamp.
        moment: time from which it counts as shown, corrected for the rounding
            of its timestamp.
        until: time at which it ends if no other frame follows.
        frame: the `av.VideoFrame`.
    """

    seconds: float
    moment: float
    until: float
    frame: object


def read(path, decoded):
    """Yields the frames of a film that can be decoded.

    It skips and counts broken packets and reads on after them. A jump of more
    than ten minutes in the times of a film is a gap as well.

    Args:
        path: a local file.
        decoded: a `Decoded` to fill.

    Yields:
        `Shown`.

    Raises:
        UndecodableError: if there is no frame at all.
        MissingExtraError: if the decoder is not installed.
    """
    av = _av()
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = pictures_of(container)
            # One thread a worker: Beam runs several workers.
            stream.thread_type = "NONE"
            decoded.promised = stream.frames
            view = View(av, container, stream, decoded.problems)
            frames = _frames(av, container, stream, view, decoded)
            last = None
            for last in _timed(frames, stream, decoded):
                yield last
            if last:
                _check_end(av, container, stream, last, decoded)
    except (
        av.FFmpegError, OSError, ValueError, ArithmeticError, MemoryError
    ) as error:  # fmt: skip
        if not decoded.frames:
            raise UndecodableError(_reason(error)) from error
        decoded.problems.append(f"decoding stopped ({_words(error)})")
    if not decoded.frames:
        raise UndecodableError(
            "; ".join(decoded.problems) or "it has no frames"
        )
    if decoded.frames < decoded.promised:
        decoded.problems.append(
            f"{decoded.frames} of {decoded.promised} promised frames"
        )


def length(path):
    """Duration of a film's video in seconds, read without decoding it.

    The duration in the header covers all streams, and sound may be longer than
    the video.

    Returns:
        The length; None if the file cannot be read.
    """
    av = _av()
    first, end, count = None, None, 0
    period = said = None
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = pictures_of(container)
            period = _period(stream)
            said = container.duration and container.duration / av.time_base
            for packet in container.demux(stream):
                if not packet.size or packet.is_discard:
                    continue
                count += 1
                if packet.pts is None:
                    continue
                stop = packet.pts + (packet.duration or 0)
                first = packet.pts if first is None else min(first, packet.pts)
                end = stop if end is None else max(end, stop)
            found = (
                float(period * count)
                if first is None
                else float((end - first) * stream.time_base)
            )
    except (av.FFmpegError, OSError, ValueError, ArithmeticError):
        # Decoding it later reports the problem.
        return said or None
    return min(found, said) if said and found else found or said or None


def reformatter():
    """Converts frames like `av.VideoFrame.reformat`, but many times faster.

    A frame's own method prepares each conversion anew. Use a separate
    reformatter for each kind of conversion.
    """
    with extra("pipelines"):
        from av.video.reformatter import VideoReformatter
    return VideoReformatter()


def viewed(image):
    """A Pillow image as a viewer would show it, in mode RGB or L.

    It is turned and mirrored as its EXIF data say; transparent pixels are on
    black.
    """
    from PIL import Image
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        # Pillow would clip values above 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return image if image.mode == "L" else image.convert("RGB")


def _av():
    with extra("report"):
        import av
    # `Decoded.problems` has the problems that FFmpeg would print.
    av.logging.set_level(None)
    return av


def pictures_of(container):
    """The video stream that a player would choose."""
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise UndecodableError(
            "it has no video stream, but a cover picture"
            if container.streams.video
            else "it has no video stream"
        )
    known = [stream for stream in streams if stream.codec_context]
    if not known:
        raise UndecodableError("FFmpeg has no decoder for its video stream")
    for stream in known:
        if stream.disposition & Disposition.default:
            return stream
    return known[0]


def _check_end(av, container, stream, last, decoded):
    """Reports a film that ends before the time in its header."""
    held = last.until - last.seconds
    if container.format.name == "avi" and not decoded.gaps:
        # The header counts repeated pictures too, which have no bytes.
        places = round(last.moment / float(_period(stream))) + 1
        decoded.promised -= places - decoded.frames
    end = _end(av, container, stream)
    reached = (last.frame.time or 0) + held
    if (
        end is None
        or end - reached < max(0.5, 2 * held)
        or (decoded.frames < decoded.promised)
    ):
        return
    # Sound may be longer than the video.
    with contextlib.suppress(av.FFmpegError):
        container.seek(0)
        for packet in container.demux():
            if packet.pts is not None and packet.stream_index != stream.index:
                stop = packet.pts + (packet.duration or 0)
                if end - stop * packet.time_base < 0.5:
                    return
    decoded.problems.append(
        f"{decoded.frames} frames, which end after {reached:.1f} of the "
        f"{end:.1f} s that the header promises"
    )


def _end(av, container, stream):
    """Seconds at which the pictures end by the header; None if unknown."""
    if not _TOLD & set(container.format.name.split(",")):
        return None
    for tag, value in stream.metadata.items():
        # Of Matroska, "00:00:02.500000000".
        found = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", value)
        if tag.lower() == "duration" and found:
            hours, minutes, seconds = map(float, found.groups())
            return 3600 * hours + 60 * minutes + seconds
    if stream.duration:
        start = stream.start_time or 0
        return float((start + stream.duration) * stream.time_base)
    if container.duration is None:
        return None
    return ((container.start_time or 0) + container.duration) / av.time_base


def _period(stream):
    """Seconds from a frame to the next by the header, a fraction."""
    rate = stream.average_rate
    return 1 / (rate if rate and rate > 0 else fractions.Fraction(25))


def _decoder(av, stream):
    context = stream.codec_context
    name = _WITH_ALPHA.get(context.name)
    tags = {tag.lower(): value for tag, value in stream.metadata.items()}
    if name and tags.get("alpha_mode") == "1":
        # Without this decoder in FFmpeg, transparent pixels keep their colour.
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            context = av.CodecContext.create(name, "r")
            context.thread_count = 1
    # Otherwise FFmpeg keeps columns cropped at the left, for speed.
    context.flags |= av.codec.context.Flags.unaligned
    return context


def _frames(av, container, stream, view, decoded):
    """Yields the frames of a stream as a viewer shows them."""
    broken = in_a_row = 0
    decoder = _decoder(av, stream)
    for packet in container.demux(stream):
        if not packet.size and packet.dts is not None:
            # The last frame is repeated. An empty packet ends the decoder.
            continue
        if packet.is_discard:
            # A frame that an edit list hides is decoded but not shown.
            decoded.promised -= 1
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError as error:
            yield from view.rest()
            broken, in_a_row = broken + 1, in_a_row + 1
            decoded.gaps += 1
            if broken == 1:
                decoded.problems.append(f"broken data ({_words(error)})")
            if in_a_row > _LOST:
                break
            continue
        in_a_row = 0
        for frame in frames:
            if frame.is_corrupt:
                yield from view.rest()
                broken += 1
                decoded.gaps += 1
                continue
            yield from view.shown(frame)
    yield from view.rest()
    if broken:
        decoded.problems.append(f"{broken} packets or frames left out")


def _timed(frames, stream, decoded):
    """Yields `Shown`: frames with increasing times.

    Timestamps are whole numbers of ticks, and in many films of milliseconds: at
    30 frames a second that of the third frame may be 0.067, which is later than
    2/30. FFmpeg estimates a rate from the timestamps. A timestamp that differs
    from a multiple n / rate by no more than its rounding counts as n / rate.
    Any other frame counts as shown one rounding earlier than its timestamp.
    """
    period = float(_period(stream))
    found = stream.base_rate
    step = float(1 / found) if found and found > 0 else period
    tick = float(stream.time_base or 0)
    first = last = gaps = None
    for frame in frames:
        stamp = frame.time
        # Times are relative to the first frame: some films begin at 10 hours.
        if stamp is not None:
            first = stamp if first is None else first
            seconds = stamp - first
        # Films without times, or with decreasing times, are read at their
        # average rate.
        if stamp is None or (last is not None and seconds <= last):
            stamp = None
            seconds = 0.0 if last is None else last + period
        elif last is not None and seconds - last > _HELD:
            decoded.gaps += 1
            decoded.problems.append(
                f"its times leap by {seconds - last:.0f} s after "
                f"{last:.1f} s: no clip reaches over that"
            )
        rounding = _rounding(stamp, tick)
        place = round(seconds / step) * step
        if step > 4 * rounding and abs(place - seconds) <= rounding:
            moment = place
        elif gaps == decoded.gaps:
            moment = seconds - rounding
        else:
            # The first frame of a run; the others are relative to it.
            moment = seconds
        held = period
        base = frame.time_base
        if base and frame.duration:
            held = frame.duration * float(base) - rounding
            held = held if held <= _HELD else period
        last, gaps = seconds, decoded.gaps
        decoded.frames += 1
        yield Shown(seconds, moment, seconds + held, frame)


def _rounding(stamp, tick):
    """Largest rounding error of a timestamp, in seconds."""
    if stamp is None or tick > _MILLISECOND:
        # Such ticks are whole frames, as in AVI, without rounding.
        return 0.0
    thousandths = stamp / _MILLISECOND
    if abs(thousandths - round(thousandths)) < 1e-3:
        tick = _MILLISECOND
    # Times are differences of two timestamps.
    return 1.01 * tick


def _words(error):
    """FFmpeg's message for an error, without its number and the file name."""
    return getattr(error, "strerror", None) or str(error) or "no memory"


def _reason(error):
    """Why a film cannot be opened, in words."""
    if isinstance(error, UndecodableError):
        return str(error)
    words = _words(error)
    if isinstance(error, EOFError):
        return f"it ends before its first frame ({words})"
    if words.startswith("Invalid data"):
        return (
            "it is damaged, cut off, or no film of a kind that FFmpeg knows "
            f"({words})"
        )
    return words
