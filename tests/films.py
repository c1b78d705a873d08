"""Small films and GIFs, [time, height, width] uint8."""

import av
import numpy as np
from PIL import Image


def write_film(path, clip, codec="libx264", pixels="yuv420p"):
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=10)
        stream.width, stream.height = clip.shape[2], clip.shape[1]
        stream.pix_fmt = pixels
        for frame in clip:
            rgb = np.repeat(frame[..., None], 3, axis=-1)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(rgb)))
        film.mux(stream.encode())
    return path


def write_gif(path, clip):
    images = [Image.fromarray(frame) for frame in clip]
    images[0].save(path, save_all=True, append_images=images[1:])
    return path
