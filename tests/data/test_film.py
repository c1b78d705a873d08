"""What a film shows: turned, cropped, widened, in its colours, on black."""

import fractions
import io
import struct

import av
import numpy as np
import pytest
from PIL import Image

from video_repr.data import film

RED, GREEN, BLUE, GREY = (230, 20, 20), (20, 200, 20), (20, 20, 220), (128,) * 3


def corners(height=48, width=64):
    """A picture that no turn and no mirror leaves as it is."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = RED
    picture[: height // 2, width // 2 :] = GREEN
    picture[height // 2 :, : width // 2] = BLUE
    picture[height // 2 :, width // 2 :] = GREY
    return picture


def write(
    path, pictures, codec="libx264", pixels="yuv444p", rate=10,
    format="rgb24", options=None, container=None, **settings
):  # fmt: skip
    """A film of pictures, as like them as the codec can."""
    if options is None:
        options = {"libx264": {"crf": "0"}}.get(codec, {})
    with av.open(str(path), "w", format=container) as film:
        stream = film.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format=format)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def shown(path, **expected):
    """The frames of a film as RGB, and nothing that went wrong."""
    decoded = film.Decoded()
    frames = [
        s.frame.to_ndarray(format="rgb24") for s in film.read(path, decoded)
    ]
    assert decoded.problems == expected.get("problems", [])
    assert decoded.frames == len(frames)
    return frames


def alike(picture, expected, within=12):
    assert picture.shape == expected.shape
    difference = np.abs(picture.astype(int) - expected)
    # Edges are smoothed by scaling and by colours of half the size.
    assert np.quantile(difference, 0.85) <= within


def with_matrix(path, numbers):
    """Sets the display matrix of an MP4's track."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = numbers
    one = 1 << 16
    data[at : at + 36] = struct.pack(
        ">9i", *(round(one * n) for n in (a, b, 0, c, d, 0, 0, 0)), 1 << 30
    )
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].swapaxes(0, 1)),
        # By 80 degrees, and made larger.
        ((0.34, 1.97, -1.97, 0.34), lambda p: np.rot90(p, -1)),
        # No matrix at all.
        ((0, 0, 0, 0), lambda p: p),
    ],
)
def test_films_are_turned_and_mirrored(tmp_path, numbers, expected):
    picture = corners()
    path = write(tmp_path / "a.mp4", [picture] * 3)
    with_matrix(path, numbers)
    for frame in shown(path):
        alike(frame, expected(picture))


def test_rows_lie_in_their_order_in_memory(tmp_path):
    """Of mirrored frames and of films that are stored upside down."""
    picture = corners()
    path = write(tmp_path / "a.mp4", [picture], "png", "rgb24")
    with_matrix(path, (1, 0, 0, -1))
    raw = write(tmp_path / "a.avi", [picture], "rawvideo", "bgr24")
    for file, expected in ((path, picture[::-1]), (raw, picture)):
        (found,) = film.read(file, film.Decoded())
        plane = found.frame.planes[0]
        assert plane.line_size > 0
        pixels = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        pixels = pixels[:, : 3 * plane.width].reshape(expected.shape)
        if found.frame.format.name == "bgr24":
            pixels = pixels[..., ::-1]
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [("4/3", (48, 85)), ("64/45", (48, 91)), ("8/9", (54, 64)),
     ("1/2", (96, 64)), ("1/1", (48, 64))],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_pixels_that_are_not_square(tmp_path, aspect, shape, ending):
    path = write(
        tmp_path / f"a.{ending}",
        [corners()] * 2,
        sample_aspect_ratio=fractions.Fraction(aspect),
    )
    for frame in shown(path):
        alike(frame, corners(*shape))


def test_pixels_that_are_wide_in_a_film_that_is_turned(tmp_path):
    path = write(
        tmp_path / "a.mp4",
        [corners()],
        sample_aspect_ratio=fractions.Fraction(2),
    )
    with_matrix(path, (0, 1, -1, 0))
    (frame,) = shown(path)
    alike(frame, np.rot90(corners(48, 128), -1))


def test_an_aspect_that_cannot_be(tmp_path):
    path = write(
        tmp_path / "a.mp4",
        [corners()],
        sample_aspect_ratio=fractions.Fraction(4, 3),
    )
    data = bytearray(path.read_bytes())
    at = data.index(b"pasp") + 4
    data[at : at + 8] = struct.pack(">2I", 200, 1)
    path.write_bytes(data)
    (frame,) = shown(
        path,
        problems=[
            "its pixel aspect ratio, 200, is taken for damage and its "
            "pixels for square"
        ],
    )
    alike(frame, corners())


def filtered(path, out, description):
    """Copies a film through one of FFmpeg's filters of packets."""
    with av.open(str(path)) as film, av.open(str(out), "w") as copy:
        stream = film.streams.video[0]
        added = copy.add_stream_from_template(stream)
        through = av.bitstream.BitStreamFilterContext(
            description, stream, added
        )
        for packet in film.demux(stream):
            for made in through.filter(packet if packet.size else None):
                made.stream = added
                copy.mux(made)
    return out


def element(name, value):
    return name + bytes([0x80 | len(value)]) + value


def with_margins(path, left, right, top, bottom):
    """Writes what is not shown in place of a Matroska's colours."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x55\xb0")
    length = 3 + (data[at + 2] & 0x7F)
    made = b"".join(
        element(name, bytes([pixels]))
        for name, pixels in (
            (b"\x54\xcc", left), (b"\x54\xdd", right), (b"\x54\xbb", top),
            (b"\x54\xaa", bottom),
        )
    )  # fmt: skip
    made += element(b"\xec", bytes(length - len(made) - 2))
    assert len(made) == length
    data[at : at + length] = made
    path.write_bytes(data)


def with_clean_aperture(path, left, right, top, bottom, shape):
    """Writes an MP4's in place of its aspect, colours and rates."""
    data = bytearray(path.read_bytes())
    start = min(data.index(name) for name in (b"pasp", b"colr", b"btrt")) - 4
    end = start
    while bytes(data[end + 4 : end + 8]) in (b"pasp", b"colr", b"btrt"):
        end += struct.unpack_from(">I", data, end)[0]
    height, width = shape[:2]
    # The middle, from that of the whole picture, in halves.
    clap = struct.pack(
        ">I4s2I2IiIiI", 40, b"clap", width - left - right, 1,
        height - top - bottom, 1, left - right, 2, top - bottom, 2,
    )  # fmt: skip
    rest = end - start - len(clap)
    data[start:end] = (
        clap + struct.pack(">I4s", rest, b"free") + bytes(rest - 8)
    )
    path.write_bytes(data)


def test_what_is_cropped(tmp_path):
    picture = corners()
    plain = write(tmp_path / "a.mp4", [picture] * 2, pixels="yuv420p")
    by_stream = filtered(
        plain,
        tmp_path / "b.mp4",
        "h264_metadata=crop_left=16:crop_right=4:crop_top=8:crop_bottom=2",
    )
    by_file = write(
        tmp_path / "c.mkv",
        [picture] * 2,
        "ffv1",
        "yuv420p",
        colorspace=6,
        color_range=1,
        color_primaries=6,
        color_trc=6,
    )
    with_margins(by_file, 16, 4, 8, 2)
    by_box = write(
        tmp_path / "d.mp4",
        [picture] * 2,
        pixels="yuv420p",
        sample_aspect_ratio=fractions.Fraction(1),
        colorspace=6,
        color_range=1,
        color_primaries=6,
        color_trc=6,
    )
    with_clean_aperture(by_box, 16, 4, 8, 2, picture.shape)
    for path in (by_stream, by_file, by_box):
        for frame in shown(path):
            alike(frame, picture[8:-2, 16:-4])


def on_black(pixels):
    colours, alpha = pixels[..., :3].astype(float), pixels[..., 3:]
    return (colours * alpha / 255).round().astype(np.uint8)


def see_through():
    """Hidden colours, half hidden ones and others."""
    alpha = np.zeros((48, 64, 1), np.uint8)
    alpha[:, 20:40], alpha[:, 40:] = 100, 255
    return np.concatenate([corners(), alpha], axis=-1)


@pytest.mark.parametrize(
    ("ending", "codec", "pixels"),
    [
        ("mkv", "ffv1", "bgra"), ("mkv", "ffv1", "yuva420p"),
        ("mkv", "ffv1", "gbrap10le"), ("mov", "png", "rgba"),
        ("mov", "qtrle", "argb"), ("mov", "prores_ks", "yuva444p10le"),
        ("webm", "libvpx-vp9", "yuva420p"), ("webm", "libvpx", "yuva420p"),
    ],
)  # fmt: skip
def test_what_is_transparent_lies_on_black(tmp_path, ending, codec, pixels):
    picture = see_through()
    path = tmp_path / f"a.{ending}"
    lossy = {"libvpx-vp9", "libvpx", "prores_ks"}
    options = {"crf": "4", "b": "2M", "auto-alt-ref": "0"}
    if codec == "prores_ks":
        options = {"profile": "4444"}
    with av.open(str(path), "w") as made:
        stream = made.add_stream(
            codec, rate=10, options=options if codec in lossy else {}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        stream.metadata["alpha_mode"] = "1"
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba")
            made.mux(stream.encode(frame.reformat(format=pixels)))
        made.mux(stream.encode())
    frames = shown(path)
    assert len(frames) == 2
    alike(frames[1], on_black(picture))


def test_pictures_as_a_viewer_shows_them(tmp_path):
    turns = (
        lambda p: p, lambda p: p[:, ::-1], lambda p: p[::-1, ::-1],
        lambda p: p[::-1], lambda p: p.swapaxes(0, 1),
        lambda p: np.rot90(p, -1), lambda p: np.rot90(p, 2).swapaxes(0, 1),
        np.rot90,
    )  # fmt: skip
    for number, turn in enumerate(turns, 1):
        exif = Image.Exif()
        exif[0x0112] = number
        for kind, picture in (
            ("JPEG", corners()), ("PNG", corners()), ("PNG", see_through()),
        ):  # fmt: skip
            file = io.BytesIO()
            Image.fromarray(picture).save(file, kind, exif=exif, quality=95)
            with Image.open(file) as image:
                found = np.asarray(film.viewed(image))
            if picture.shape[-1] == 4:
                picture = on_black(picture)
            alike(found, turn(picture), within=4)
    deep = (np.arange(48 * 64).reshape(48, 64) * 21).astype(np.uint16)
    palette = Image.fromarray(corners()).quantize(8)
    hidden = palette.getpixel((0, 0))
    for image, expected, extra in (
        (Image.fromarray(deep), deep >> 8, {}),
        (Image.fromarray(corners()[..., 0]), corners()[..., 0], {}),
        (
            palette,
            corners() * (corners() != RED).any(-1, keepdims=True),
            {"transparency": hidden},
        ),
    ):
        file = io.BytesIO()
        image.save(file, "PNG", **extra)
        with Image.open(file) as image:
            alike(np.asarray(film.viewed(image)), expected, within=1)


def test_a_gif_is_seen_on_black(tmp_path):
    from video_repr.data import read_clip

    frames = []
    for t in range(3):
        picture = see_through()
        picture[..., 3] = np.where(np.arange(64) < 20 * t + 20, 255, 0)
        frames.append(Image.fromarray(picture))
    path = tmp_path / "a.gif"
    frames[0].save(
        path, save_all=True, append_images=frames[1:], disposal=2, loop=0
    )
    clip = read_clip(path, grey=False)
    for t, frame in enumerate(clip):
        end = 20 * t + 20
        assert not frame[:, end:].any()
        alike(frame[:, :end], corners()[:, :end], within=8)


def test_interlaced_films(tmp_path):
    """A bar that moves by 4 px from a field to the next."""

    def field(t):
        picture = np.full((64, 96, 3), 40, np.uint8)
        picture[:, 4 * t + 4 : 4 * t + 20] = 210
        return picture

    woven = []
    for t in range(8):
        picture = field(2 * t)
        picture[1::2] = field(2 * t + 1)[1::2]
        woven.append(picture)

    def combing(frame):
        grey = frame[8:-8, :, 0].astype(int)
        return np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean()

    options = {"flags": "+ildct+ilme", "qmin": "1", "qmax": "2"}
    combed = [combing(picture) for picture in woven]
    for name, codec in (("a.mpg", "mpeg2video"), ("a.avi", "mpeg4")):
        path = write(
            tmp_path / name, woven, codec, "yuv420p", 25, options=options
        )
        frames = shown(path)
        assert len(frames) == 8
        for t, frame in enumerate(frames):
            assert combing(frame) < combed[t] / 4
            columns = np.flatnonzero(frame[32, :, 0] > 125)
            assert abs(columns.mean() - (8 * t + 11.5)) < 5
    plain = write(tmp_path / "b.mpg", woven, "mpeg2video", "yuv420p", 25,
                  options={"qmin": "1", "qmax": "2"})  # fmt: skip
    with av.open(str(plain)) as container:
        expected = [f.to_ndarray(format="rgb24")
                    for f in container.decode(video=0)]  # fmt: skip
    np.testing.assert_array_equal(shown(plain), expected)


def two_streams(path, default=None, cover=False, film=True):
    """Grey pictures in the first stream, white ones in the second."""
    with av.open(str(path), "w") as made:
        streams = []
        if cover:
            streams.append((made.add_stream("png", rate=1), 128, "rgb24", 1))
            streams[0][0].disposition = av.stream.Disposition.attached_pic
        if film:
            for level in (128, 255):
                stream = made.add_stream("mpeg4", rate=10)
                streams.append((stream, level, "yuv420p", 5))
        for number, (stream, _, pixels, _) in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            if not cover:
                stream.disposition = int(default == number)
        for stream, level, _, count in streams:
            for _ in range(count):
                frame = np.full((48, 64, 3), level, np.uint8)
                made.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            made.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("default", "level"), [(None, 128), (0, 128), (1, 255)]
)
def test_the_stream_that_a_player_would_choose(tmp_path, default, level):
    path = two_streams(tmp_path / "a.mkv", default)
    assert abs(np.mean(shown(path)) - level) < 4


def test_a_cover_is_no_film(tmp_path):
    path = two_streams(tmp_path / "a.mp4", cover=True)
    assert len(shown(path)) == 5
    alone = two_streams(tmp_path / "b.mp4", cover=True, film=False)
    with pytest.raises(film.UndecodableError, match="but a cover picture"):
        shown(alone)


@pytest.mark.parametrize("ending", ["avi", "mkv", "mp4", "flv"])
def test_tags_that_are_no_text(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    with av.open(str(path), "w") as made:
        made.metadata["title"] = "ABCDEFGH"
        codec = "flv" if ending == "flv" else "mpeg4"
        stream = made.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        made.mux(stream.encode(av.VideoFrame.from_ndarray(corners())))
        made.mux(stream.encode())
    data = path.read_bytes()
    assert data.count(b"ABCDEFGH") == 1
    path.write_bytes(
        data.replace(b"ABCDEFGH", b"\xc9t\xe9\xff\xfe\x80\xdf\xf8")
    )
    assert len(shown(path)) == 1
    assert film.length(path) == pytest.approx(0.1)


@pytest.mark.parametrize("colours", [0, 3, 8, 14, 255])
@pytest.mark.parametrize("turned", [False, True])
def test_matrices_of_colours_that_do_not_exist(tmp_path, colours, turned):
    plain = write(tmp_path / "a.mp4", [corners()], pixels="yuv420p")
    path = filtered(
        plain,
        tmp_path / "b.mp4",
        f"h264_metadata=matrix_coefficients={colours}:"
        "colour_primaries=1:transfer_characteristics=1",
    )
    if turned:
        with_matrix(path, (-1, 0, 0, -1))
    decoded = film.Decoded()
    (found,) = film.read(path, decoded)
    frame = found.frame.to_ndarray(format="rgb24")
    alike(frame, corners()[::-1, ::-1] if turned else corners())
    assert all("matrix of colours" in said for said in decoded.problems)


def test_empty_packets_of_avi(tmp_path):
    """A picture that did not change has no bytes, and is held."""
    pictures = [np.full((48, 64, 3), 20 * t, np.uint8) for t in range(10)]
    path = write(tmp_path / "a.avi", pictures, "mjpeg", "yuvj420p")
    data = bytearray(path.read_bytes())
    # The fourth becomes one of no bytes and something else.
    at = data.index(b"movi")
    for _ in range(4):
        at = data.index(b"00dc", at + 4)
    (size,) = struct.unpack_from("<I", data, at + 4)
    size += size % 2
    data[at : at + 8 + size] = (
        b"00dc" + struct.pack("<I", 0) + b"JUNK"
        + struct.pack("<I", size - 8) + bytes(size - 8)
    )  # fmt: skip
    path.write_bytes(data)
    decoded = film.Decoded()
    frames = list(film.read(path, decoded))
    assert decoded.problems == []
    assert [round(10 * s.seconds) for s in frames] == [0, 1, 2, *range(4, 10)]
    levels = [s.frame.to_ndarray(format="gray").mean() for s in frames]
    assert np.allclose(levels, [0, 20, 40, *range(80, 200, 20)], atol=4)
