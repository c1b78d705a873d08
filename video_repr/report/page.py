"""The parts of a page, and the page: one file that needs no network."""

import base64
import dataclasses
import importlib.resources
import io
import pathlib

import numpy as np

from video_repr.errors import InputError
from video_repr.errors import extra
from video_repr.files import whole_file
from video_repr.visualization.strips import as_uint8


@dataclasses.dataclass(frozen=True)
class Words:
    """A paragraph.

    Attributes:
        text: its text.
        failed: whether it reports a failure.
    """

    text: str
    failed: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Numbers in rows.

    Attributes:
        head: titles of the columns.
        rows: cells; the first cell of a row is its name.
        caption: description of the numbers, with units.
        prose: whether the cells are text to wrap.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    prose: bool = False


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        png: content of the PNG file.
        alt: description, for those who cannot see it.
        caption: a line below it.
        wide: whether it scrolls in a narrow window.
    """

    png: bytes
    alt: str
    caption: str
    wide: bool = False

    @property
    def uri(self):
        return _uri(self.png)


@dataclasses.dataclass(frozen=True)
class Animation:
    """An animation.

    Attributes:
        sprite: content of a PNG file with all frames, `columns` in a row.
        size: (height, width) of a frame in pixels.
        labels: a label for each frame.
        columns: number of columns of the sprite.
        alt: description.
        caption: a line below it.
    """

    sprite: bytes
    size: tuple[int, int]
    labels: tuple[str, ...]
    columns: int
    alt: str
    caption: str

    @property
    def uri(self):
        return _uri(self.sprite)


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: its title.
        blocks: its paragraphs, tables, pictures and animations.
    """

    title: str
    blocks: tuple

    @property
    def anchor(self):
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


def missing(error):
    """`Words` about something that is missing."""
    return Words(f"Missing: {error}", failed=True)


def check_page(path):
    """Checks that a page can be written, before it is made.

    Raises:
        InputError: naming the path.
    """
    path = pathlib.Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(
            "Expected a file to write, in a directory that there is. Received: "
            f"{str(path)!r}"
        )


def figure(figure, alt, caption, wide=False):
    """The `Picture` of a matplotlib figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return Picture(file.getvalue(), alt, caption, wide)


def animation(rows, labels, alt, caption, gap=4):
    """The `Animation` of clips, in rows.

    Args:
        rows: arrays of clips, uint8 or in [0, 1], `[clips, time, height,
            width]` or with 3 channels, of one shape. The clips of a row are
            side by side.
        labels: a label for each frame.
        alt: description.
        caption: a line below it.
        gap: pixels between clips.
    """
    with extra("report"):
        from PIL import Image
    clips = np.stack([as_uint8(row) for row in rows])
    down, across, time, height, width = clips.shape[:5]
    frame = (down * (height + gap) - gap, across * (width + gap) - gap)
    columns = max(1, min(time, 4096 // frame[1]))
    lines = -(-time // columns)
    shape = (lines * frame[0], columns * frame[1], *clips.shape[5:])
    sheet = np.full(shape, 48, np.uint8)
    for t in range(time):
        top, left = t // columns * frame[0], t % columns * frame[1]
        for i in range(down):
            for j in range(across):
                y, x = top + i * (height + gap), left + j * (width + gap)
                sheet[y : y + height, x : x + width] = clips[i, j, t]
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, format="PNG", optimize=True)
    return Animation(
        file.getvalue(), frame, tuple(labels), columns, alt, caption
    )


def write_page(path, title, about, sections):
    """Writes a page.

    Args:
        path: file to write.
        title: its title.
        about: a paragraph below the title.
        sections: `Section`s, in order.
    """
    with extra("report"):
        import jinja2
    source = importlib.resources.files(__package__) / "page.html"
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    template = environment.from_string(source.read_text(encoding="utf-8"))
    page = template.render(title=title, about=about, sections=sections)
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _uri(png):
    return "data:image/png;base64," + base64.b64encode(png).decode()
