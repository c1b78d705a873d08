"""Every kind of pixels that FFmpeg can write without loss, read rightly."""

import collections

import av
import numpy as np
import pytest

from video_repr.data import film

# Of hardware, and those that are lossy as they are set here.
_LEFT_OUT = ("_amf", "_nvenc", "_qsv", "_v4l2m2m", "_vaapi", "_mf", "_vulkan")
_LOSSY = {
    "av1", "libsvtav1", "libaom-av1", "libx265", "libwebp", "libwebp_anim",
    "snow", "dirac", "vc2", "jpeg2000", "hevc", "h264", "webp",
    "wrapped_avframe",
}  # fmt: skip
# Places where pixels lie, and what cannot hold the brightest blue.
_NO_PICTURE = {
    "xyz12be", "xyz12le",
    "amf", "cuda", "d3d11", "d3d11va_vld", "d3d12", "drm_prime", "dxva2_vld",
    "mediacodec", "mmal", "ohcodec", "opencl", "qsv", "vaapi", "vdpau",
    "videotoolbox_vld", "vulkan", "xvmc",
}  # fmt: skip
_CONTAINERS = ("nut", "matroska", "mov", "avi", "apng", "gif")
_GREY = (0.299, 0.587, 0.114)
# Squares of 32 px, whose middle no other colour reaches.
_COLOURS = np.array(
    [
        [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0)],
        [(0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)],
        [(200, 120, 40), (90, 160, 210), (128, 128, 128), (30, 60, 20)],
    ],
    np.uint8,
)
_PICTURE = _COLOURS.repeat(32, axis=0).repeat(32, axis=1)


def squares(pixels):
    """Mean of the middle of each square, where dither is even."""
    height, width = len(_COLOURS), len(_COLOURS[0])
    middle = pixels.reshape(height, 32, width, 32, -1)[:, 13:-13, :, 13:-13]
    return middle.astype(float).mean(axis=(1, 3))


def encoders():
    """Codecs that keep what they are given, and their kinds of pixels."""
    lossless = av.codec.codec.Properties.LOSSLESS.value
    for name in sorted(av.codecs_available):
        if name in _LOSSY or name.endswith(_LEFT_OUT):
            continue
        try:
            codec = av.Codec(name, "w")
        except ValueError:
            continue
        if codec.type != "video" or not codec.properties & lossless:
            continue
        formats = [f.name for f in codec.video_formats or ()]
        if name == "rawvideo":
            formats = sorted(av.video.format.names - _NO_PICTURE)
        for pixels in formats:
            yield name, pixels


def paletted(picture):
    colours, places = np.unique(
        picture.reshape(-1, 3), axis=0, return_inverse=True
    )
    palette = np.zeros((256, 4), np.uint8)
    palette[: len(colours), 1:] = colours
    palette[:, 0] = 255
    places = places.reshape(picture.shape[:2]).astype(np.uint8)
    return av.VideoFrame.from_ndarray((places, palette), format="pal8")


def written(path, codec, pixels, container):
    """Whether FFmpeg wrote the picture so, and would read it so again."""
    try:
        frame = (
            paletted(_PICTURE) if pixels == "pal8"
            else av.VideoFrame.from_ndarray(_PICTURE).reformat(format=pixels)
        )  # fmt: skip
        with av.open(str(path), "w", format=container) as made:
            stream = made.add_stream(codec, rate=10)
            stream.height, stream.width = _PICTURE.shape[:2]
            stream.pix_fmt = pixels
            if codec == "libx264":
                stream.options = {"crf": "0"}
            made.mux(stream.encode(frame))
            made.mux(stream.encode())
        with av.open(str(path)) as made:
            return made.streams.video[0].pix_fmt == pixels
    except (av.FFmpegError, OSError, ValueError, MemoryError):
        return False


def tolerance(pixels):
    """How far a colour may lie from what was written, of 255."""
    if pixels == "yuyv422":
        # FFmpeg writes it less well than it reads it.
        return 5
    kind = av.VideoFormat(pixels)
    bits = min(8, *(c.bits for c in kind.components))
    if kind.has_palette or bits == 8:
        # YUV has 220 steps, and a matrix that is rounded.
        return 2 if kind.is_rgb or len(kind.components) < 3 else 3
    # 4 bits hold multiples of 17; those of fewer are dithered.
    return 20 if bits > 3 else 30


def test_every_kind_of_pixels(tmp_path):
    read = collections.defaultdict(set)
    wrong = []
    for codec, pixels in encoders():
        for container in _CONTAINERS:
            path = tmp_path / "film"
            if written(path, codec, pixels, container):
                break
        else:
            continue
        read[pixels].add(codec)
        decoded = film.Decoded()
        (found,) = film.read(path, decoded)
        colours = found.frame.to_ndarray(format="rgb24")
        grey = found.frame.to_ndarray(format="gray")
        # As frames are made smaller before patches are cut.
        small = found.frame.reformat(64, 48).to_ndarray(format="rgb24")
        expected = _COLOURS.astype(float)
        within = tolerance(pixels)
        alpha = any(c.is_alpha for c in av.VideoFormat(pixels).components)
        if len(av.VideoFormat(pixels).components) - alpha == 1 and (
            pixels != "pal8"
        ):
            expected = (expected @ _GREY)[..., None].repeat(3, axis=-1)
        small = small.repeat(2, axis=0).repeat(2, axis=1)
        for what, got, want in (
            ("colours", colours, expected),
            ("small", small, expected),
            ("grey", grey, expected @ _GREY),
        ):
            got = squares(got)
            off = np.abs(got - want.reshape(got.shape)).max()
            if off > within + (what != "colours"):
                wrong.append((codec, pixels, what, round(off)))
        assert decoded.problems == []
    assert wrong == []
    # Or the test has tested nothing.
    assert len(read) > 130
    for some in ("pal8", "monob", "monow", "gray16be", "ya8", "rgb555be",
                 "yuv420p10le", "yuva444p16le", "gbrp12le", "rgb4", "bgr4",
                 "gbrpf32le", "rgba64be", "yuyv422", "nv12"):  # fmt: skip
        assert read[some], some


WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}


def samples(colours, matrix, full, bits):
    """Y, U and V of colours by the definitions in BT.601, 709 and 2020."""
    red, green, blue = np.moveaxis(colours / 255, -1, 0)
    of_red, of_blue = WEIGHTS[matrix]
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    u, v = (blue - luma) / (2 - 2 * of_blue), (red - luma) / (2 - 2 * of_red)
    one, most = 1 << (bits - 8), (1 << bits) - 1
    if full:
        values = luma * most, u * most + 128 * one, v * most + 128 * one
    else:
        values = (
            (16 + 219 * luma) * one,
            (128 + 224 * u) * one,
            (128 + 224 * v) * one,
        )
    return [np.rint(value).clip(0, most).astype(int) for value in values]


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_the_matrix_and_the_range_that_a_film_names(
    tmp_path, matrix, full, bits, chroma
):
    pixels = f"yuv{chroma}p" + (f"{bits}le" if bits > 8 else "")
    kind = "u1" if bits == 8 else "<u2"
    planes = samples(_PICTURE.astype(float), matrix, full, bits)
    frame = av.VideoFrame(_PICTURE.shape[1], _PICTURE.shape[0], pixels)
    down, right = {"420": (2, 2), "422": (1, 2), "444": (1, 1)}[chroma]
    for number, (plane, values) in enumerate(
        zip(frame.planes, planes, strict=True)
    ):
        if number:
            values = values[::down, ::right]
        values = values.astype(kind)
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : values.itemsize * plane.width] = values.view(np.uint8)
        plane.update(rows)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("ffv1", rate=10)
        stream.height, stream.width = _PICTURE.shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full else 1
        made.mux(stream.encode(frame))
        made.mux(stream.encode())
    (found,) = film.read(path, film.Decoded())
    assert found.frame.format.name == pixels
    got = squares(found.frame.to_ndarray(format="rgb24"))
    np.testing.assert_allclose(got, _COLOURS, atol=3)
    grey = squares(found.frame.to_ndarray(format="gray"))[..., 0]
    np.testing.assert_allclose(grey, _COLOURS @ np.array(_GREY), atol=3)


def packed(path, pixels, data):
    """A film of one raw frame, its bytes given row by row."""
    frame = av.VideoFrame(128, 96, pixels)
    (plane, *others) = frame.planes
    rows = np.zeros((96, plane.line_size), np.uint8)
    data = data.reshape(96, -1)
    rows[:, : data.shape[1]] = data
    plane.update(rows)
    assert not others
    with av.open(str(path), "w", format="nut") as made:
        stream = made.add_stream("rawvideo", rate=10)
        stream.height, stream.width, stream.pix_fmt = 96, 128, pixels
        made.mux(stream.encode(frame))
        made.mux(stream.encode())
    (found,) = film.read(path, film.Decoded())
    return found.frame.to_ndarray(format="rgb24")


@pytest.mark.parametrize("order", ["<u2", ">u2"])
@pytest.mark.parametrize(
    ("name", "bits"),
    [("rgb555", (5, 5, 5)), ("bgr555", (5, 5, 5)), ("rgb565", (5, 6, 5)),
     ("bgr565", (5, 6, 5)), ("rgb444", (4, 4, 4)), ("bgr444", (4, 4, 4))],
)  # fmt: skip
def test_colours_of_few_bits(tmp_path, rng, name, bits, order):
    values = [rng.integers(0, 1 << b, (96, 128)) for b in bits]
    word = 0
    for value, b in zip(values, bits, strict=True):
        word = word << b | value
    pixels = name + {"<u2": "le", ">u2": "be"}[order]
    got = packed(tmp_path / "a", pixels, word.astype(order).view(np.uint8))
    expected = np.stack(
        [v * 255 / ((1 << b) - 1)
         for v, b in zip(values, bits, strict=True)], -1
    )  # fmt: skip
    if name.startswith("bgr"):
        expected = expected[..., ::-1]
    # FFmpeg makes 240 of the brightest of 4 bits.
    within = 15 if bits[0] == 4 else 7
    np.testing.assert_allclose(got, expected, atol=within)


@pytest.mark.parametrize("name", ["monob", "monow", "rgb4", "bgr4"])
def test_pixels_of_less_than_a_byte(tmp_path, rng, name):
    if name.startswith("mono"):
        bits = rng.integers(0, 2, (96, 128))
        stored = bits if name == "monob" else 1 - bits
        data = np.packbits(stored.astype(np.uint8), axis=1)
        expected = 255 * bits[..., None].repeat(3, axis=-1)
    else:
        one, two, three = (rng.integers(0, n, (96, 128)) for n in (2, 4, 2))
        pixel = one << 3 | two << 1 | three
        data = (pixel[:, ::2] << 4 | pixel[:, 1::2]).astype(np.uint8)
        expected = np.stack([one * 255, two * 85, three * 255], -1)
        if name == "bgr4":
            expected = expected[..., ::-1]
    got = packed(tmp_path / "a", name, data)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("alpha", "seen"), [(255, 1.0), (0, 1.0), (None, 0.5)])
def test_palettes(tmp_path, rng, alpha, seen):
    """Where nothing in it is to be seen, transparency was left out."""
    palette = rng.integers(0, 256, (256, 4)).astype(np.uint8)
    # The first half is hidden.
    palette[:, 0] = np.arange(256) // 128 * 255 if alpha is None else alpha
    places = rng.integers(0, 256, (96, 128)).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray((places, palette), format="pal8")
    path = tmp_path / "a"
    with av.open(str(path), "w", format="nut") as made:
        stream = made.add_stream("rawvideo", rate=10)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "pal8"
        made.mux(stream.encode(frame))
        made.mux(stream.encode())
    (found,) = film.read(path, film.Decoded())
    expected = palette[:, 1:].copy()
    expected[: round(256 * (1 - seen))] = 0
    np.testing.assert_array_equal(
        found.frame.to_ndarray(format="rgb24"), expected[places]
    )
