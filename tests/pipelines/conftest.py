import hashlib
import logging

import numpy as np
import pytest
from films import write_film
from percept_data import write_percepts

from pipelines import arguments
from pipelines import patches

# What Beam says of the clouds that are not installed.
logging.getLogger().setLevel(logging.ERROR)


def moving(rng, frames, height, width):
    """A film of grey noise that moves to the right."""
    field = rng.integers(0, 256, (height // 8, width // 8 + frames), np.uint8)
    field = field.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([field[:, 4 * t : 4 * t + width] for t in range(frames)])


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Six small films in two folders, in each a group of two."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for label in ("run", "walk"):
        (folder / label).mkdir()
        for number in range(3):
            clip = moving(rng, 9 + 3 * number, 40, 48)
            name = f"{label}_g{number // 2}_{number}.mp4"
            write_film(folder / label / name, clip)
    return folder


@pytest.fixture
def percepts(rng, tmp_path):
    """The dataset of `percept_data.write_percepts`."""
    return write_percepts(rng, tmp_path)


@pytest.fixture
def cut(films, tmp_path):
    """Runs `pipelines.patches`; returns its exit code."""

    def run(*extra, path=films, out=tmp_path / "cut" / "1"):
        try:
            return arguments.main(
                patches.Arguments,
                "pipelines.patches",
                [
                    *("--input", str(path), "--output", str(out)),
                    *("--clip-frames", "4", "--size", "16"),
                    *map(str, extra),
                ],
            )
        except SystemExit as ended:
            # The parser ends the program itself.
            return ended.code

    return run


@pytest.fixture
def sums():
    """SHA-256 of each file of a directory."""

    def of(folder):
        return {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(folder.iterdir())
        }

    return of
