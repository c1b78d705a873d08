"""Programs that readers start from."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from films import write_film

from video_repr import ConvEncoder
from video_repr import Encoder
from video_repr.export.saved_model import export_encoder

pytestmark = pytest.mark.slow


EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@pytest.fixture
def watch(forks, tmp_path):
    """Runs `watch.py`."""
    source = (
        "import runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )

    def run(*arguments):
        program = EXAMPLES / "watch.py"
        return forks.start(source, program, *arguments, folder=tmp_path).wait()

    return run


@pytest.mark.parametrize(
    "kind",
    [ConvEncoder, pytest.param(Encoder, marks=pytest.mark.hard)],
)
def test_watch(kind, tmp_path, rng, watch):
    encoder = kind((8,), **({"patch": 4} if kind is ConvEncoder else {}))
    encoder.build((None, None, 16, 16))
    path = tmp_path / "encoder"
    export_encoder(encoder, path, (16, 16), input_frames=6, pixels=True)
    films = {}
    for name, frames in (("a", 13), ("b", 6), ("short", 5)):
        noise = rng.integers(0, 256, (frames, 32, 48), np.uint8)
        films[name] = write_film(tmp_path / f"{name}.mp4", noise)
    given = ["--encoder", path, "--watch", films["a"], "--references"]
    done = watch(*given, films["b"], films["a"])
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    # The seventh frame begins anew, the thirteenth is not enough.
    assert first.startswith("frames 1 to 6:")
    assert second.startswith("frames 7 to 12:")
    assert f"{films['a']} 0.000  nearest {films['a']}" in first
    assert f"{films['a']} 0.000" not in second
    done = watch(*given, films["short"])
    assert done.returncode == 1
    assert "films of at least 6 frames. Received" in done.stderr
    done = watch("--encoder", path, "--watch", "no.mp4", "--references", "n")
    assert "Expected a film or a camera. Received: n" in done.stderr


def test_cut_film(tmp_path, rng):
    """Parts have the frames of the film, from key frame to key frame."""
    import av

    noise = rng.integers(0, 256, (40, 32, 48), np.uint8)
    film = write_film(tmp_path / "film.mp4", noise, "mpeg4")
    script = EXAMPLES.parent / "saved_models" / "cut_film.py"
    subprocess.run(
        [sys.executable, script, film, tmp_path / "parts", "--seconds", "1"],
        check=True,
    )

    def frames_of(path):
        with av.open(str(path)) as opened:
            return [f.to_ndarray() for f in opened.decode(video=0)]

    parts = sorted((tmp_path / "parts").iterdir())
    assert len(parts) > 1
    assert parts[0].name == "film-000.mp4"
    found = [frame for part in parts for frame in frames_of(part)]
    np.testing.assert_array_equal(found, frames_of(film))
