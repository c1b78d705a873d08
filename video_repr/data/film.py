"""Films and pictures, decoded as a viewer would show them.

What that means, for all that reads films:

- A film is its video stream that is marked as the default one, else its
  first; cover pictures are no films.
- Frames are cropped, widened or heightened where pixels are not square, and
  turned and mirrored (to the nearest quarter turn), as the file says. Nothing
  is made smaller by it.
- Interlaced frames are deinterlaced, one frame for each (FFmpeg's bwdif);
  others are not touched.
- What is transparent lies on black.
- Colours are converted by the matrix and range that the stream names, BT.601
  and limited where it names none.
- Damaged metadata never costs a film: text that is no UTF-8, a colour matrix
  that does not exist, an impossible pixel aspect ratio are left out.
"""

import contextlib
import dataclasses
import fractions
import re
import struct
import typing

import numpy as np

from video_repr.errors import InputError
from video_repr.errors import extra

# What Pillow raises for files that are no pictures, or broken ones.
PICTURE_ERRORS = (OSError, EOFError, SyntaxError, ValueError, struct.error)
# Undecodable packets in a row after which the rest of a film is given up.
_LOST = 1000
# Seconds that a picture may be held; times that leap further are broken.
_HELD = 600.0
# Seconds that stamps are rounded to in Matroska, WebM, Flash and ASF, and in
# what was copied from them.
_MILLISECOND = 0.001
# Pixels that are more than this from square are no pixels but damage.
_ASPECT = 4
# Of FFmpeg, for a matrix of colours that is not said.
_UNSPECIFIED = 2
# Of Matroska and MP4, as FFmpeg prints it: PyAV has no other way to it.
_CROPPING = re.compile(
    r"^ +frame cropping: (\d+)/(\d+)/(\d+)/(\d+)$", re.IGNORECASE | re.MULTILINE
)
# Containers that say how long they are; of others FFmpeg estimates it.
_TOLD = {"asf", "avi", "flv", "matroska", "mov"}
# FFmpeg's own decoders of these leave transparency out.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# Formats whose conversion ends the process, by an assertion within FFmpeg.
_ABORTING = ("yaf32le", "yaf32be")
# Formats that are unpacked here.
_PACKED = ("pal8", "rgb4", "bgr4")
# Display matrices of quarter turns, counterclockwise.
_QUARTERS = (
    None,
    (0, -1, 0, 1, 0, 0, 0, 0, 0),
    (-1, 0, 0, 0, -1, 0, 0, 0, 0),
    (0, 1, 0, -1, 0, 0, 0, 0, 0),
)


@dataclasses.dataclass
class Decoded:
    """What came of decoding a source, filled while its frames are read.

    Attributes:
        frames: number of frames that were decoded.
        gaps: number of times that frames between two others were lost, or
            that times leapt.
        left_out: number of clips that were asked to be left out.
        promised: number of frames that the header promises, 0 if it does not.
        problems: what was wrong, a sentence each.
    """

    frames: int = 0
    gaps: int = 0
    left_out: int = 0
    promised: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


class Shown(typing.NamedTuple):
    """A frame and when it is shown, in seconds from the first frame on.

    Attributes:
        seconds: by its stamp.
        moment: from when on it counts as shown, the rounding of its stamp
            taken back.
        until: when it ends if no other follows.
        frame: the `av.VideoFrame`.
    """

    seconds: float
    moment: float
    until: float
    frame: object


class UndecodableError(InputError):
    """A source of which not a single frame can be had."""


def read(path, decoded):
    """Yields the frames of a film that can be decoded.

    Broken packets are left out and counted; what follows them is read. A leap
    of more than ten minutes in the times of a film is a gap as well.

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
            # One thread a worker: Beam brings the parallelism.
            stream.thread_type = "NONE"
            decoded.promised = stream.frames
            view = _View(av, container, stream, decoded.problems)
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
    """Seconds of a film's pictures, read without decoding them.

    What its header says is that of all streams, and a sound may go on for
    longer than the pictures.

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
        # Decoding it will say what is wrong.
        return said or None
    return min(found, said) if said and found else found or said or None


def reformatter():
    """Converts frames like `av.VideoFrame.reformat`, and many times faster.

    A frame's own method prepares each conversion anew. Give each kind of
    conversion a reformatter of its own.
    """
    with extra("pipelines"):
        from av.video.reformatter import VideoReformatter
    return VideoReformatter()


def viewed(image):
    """A Pillow image as a viewer would show it, in mode RGB or L.

    Turned and mirrored as its EXIF data say; what is transparent lies on
    black.
    """
    from PIL import Image
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        # Pillow would cut off what is brighter than 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return image if image.mode == "L" else image.convert("RGB")


def _av():
    with extra("report"):
        import av
    # What FFmpeg would print is told in `Decoded.problems`.
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
    """Tells of a film that ends before its header says it does."""
    held = last.until - last.seconds
    if container.format.name == "avi" and not decoded.gaps:
        # Pictures that go on are counted, and have no bytes.
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
    # A sound may go on for longer than the pictures.
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
        # Where FFmpeg was built without it, what is hidden is seen.
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            context = av.CodecContext.create(name, "r")
            context.thread_count = 1
    # Or what is cropped at the left would be kept for the sake of speed.
    context.flags |= av.codec.context.Flags.unaligned
    return context


def _frames(av, container, stream, view, decoded):
    """Yields the frames of a stream, as shown."""
    broken = in_a_row = 0
    decoder = _decoder(av, stream)
    for packet in container.demux(stream):
        if not packet.size and packet.dts is not None:
            # The last frame goes on. It would end the decoder.
            continue
        if packet.is_discard:
            # What an edit list leaves out is decoded, and not shown.
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
    """Yields `Shown`: frames with times that run on.

    Stamps are whole numbers of ticks, and whole milliseconds in many films:
    that of the third of 30 frames a second may be 0.067, which is later than
    2/30. One that lies within its rounding of a place n / rate, of the rate
    that FFmpeg finds in the stamps, is taken to be that place; any other
    counts as shown from its rounding earlier.
    """
    period = float(_period(stream))
    found = stream.base_rate
    step = float(1 / found) if found and found > 0 else period
    tick = float(stream.time_base or 0)
    first = last = gaps = None
    for frame in frames:
        stamp = frame.time
        # From the first frame on: some films begin at 10 hours.
        if stamp is not None:
            first = stamp if first is None else first
            seconds = stamp - first
        # Films without times, or with times that run back, are read at
        # their average rate.
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
            # The first of a run, which the others are measured by.
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
    """Seconds that a stamp may be off by."""
    if stamp is None or tick > _MILLISECOND:
        # Such ticks are frames themselves, those of AVI.
        return 0.0
    thousandths = stamp / _MILLISECOND
    if abs(thousandths - round(thousandths)) < 1e-3:
        tick = _MILLISECOND
    # Times are differences of two stamps.
    return 1.01 * tick


class _View:
    """Makes of decoded frames what a viewer shows.

    Args:
        av: the module.
        container: the film.
        stream: its pictures.
        problems: list to add to.
    """

    def __init__(self, av, container, stream, problems):
        self._av = av
        self._problems = problems
        self._aspect = _pixel_aspect(stream, problems)
        self._margins = _container_margins(av, container, stream)
        self._interlaced = False
        self._kind = self._graph = None
        self._packed = self._recoloured = False

    def shown(self, frame):
        """The frames that are ready once another was decoded, a sequence."""
        self._interlaced |= frame.interlaced_frame
        kind = (
            frame.format.name, frame.width, frame.height, frame.colorspace,
            frame.color_range, _matrix(frame), self._interlaced,
        )  # fmt: skip
        before = ()
        if kind != self._kind:
            before = self.rest()
            self._begin(frame, kind)
        if self._recoloured:
            frame.colorspace = _UNSPECIFIED
        if self._packed:
            frame = _unpacked(self._av, frame)
        if self._graph is None:
            return (*before, frame)
        self._graph.push(frame)
        return (*before, *self._ready())

    def rest(self):
        """The frames that wait for others, a sequence; none are to follow."""
        if self._graph is None:
            return ()
        self._graph.push(None)
        frames = tuple(self._ready())
        # Begun anew by the next frame.
        self._kind = self._graph = None
        return frames

    def _ready(self):
        while True:
            try:
                yield self._graph.pull()
            except (self._av.BlockingIOError, self._av.EOFError):
                return

    def _begin(self, frame, kind):
        self._kind = kind
        name = frame.format.name
        if name in _ABORTING:
            raise UndecodableError(_no_conversion(name))
        self._recoloured = False
        self._packed = name in _PACKED
        if self._packed:
            frame = _unpacked(self._av, frame)
        # A small one shows whether FFmpeg can convert such frames at all.
        try:
            frame.reformat(16, 16, "rgb24")
        except OSError as error:
            colours, frame.colorspace = frame.colorspace, _UNSPECIFIED
            try:
                frame.reformat(16, 16, "rgb24")
            except OSError:
                raise UndecodableError(_no_conversion(name)) from error
            self._recoloured = True
            self._say(
                f"its matrix of colours, {colours} of H.273, is none that "
                "FFmpeg converts: it is read as BT.601"
            )
        steps = self._steps(frame, matrix=kind[-2])
        self._graph = self._graph_of(frame, steps) if steps else None

    def _say(self, problem):
        if problem not in self._problems:
            self._problems.append(problem)

    def _steps(self, frame, matrix):
        """What FFmpeg's filters do, pairs of a name and arguments."""
        steps = [
            *_to_plain(frame.format),
            *([("bwdif", "mode=send_frame:deint=interlaced")]
              if self._interlaced and frame.height > 3 else []),
        ]  # fmt: skip
        left, right, top, bottom = self._margins
        width = frame.width - left - right
        height = frame.height - top - bottom
        if (width, height) != (frame.width, frame.height):
            if min(width, height) > 0:
                steps.append(("crop", f"{width}:{height}:{left}:{top}:exact=1"))
            else:
                self._say("its cropping leaves nothing, and is left out")
                width, height = frame.width, frame.height
        if self._aspect != 1:
            width = round(width * max(1, self._aspect))
            height = round(height / min(1, self._aspect))
            steps.append(("scale", f"{width}:{height}:flags=bilinear"))
        steps += _turns(matrix)
        if ("vflip", None) in steps or frame.planes[0].line_size < 0:
            # Rows that lie from the last to the first would be read so.
            steps.append(("copy", None))
        return steps

    def _graph_of(self, frame, steps):
        graph = self._av.filter.Graph()
        graph.threads = 1
        filters = [
            graph.add(
                "buffer",
                video_size=f"{frame.width}x{frame.height}",
                pix_fmt=frame.format.name,
                time_base=str(frame.time_base or fractions.Fraction(1, 1000)),
                colorspace=str(int(frame.colorspace)),
                range=str(int(frame.color_range)),
            )
        ]
        filters += [graph.add(*step) for step in [*steps, ("buffersink", None)]]
        graph.link_nodes(*filters).configure()
        return graph


def _no_conversion(name):
    return f"FFmpeg cannot convert its kind of pixels, {name}"


def _pixel_aspect(stream, problems):
    """Width of a pixel by its height."""
    aspect = stream.sample_aspect_ratio
    if not aspect or aspect < 0:
        return fractions.Fraction(1)
    if not 1 / _ASPECT <= aspect <= _ASPECT:
        problems.append(
            f"its pixel aspect ratio, {aspect}, is taken for damage and its "
            "pixels for square"
        )
        return fractions.Fraction(1)
    return aspect


def _container_margins(av, container, stream):
    """Pixels at the left, right, top and bottom that are not shown.

    Those that the stream itself says are cut off by the decoder.
    """
    names = container.format.name.split(",")
    if "matroska" not in names and "mov" not in names:
        return 0, 0, 0, 0
    # Without a level it would print nothing.
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        printed = container.dumps_format()
    finally:
        av.logging.set_level(level)
    # The first piece is about the file.
    pieces = re.split(r"^ +Stream #0:(?=\d)", printed, flags=re.MULTILINE)
    for piece in pieces[1:]:
        found = _CROPPING.search(piece)
        if found and re.match(rf"{stream.index}\b", piece):
            return tuple(map(int, found.groups()))
    return 0, 0, 0, 0


def _matrix(frame):
    """The display matrix of a frame, nine fixed-point numbers, or None."""
    try:
        for data in frame.side_data:
            if data.type.name == "DISPLAYMATRIX":
                return struct.unpack("=9i", bytes(data))
    except ValueError:
        # Other data of a kind that PyAV does not know. It still tells the
        # angle, counterclockwise.
        return _QUARTERS[round(frame.rotation / 90) % 4]
    return None


def _turns(matrix):
    """Filters that turn and mirror as a display matrix says.

    It maps a place (x, y) to (a x + c y, b x + d y).
    """
    if matrix is None or not any(matrix[place] for place in (0, 1, 3, 4)):
        return []
    a, b, _, c, d = matrix[:5]
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    x, y = (c, b) if turned else (a, d)
    return [
        # FFmpeg's name for swapping x and y.
        *([("transpose", "cclock_flip")] if turned else []),
        *([("hflip", None)] if x < 0 else []),
        *([("vflip", None)] if y < 0 else []),
    ]


def _to_plain(pixels):
    """Filters that make pixels ones that can be scaled without loss."""
    components = pixels.components
    if any(component.is_alpha for component in components):
        return [
            ("format", "gbrap"), ("premultiply", "inplace=1"),
            ("format", "rgb24"),
        ]  # fmt: skip
    if re.search(r"f(16|32)[lb]e$", pixels.name):
        # FFmpeg makes another grey of them.
        return [("format", "rgb24")]
    if min(component.bits for component in components) >= 8:
        return []
    if len(components) == 1:
        return [("format", "gray")]
    if pixels.is_big_endian and not pixels.is_bayer:
        # FFmpeg takes these for what they are only after that.
        return [
            ("format", pixels.name.removesuffix("be") + "le"),
            ("format", "rgb24"),
        ]
    return [("format", "rgb24")]


def _unpacked(av, frame):
    """A frame of `_PACKED` as RGB, for FFmpeg's filters cannot read all."""
    name = frame.format.name
    if name == "pal8":
        places, palette = frame.to_ndarray()
        colours = palette[:, 1:].astype(int)
        alpha = palette[:, :1]
        # Some leave it out, and mean no film of which nothing is seen.
        if alpha.any():
            colours = (colours * alpha + 127) // 255
        pixels = colours.astype(np.uint8)[places]
    else:
        # Two pixels a byte, of 1, 2 and 1 bits.
        rows = np.frombuffer(frame.planes[0], np.uint8)
        rows = rows.reshape(frame.height, -1)
        halves = np.stack([rows >> 4, rows & 15], -1)
        halves = halves.reshape(frame.height, -1)[:, : frame.width]
        pixels = np.stack(
            [(halves >> 3) * 255, (halves >> 1 & 3) * 85, (halves & 1) * 255],
            -1,
        )[..., :: 1 if name == "rgb4" else -1]
    made = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels))
    made.pts, made.time_base = frame.pts, frame.time_base
    made.duration = frame.duration
    return made


def _words(error):
    """FFmpeg's words for an error, without its number and the file's name."""
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
