"""Released encoders, taken by a name, a directory or an address."""

import concurrent.futures
import pathlib
import shutil
import time

import fsspec
import numpy as np
import pytest

from video_repr import ActionClassifier
from video_repr import Encoder
from video_repr import InputError
from video_repr import export_encoder
from video_repr import presets

pytestmark = pytest.mark.slow

RELEASED = pathlib.Path(__file__).parents[1] / "saved_models"


@pytest.fixture
def export(tmp_path):
    encoder = Encoder((3,))
    encoder.build((None, None, 5))
    export_encoder(encoder, tmp_path / "mine", (5,))
    (tmp_path / "mine" / "README.md").write_text("# Mine")
    return tmp_path / "mine"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "video_repr"


@pytest.fixture
def address(export):
    """The export in a store of this process."""
    store = fsspec.filesystem("memory")
    store.put(str(export), "/encoders/mine/1", recursive=True)
    yield "memory://encoders/mine/1"
    store.rm("/encoders", recursive=True)


def test_by_name():
    assert set(Encoder.presets) >= {"moving_mnist", "patches"}
    for name in ("moving_mnist", "patches"):
        assert Encoder.presets[name].startswith("---")
        encoder = Encoder.from_preset(name)
        latest = Encoder.from_preset(f"{name}/1")
        for a, b in zip(
            encoder.get_weights(), latest.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    assert ActionClassifier(encoder, 3).encoder is encoder


def test_by_directory(export):
    assert Encoder.from_preset(export).units == (3,)
    assert Encoder.from_preset(str(export)).units == (3,)
    with (export / "encoder.keras").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match=r"encoder\.keras has been altered"):
        Encoder.from_preset(export)


@pytest.mark.oldest
def test_an_address_is_fetched_once(address, export, home):
    want = Encoder.from_preset(export).get_weights()
    for _ in range(2):
        for a, b in zip(
            Encoder.from_preset(address + "/").get_weights(), want, strict=True
        ):
            np.testing.assert_array_equal(a, b)
        fsspec.filesystem("memory").rm("/encoders/mine/1/saved_model.pb")
        fsspec.filesystem("memory").touch("/encoders/mine/1/saved_model.pb")
    [cached] = home.iterdir()
    assert (cached / "README.md").read_text() == "# Mine"
    # What is altered here is refused, and fetched again when it is removed.
    shutil.rmtree(cached)
    with pytest.raises(InputError, match=r"saved_model\.pb has been altered"):
        Encoder.from_preset(address)
    assert not list(home.iterdir())


def test_one_fetches_for_all_who_want_it(address, home, monkeypatch):
    # There is an object of it for each thread.
    store = type(fsspec.filesystem("memory"))
    cat, fetched = store.cat_file, []

    def cat_slowly(self, path):
        fetched.append(path)
        time.sleep(0.5)
        return cat(self, path)

    monkeypatch.setattr(store, "cat_file", cat_slowly)
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        places = set(threads.map(presets.locate, [address] * 3))
    assert places == set(home.iterdir())
    assert len(places) == len(fetched) == 1


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("mnist", "'moving_mnist', 'patches'.*Received: 'mnist'"),
        ("memory://nowhere/1", "an export at memory://nowhere/1"),
        ("nosuch://nowhere/1", "an export at nosuch://nowhere/1"),
        (pathlib.Path("nowhere"), "Received: 'nowhere'"),
    ],
)
def test_none(preset, message, home):
    with pytest.raises(InputError, match=message):
        Encoder.from_preset(preset)
