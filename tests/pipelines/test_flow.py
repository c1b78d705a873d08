import json

import cv2
import keras
import numpy as np
import pytest

from pipelines import arguments
from pipelines import percepts
from pipelines.transforms import flow as flows
from video_repr.data import ClipDataset
from video_repr.errors import InputError

pytestmark = pytest.mark.slow


def call(films, out, *given):
    try:
        return arguments.main(
            percepts.Arguments,
            "test",
            [
                *("--input", str(films), "--output", str(out)),
                *("--stream", "flow", "--flow.height", "40"),
                *("--flow.width", "48", *map(str, given)),
            ],
        )
    except SystemExit as ended:
        return ended.code


def examples(path):
    dataset = ClipDataset(path)
    return [
        e
        for split in dataset.info["splits"]
        for e in dataset.examples(split).as_numpy_iterator()
    ]


def test_flow_is_quantised_and_restored(rng):
    flow = rng.uniform(-6, 6, (20, 30, 2)).astype("float32")
    quantised = flows.quantise(flow, 5.0)
    assert quantised.dtype == np.uint8
    np.testing.assert_allclose(
        flows.restore(quantised, 5.0), np.clip(flow, -5, 5), atol=5 / 254 + 1e-6
    )
    assert (flows.quantise(np.zeros((2, 2, 2)), 5.0) == flows.ZERO).all()


def test_flow_of_films(films, tmp_path):
    out = tmp_path / "flow" / "1"
    assert call(films, out, "--clip-frames", 4, "--flow.bound", 8) == 0
    found = examples(out)
    # 9, 12 and 15 frames have 8, 11 and 14 flows.
    assert len(found) == 2 * (2 + 2 + 3)
    motion = flows.restore(np.stack([e["clip"] for e in found]), 8.0)
    inside = motion[..., 8:-8, 8:-8, :]
    # The films move to the left by 4 px a frame.
    assert np.median(inside[..., 0]) == pytest.approx(-4, abs=0.5)
    assert np.median(inside[..., 1]) == pytest.approx(0, abs=0.3)


@pytest.fixture
def network(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 32, 32, 2))
    x = keras.layers.Rescaling(1 / 127, offset=-128 / 127)(inputs)
    x = keras.layers.AveragePooling3D((3, 16, 16))(x)
    model = keras.Model(inputs, keras.layers.Flatten()(x))
    model.save(tmp_path / "temporal.keras")
    return model, tmp_path / "temporal.keras"


def test_percepts_of_flow(films, tmp_path, network):
    model, path = network
    images, out = tmp_path / "images" / "1", tmp_path / "percepts" / "1"
    assert call(films, images, "--clip-frames", 4) == 0
    assert (
        call(
            films,
            out,
            *("--flow.stack", 3, "--network", path, "--clip-frames", 2),
        )
        == 0
    )
    flow = {e["id"]: e["clip"] for e in examples(images)}
    for name, clip in flow.items():
        video, number = name.decode().rsplit("/", 1)
        # Stacks that begin at flows 0 and 1 of each four.
        of = f"{video}/{2 * int(number):06}".encode()
        (found,) = [e["clip"] for e in examples(out) if e["id"] == of]
        stacks = np.stack([clip[t : t + 3, 4:36, 8:40] for t in (0, 1)])
        np.testing.assert_allclose(found, model(stacks), atol=1e-4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--flow.stack", 4), "reads 4 flow frames. Received"),
        (
            ("--flow.stack", 3, "--flow.height", 31),
            "flow.height of at least 32",
        ),
        (("--flow.bound", 0), "flow.bound above 0 and finite. Received: 0"),
        (("--flow.bound", "inf"), "flow.bound above 0 and finite. Received"),
        (("--flow.bound", "nan"), "flow.bound above 0 and finite. Received"),
    ],
)
def test_flow_that_does_not_fit(
    films, tmp_path, network, capsys, given, message
):
    out = tmp_path / "flow" / "1"
    assert call(films, out, "--network", network[1], *given) == 2
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in error
    assert not out.parent.exists()
    assert call(films, out, "--clip-frames", "None") == 2
    assert "written as pictures" in capsys.readouterr().err


@pytest.mark.skipif(
    hasattr(cv2, "optflow"), reason="OpenCV has its contributed modules"
)
@pytest.mark.parametrize("method", ["deepflow", "tvl1"])
def test_methods_that_are_not_installed(method):
    with pytest.raises(InputError, match="opencv-contrib-python-headless"):
        next(flows.Flow(method).between(iter(())))


def test_a_network_learns_from_labelled_flow(films, tmp_path):
    out = tmp_path / "flow" / "1"
    assert (
        call(
            films,
            out,
            *("--clip-frames", 3, "--labels"),
            *("--validation", 0, "--test", 0),
        )
        == 0
    )
    assert json.loads((out / "features.json").read_text())["frame_shape"] == [
        *(40, 48, 2)
    ]
    batches = ClipDataset(out).clips(
        "train", batch=4, shuffle=True, labels=True
    )
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 40, 48, 2))
    x = keras.layers.Rescaling(1 / 127, offset=-128 / 127)(inputs)
    x = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    losses = model.fit(batches, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
