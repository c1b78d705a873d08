"""Decoded frames as a viewer would show them, see `film`."""

import fractions
import re
import struct

import numpy as np

from video_repr.errors import InputError

# A pixel aspect ratio further from 1 than this is damage.
_ASPECT = 4
# FFmpeg's code for an unspecified colour matrix.
_UNSPECIFIED = 2
# Cropping of Matroska and MP4 as FFmpeg prints it: PyAV cannot read it.
_CROPPING = re.compile(
    r"^ +frame cropping: (\d+)/(\d+)/(\d+)/(\d+)$", re.IGNORECASE | re.MULTILINE
)
# Formats whose conversion kills the process by an assertion within FFmpeg.
_ABORTING = ("yaf32le", "yaf32be")
# Formats that `_unpacked` reads.
_PACKED = ("pal8", "rgb4", "bgr4")
# Display matrices of quarter turns, counterclockwise.
_QUARTERS = (
    None,
    (0, -1, 0, 1, 0, 0, 0, 0, 0),
    (-1, 0, 0, 0, -1, 0, 0, 0, 0),
    (0, 1, 0, -1, 0, 0, 0, 0, 0),
)


class UndecodableError(InputError):
    """A source of which no frame can be decoded."""


class View:
    """Turns decoded frames into the frames that a viewer shows.

    Args:
        av: the module.
        container: the film.
        stream: its video stream.
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
        """Adds a decoded frame; returns the frames ready now, a sequence."""
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
        """The frames that are still waiting at the end, a sequence."""
        if self._graph is None:
            return ()
        self._graph.push(None)
        frames = tuple(self._ready())
        # The next frame makes a new graph.
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
        # A small conversion shows whether FFmpeg can convert such frames.
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
        """FFmpeg's filters for a frame, pairs of a name and arguments."""
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
            # Otherwise PyAV would read rows stored bottom-up in that order.
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

    The decoder itself crops the margins that the stream states.
    """
    names = container.format.name.split(",")
    if "matroska" not in names and "mov" not in names:
        return 0, 0, 0, 0
    # Without a log level it would print nothing.
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
    """Filters that convert pixels to a format that scales without loss."""
    components = pixels.components
    if any(component.is_alpha for component in components):
        return [
            ("format", "gbrap"), ("premultiply", "inplace=1"),
            ("format", "rgb24"),
        ]  # fmt: skip
    if re.search(r"f(16|32)[lb]e$", pixels.name):
        # FFmpeg would convert these to another grey.
        return [("format", "rgb24")]
    if min(component.bits for component in components) >= 8:
        return []
    if len(components) == 1:
        return [("format", "gray")]
    if pixels.is_big_endian and not pixels.is_bayer:
        # Only after this step does FFmpeg read these correctly.
        return [
            ("format", pixels.name.removesuffix("be") + "le"),
            ("format", "rgb24"),
        ]
    return [("format", "rgb24")]


def _unpacked(av, frame):
    """A frame of `_PACKED` as RGB; FFmpeg's filters cannot read all of them."""
    name = frame.format.name
    if name == "pal8":
        places, palette = frame.to_ndarray()
        colours = palette[:, 1:].astype(int)
        alpha = palette[:, :1]
        # Some palettes leave alpha out, which does not mean transparent.
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
