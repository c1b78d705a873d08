"""Every kind of model, crossed with everything that is done to models."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from video_repr import ConvDecoder
from video_repr import ConvEncoder
from video_repr import Decoder
from video_repr import Encoder
from video_repr import VideoSeq2Seq
from video_repr.optimizers import CompiledAdam
from video_repr.optimizers import with_compiled_update

pytestmark = pytest.mark.slow

UNITS, FRAME, INPUT, FUTURE = (6,), (4, 3), 4, 3


FLAT = functools.partial(Decoder, output_dim=12)


def seq2seq(
    reconstruction=None,
    future=None,
    units=UNITS,
    dropout=0.1,
    encoder=None,
    encoder_of=Encoder,
    decoder_of=FLAT,
    **options,
):
    """A small model; a branch is the keywords of its decoder."""
    kinds = {"reconstruction": reconstruction, "future": future}
    return VideoSeq2Seq(
        encoder_of(units, dropout=dropout, **(encoder or {})),
        {
            branch: decoder_of(
                units, dropout=dropout, **{**options, **keywords}
            )
            for branch, keywords in kinds.items()
            if keywords is not None
        },
        input_frames=INPUT,
        future_frames=FUTURE if future is not None else 0,
    )


CONDITIONAL = {"conditional": True}
SAMPLING = {**CONDITIONAL, "scheduled_sampling": 0.5}
MODELS = {
    "autoencoder": {"reconstruction": {}},
    "conditional_autoencoder": {"reconstruction": CONDITIONAL},
    "future_predictor": {"future": {}},
    "conditional_future": {"future": CONDITIONAL},
    "composite": {"reconstruction": {}, "future": {}},
    "composite_conditional_future": {
        "reconstruction": {},
        "future": CONDITIONAL,
    },
    "two_layers": {
        "reconstruction": {},
        "future": CONDITIONAL,
        "units": (6, 5),
    },
    # All that is drawn.
    "random": {
        "reconstruction": {},
        "future": SAMPLING,
        "encoder": {"input_dropout": 0.2, "recurrent_dropout": 0.2},
    },
    "copy_first_step": {
        "reconstruction": {},
        "future": CONDITIONAL,
        "first_step": "copy",
    },
    # Every frame its own: nothing is left to chance.
    "own_predictions": {
        "reconstruction": {},
        "future": {**CONDITIONAL, "scheduled_sampling": 1.0},
    },
    "linear": {
        "reconstruction": {},
        "future": CONDITIONAL,
        "output": "linear",
    },
    "rectified": {"reconstruction": {}, "future": {}, "output": "rectified"},
    "residual": {
        "reconstruction": {},
        "future": CONDITIONAL,
        "output": "linear",
        "residual": True,
    },
    "convolutional": {
        "reconstruction": {},
        "future": SAMPLING,
        "encoder_of": ConvEncoder,
        "decoder_of": ConvDecoder,
        "output": "linear",
        "residual": True,
    },
    "convolutional_two_layers": {
        "future": {},
        "units": (6, 5),
        "encoder_of": functools.partial(ConvEncoder, kernel_size=(3, 1)),
        "decoder_of": functools.partial(ConvDecoder, kernel_size=(3, 1)),
    },
}


def build(
    kind, jit_compile=True, jit_update=False, run_eagerly=False, **options
):
    keras.utils.set_random_seed(3)
    model = seq2seq(**MODELS[kind], **options)
    optimizer = keras.optimizers.Adam(1e-2)
    if jit_update:
        optimizer = with_compiled_update(optimizer)
    model.compile(
        optimizer,
        jit_compile=jit_compile and not run_eagerly,
        run_eagerly=run_eagerly,
    )
    model.build((None, model.clip_frames, *FRAME))
    return model


@pytest.fixture(params=MODELS)
def kind(request):
    return request.param


# All that the others have, each at least once.
SOME = {
    "autoencoder",
    "composite_conditional_future",
    "convolutional",
    "copy_first_step",
    "linear",
    "random",
    "rectified",
    "two_layers",
}
some_first = pytest.mark.parametrize(
    "kind",
    [
        kind if kind in SOME else pytest.param(kind, marks=pytest.mark.hard)
        for kind in MODELS
    ],
)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return rng.random((6, INPUT + FUTURE, *FRAME)).astype("float32")


def fit(model, clips, epochs=1):
    return model.fit(
        clips, batch_size=3, epochs=epochs, shuffle=False, verbose=0
    )


@pytest.fixture(scope="module")
def trained(clips):
    """Models that were trained step by step without a graph, each once."""

    @functools.cache
    def train(kind):
        model = build(kind, run_eagerly=True, dropout=0.0)
        fit(model, clips)
        return model

    return train


def assert_equal_outputs(a, b, **tolerance):
    assert a.keys() == b.keys()
    for branch in a:
        np.testing.assert_allclose(
            ops.cast(a[branch], "float32"),
            ops.cast(b[branch], "float32"),
            **tolerance,
        )


@pytest.mark.parametrize("kind", ["composite", "linear"])
def test_a_step_is_traced_once(kind, clips, monkeypatch):
    traced = []
    step = VideoSeq2Seq.train_step
    monkeypatch.setattr(
        VideoSeq2Seq,
        "train_step",
        lambda *arguments: traced.append(1) or step(*arguments),
    )
    fit(build(kind, jit_compile=False), clips)
    assert len(traced) == 1


def test_serialise(kind, clips):
    model = build(kind)
    again = VideoSeq2Seq.from_config(model.get_config())
    again.build((None, model.clip_frames, *FRAME))
    again.set_weights(model.get_weights())
    assert_equal_outputs(again(clips), model(clips))


@some_first
def test_checkpoint(kind, clips, trained, tmp_path):
    model = trained(kind)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert_equal_outputs(again(clips), model(clips))
    for a, b in zip(
        model.optimizer.variables, again.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(a, b)


GO_ON = """
import sys, keras, numpy as np, video_repr
model = keras.models.load_model(sys.argv[1])
clips = np.load(sys.argv[2])
model.fit(clips, batch_size=3, shuffle=False, verbose=0)
np.savez(sys.argv[3], *model.get_weights())
"""


def test_checkpoint_goes_on_in_a_forked(clips, tmp_path, forked):
    """Weights, optimizer, dropout and sampling: bit for bit.

    What is saved depends on no graph, which would be traced three times.
    """
    model = build("random", run_eagerly=True)
    fit(model, clips)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "clips.npy", clips)
    forked(GO_ON, "model.keras", "clips.npy", "after.npz")
    fit(model, clips)
    after = np.load(tmp_path / "after.npz").values()
    for ours, theirs in zip(model.get_weights(), after, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        if kind in {"convolutional", "random", "two_layers"}
        else pytest.param(kind, marks=pytest.mark.hard)
        for kind in MODELS
    ],
)
def test_saved_model(kind, clips, trained, tmp_path):
    model = trained(kind)
    model.export(
        tmp_path / "model",
        format="tf_saved_model",
        input_signature=[tf.TensorSpec((None, INPUT, *FRAME), tf.float32)],
        verbose=False,
    )
    served = tf.saved_model.load(str(tmp_path / "model"))
    read = clips[:, :INPUT]
    assert_equal_outputs(served.serve(read), model(read), atol=1e-6)


# XLA draws other random numbers, and is slow to compile: of the others those
# that are a part of none of these are here.
@pytest.mark.parametrize(
    "kind",
    [
        "convolutional_two_layers",
        pytest.param("copy_first_step", marks=pytest.mark.hard),
        pytest.param("own_predictions", marks=pytest.mark.hard),
        pytest.param("rectified", marks=pytest.mark.hard),
        pytest.param("residual", marks=pytest.mark.hard),
        "two_layers",
    ],
)
def test_xla_trains_as_without(kind, clips, trained):
    model = build(kind, dropout=0.0)
    fit(model, clips)
    for a, b in zip(
        model.get_weights(), trained(kind).get_weights(), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


def compiled_functions(model, clips):
    step = tf.function(model.train_step).get_concrete_function(
        tf.constant(clips[:, :INPUT])
    )
    return [
        {node.op for node in function.node_def}
        for function in step.graph.as_graph_def().library.function
        if function.attr["_XlaMustCompile"].b
    ]


def test_xla_compiles_the_update_alone(clips):
    options = {"jit_compile": False, "dropout": 0.0}
    model = build("autoencoder", jit_update=True, **options)
    (update,) = compiled_functions(model, clips)
    assert "AssignSubVariableOp" in update
    assert "MatMul" not in update
    without = build("autoencoder", **options)
    assert not compiled_functions(without, clips)
    fit(model, clips, epochs=3)
    fit(without, clips, epochs=3)
    for a, b in zip(model.get_weights(), without.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_model_goes_on_with_its_compiled_update(clips, tmp_path):
    model = build(
        "autoencoder", jit_compile=False, jit_update=True, dropout=0.0
    )
    fit(model, clips)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, CompiledAdam)
    fit(model, clips)
    fit(again, clips)
    for ours, theirs in zip(
        model.get_weights(), again.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_what_a_model_was_saved_with_before_the_optimizers(clips, tmp_path):
    """Version 0.1 said `compile(optimizer, jit_update=True)`."""
    model = build("autoencoder", jit_compile=False, dropout=0.0)
    fit(model, clips)
    config = {**model.get_compile_config(), "jit_update": True}
    model.get_compile_config = lambda: config
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, CompiledAdam)
    assert again.optimizer.iterations == model.optimizer.iterations
    fit(model, clips)
    fit(again, clips)
    for ours, theirs in zip(
        model.get_weights(), again.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.hard)]
)
def test_a_compiled_update_scales_its_loss(clips, jit_compile):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build("autoencoder", jit_compile=jit_compile, jit_update=True)
        losses = fit(model, clips, epochs=5).history["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_optimizers_whose_update_is_not_compiled():
    with pytest.raises(ValueError, match=r"RMSprop\. Received: SGD"):
        with_compiled_update(keras.optimizers.SGD())


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def test_mixed_precision(kind, clips, policy):
    model = build(kind)
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    outputs = model(clips)
    for output in outputs.values():
        assert output.dtype == policy.removeprefix("mixed_")
    keras.config.set_dtype_policy("float32")
    assert_equal_outputs(outputs, build(kind)(clips), atol=0.05)


@pytest.mark.parametrize(
    ("policy", "jit_compile"),
    [
        pytest.param("mixed_bfloat16", True, marks=pytest.mark.hard),
        # tests/test_training.py trains so, and counts the steps.
        pytest.param("mixed_float16", False, marks=pytest.mark.hard),
        pytest.param("mixed_float16", True, marks=pytest.mark.hard),
    ],
    indirect=["policy"],
)
def test_mixed_precision_learns(clips, policy, jit_compile):
    model = build("conditional_future", jit_compile=jit_compile)
    losses = fit(model, clips, epochs=20).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.hard
def test_bfloat16_with_a_compiled_update_learns(clips):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(
            "composite", jit_compile=False, jit_update=True, dropout=0.0
        )
        losses = fit(model, clips, epochs=20).history["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert losses[-1] < losses[0]
