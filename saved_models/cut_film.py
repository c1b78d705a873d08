"""Cuts a long film into files that a dataset can divide between its splits.

    python saved_models/cut_film.py bbb.mp4 films --seconds 20

Frames are copied as they are compressed: a part begins at the first key frame
after the seconds of the one before.
"""

import argparse
import pathlib

import av

from video_repr.data.film import pictures_of


def cut_film(film, directory, seconds):
    """Writes `STEM-000.mp4`, `STEM-001.mp4`, ... into a new directory.

    Args:
        film: path of a film that an .mp4 can hold.
        directory: path that does not exist.
        seconds: least length of a part; the last is what remains.

    Returns:
        The number of parts.
    """
    film, directory = pathlib.Path(film), pathlib.Path(directory)
    directory.mkdir(parents=True)
    parts, part, end = 0, None, 0.0
    with av.open(film) as source:
        stream = pictures_of(source)
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            at = float(packet.pts * packet.time_base)
            if packet.is_keyframe and (part is None or at >= end):
                if part is not None:
                    part.close()
                path = directory / f"{film.stem}-{parts:03d}.mp4"
                part = av.open(path, "w")
                copied = part.add_stream_from_template(stream)
                parts, end, start = parts + 1, at + seconds, packet.dts
            if part is None:
                continue
            packet.pts, packet.dts = packet.pts - start, packet.dts - start
            packet.stream = copied
            part.mux(packet)
    if part is not None:
        part.close()
    return parts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film")
    parser.add_argument("directory")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    count = cut_film(options.film, options.directory, options.seconds)
    print(f"{count} parts written to {options.directory}.")
