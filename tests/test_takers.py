"""What others do with an export, in processes that have not made it.

One of them never imports this package; the other one does.
"""

import json
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_repr import ConvDecoder
from video_repr import ConvEncoder
from video_repr import Decoder
from video_repr import Encoder
from video_repr.export.saved_model import export_encoder

pytestmark = pytest.mark.slow

FRAMES = 4


# tests/models/test_conv_models.py calls an export of it, too.
@pytest.fixture(
    scope="module",
    params=[Encoder, pytest.param(ConvEncoder, marks=pytest.mark.hard)],
)
def exported(request, tmp_path_factory):
    """An export, and clips with what the encoder makes of them.

    Some of the clips are in another shape that it reads.
    """
    keras.utils.set_random_seed(0)
    if request.param is Encoder:
        encoder, future = Encoder((5, 6)), Decoder((5, 6), 16)
        other, sizes = (6, FRAMES, 16), (4, 4)
    else:
        encoder = ConvEncoder((5, 6), 3, 2)
        future = ConvDecoder((5, 6), 1, 3, 2)
        other, sizes = (2, FRAMES, 8, 6), (-1, -1)
    encoder.build((None, None, 4, 4))
    future(encoder.encode_states(np.zeros((1, 1, 4, 4))), steps=1)
    folder = tmp_path_factory.mktemp("export")
    directory = folder / "encoder"
    export_encoder(
        encoder,
        directory,
        (4, 4),
        future=future,
        input_frames=FRAMES,
        pixels=True,
    )
    clips = np.random.default_rng(0).random((6, FRAMES, 4, 4), np.float32)
    other = clips.reshape(other)
    sequence = encoder.encode_sequence(clips)
    states = encoder.encode_states(clips)
    top_after = [
        encoder.encode_states(clips[:, : t + 1])[-1][0] for t in range(FRAMES)
    ]
    frames = future.to_frames(future(states, steps=9))
    (h_1, c_1), (h_2, c_2) = states
    np.savez(
        folder / "a.npz",
        clips=clips,
        other=other,
        sizes=sizes,
        name=type(encoder).__name__,
        module=type(encoder).__module__,
        sequence=sequence,
        sequence_of_other=encoder.encode_sequence(other),
        top_after=top_after,
        **{"h_1": h_1, "c_1": c_1, "h_2": h_2, "c_2": c_2},
        frames=np.reshape(frames, (6, 9, 4, 4)),
    )
    return directory, folder / "a.npz"


@pytest.fixture(scope="module")
def saved(exported):
    return tf.saved_model.load(str(exported[0]))


@pytest.fixture
def user(exported, forks, tmp_path):
    """Runs source that finds `path`, `a`, `clips` and `close`.

    In a process of its own. Returns what was raised, None for nothing.
    """

    def run(source, *arguments):
        done = forks.start(
            "import sys\n"
            "import numpy as np\n"
            "path, a = sys.argv[1], dict(np.load(sys.argv[2]))\n"
            "clips = a['clips']\n"
            "def close(x, y): np.testing.assert_allclose(x, y, atol=1e-6)\n"
            + source,
            *exported,
            *arguments,
            folder=tmp_path,
        ).wait()
        return done.stderr if done.returncode else None

    return run


@pytest.fixture
def stranger(user):
    """As `user`, who never imports this package."""

    def run(source, *arguments):
        ours = "assert 'video_repr' not in sys.modules\n"
        return user(source + ours, *arguments)

    return run


@pytest.mark.oldest
def test_tensorflow(stranger):
    failure = stranger(
        "import tensorflow as tf\n"
        "m = tf.saved_model.load(path)\n"
        "x, s, want = clips, m.signatures, a['sequence']\n"
        "close(m(x), want[:, -1])\n"
        "close(m(a['other']), a['sequence_of_other'][:, -1])\n"
        "close(s['serving_default'](clips=x)['features'], want[:, -1])\n"
        "close(s['encode'](clips=x)['features'], want[:, -1])\n"
        "close(s['sequence'](clips=x)['features'], want)\n"
        "states = s['states'](clips=x)\n"
        "assert sorted(states) == ['c_1', 'c_2', 'h_1', 'h_2']\n"
        "for name in states: close(states[name], a[name])\n"
        "predict = s['predict_future']\n"
        "for n in (1, 2, 9):\n"
        "    frames = predict(steps=tf.constant(n), **states)['frames']\n"
        "    close(frames, a['frames'][:, :n])\n"
        "assert m.regularization_losses == []\n"
        "variables = m.trainable_variables\n"
        "assert len(variables) == 8\n"
        "for jit in (False, True):\n"
        "    before = [v.numpy() for v in variables]\n"
        "    @tf.function(jit_compile=jit)\n"
        "    def step(x):\n"
        "        with tf.GradientTape() as tape:\n"
        "            loss = tf.reduce_sum(m(x, training=True) ** 2)\n"
        "        for v, g in zip(variables, tape.gradient(loss, variables)):\n"
        "            v.assign_sub(g)\n"
        "    step(x)\n"
        "    for v, old in zip(variables, before):\n"
        "        assert not np.array_equal(v.numpy(), old), v.name\n"
        "assert not np.allclose(m(x), want[:, -1])\n"
    )
    assert failure is None, failure


def test_frame_by_frame(stranger):
    failure = stranger(
        "import tensorflow as tf\n"
        "m = tf.saved_model.load(path)\n"
        "step = m.signatures['step']\n"
        "specs = step.structured_input_signature[1]\n"
        "states = {name: tf.zeros(a[name].shape)\n"
        "          for name in specs if name != 'frame'}\n"
        "for t in range(clips.shape[1]):\n"
        "    states = step(frame=clips[:, t], **states)\n"
        "    close(states['h_2'], a['top_after'][t])\n"
        "for name in states: close(states[name], a[name])\n"
    )
    assert failure is None, failure


@pytest.mark.oldest
def test_hub(stranger):
    failure = stranger(
        "import tensorflow_hub as hub\n"
        "close(hub.load(path)(clips), a['sequence'][:, -1])\n"
    )
    assert failure is None, failure


@pytest.mark.oldest
def test_hub_layer(stranger):
    failure = stranger(
        "import tensorflow_hub as hub, tf_keras\n"
        "layer = hub.KerasLayer(path, trainable=True)\n"
        "model = tf_keras.Sequential(\n"
        "    [tf_keras.Input(clips.shape[1:]), layer,\n"
        "     tf_keras.layers.Dense(2)])\n"
        "close(layer(clips), a['sequence'][:, -1])\n"
        "loss = tf_keras.losses.SparseCategoricalCrossentropy(True)\n"
        "model.compile('adam', loss)\n"
        "before = [v.numpy() for v in layer.trainable_variables]\n"
        "assert len(before) == 8\n"
        "model.fit(clips, np.arange(6) % 2, verbose=0)\n"
        "for v, old in zip(layer.trainable_variables, before):\n"
        "    assert not np.array_equal(v.numpy(), old), v.name\n"
    )
    assert failure is None, failure


@pytest.mark.oldest
@pytest.mark.parametrize(
    "jit", [False, pytest.param(True, marks=pytest.mark.hard)]
)
def test_keras_layer(user, jit):
    """Fine-tuned, saved, loaded, frozen."""
    failure = user(
        "import keras\n"
        "from video_repr import SavedModelEncoder\n"
        "jit = sys.argv[3] == 'True'\n"
        "layer = SavedModelEncoder(path)\n"
        "close(layer(clips), a['sequence'][:, -1])\n"
        "close(layer(a['other']), a['sequence_of_other'][:, -1])\n"
        "inputs = keras.Input(clips.shape[1:])\n"
        "outputs = keras.layers.Dense(2)(layer(inputs))\n"
        "model = keras.Model(inputs, outputs)\n"
        "loss = keras.losses.SparseCategoricalCrossentropy(True)\n"
        "def fit():\n"
        "    before = layer.get_weights()\n"
        "    model.compile('adam', loss, jit_compile=jit)\n"
        "    model.fit(clips, np.arange(6) % 2, verbose=0)\n"
        "    return [not np.array_equal(x, y)\n"
        "            for x, y in zip(before, layer.get_weights())]\n"
        "assert fit() == [True] * 8\n"
        "model.save('m.keras')\n"
        "close(keras.models.load_model('m.keras')(clips), model(clips))\n"
        "layer.trainable = False\n"
        "assert fit() == [False] * 8\n",
        jit,
    )
    assert failure is None, failure


@pytest.mark.oldest
def test_keras_file(exported, user, stranger):
    failure = user(
        "import keras, video_repr\n"
        "encoder = keras.models.load_model(path + '/encoder.keras')\n"
        "close(encoder(clips), a['sequence'][:, -1])\n"
    )
    assert failure is None, failure
    failure = stranger(
        "import keras\nkeras.models.load_model(path + '/encoder.keras')\n"
    )
    last = failure.splitlines()[-1]
    about = np.load(exported[1])
    assert f"Could not locate class '{about['name']}'" in last
    assert "make sure they are all imported" in last
    assert str(about["module"]) in last


@pytest.mark.oldest
def test_both_are_finetuned_alike(user):
    """The SavedModel and the .keras file."""
    failure = user(
        "import keras\n"
        "from video_repr import ActionClassifier, SavedModelEncoder\n"
        "def finetuned(encoder):\n"
        "    model = ActionClassifier(encoder, 3)\n"
        "    model.build(clips.shape)\n"
        "    kernel = model.trainable_variables[-2]\n"
        "    values = np.sin(np.arange(np.prod(kernel.shape)))\n"
        "    kernel.assign(values.reshape(kernel.shape))\n"
        "    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)\n"
        "    model.fit(clips, np.arange(6) % 3, epochs=5, shuffle=False,\n"
        "              verbose=0)\n"
        "    return encoder.get_weights()\n"
        "of = keras.models.load_model(path + '/encoder.keras')\n"
        "start = of.get_weights()\n"
        "want = finetuned(of)\n"
        "found = finetuned(SavedModelEncoder(path))\n"
        "assert len(found) == len(want) == 8\n"
        "for x, y, z in zip(found, want, start):\n"
        "    assert np.abs(y - z).max() > 0.01\n"
        "    np.testing.assert_allclose(x, y, atol=1e-4)\n"
    )
    assert failure is None, failure


def test_beam(stranger):
    """Beam's own handler, of whose Keras files a SavedModel is none."""
    failure = stranger(
        "import apache_beam as beam, tensorflow as tf\n"
        "from apache_beam.ml.inference.base import RunInference\n"
        "from apache_beam.ml.inference.tensorflow_inference import (\n"
        "    TFModelHandlerTensor)\n"
        "from apache_beam.options.pipeline_options import PipelineOptions\n"
        "from apache_beam.testing.util import assert_that\n"
        "class Handler(TFModelHandlerTensor):\n"
        "    def load_model(self):\n"
        "        return tf.saved_model.load(self._model_uri)\n"
        "def check(results):\n"
        "    assert len(results) == 6\n"
        "    for result in results:\n"
        "        i = [np.array_equal(result.example, x)\n"
        "             for x in clips].index(True)\n"
        "        close(result.inference, a['sequence'][i, -1])\n"
        "with beam.Pipeline('FnApiRunner', PipelineOptions([])) as p:\n"
        "    found = (p | beam.Create([tf.constant(x) for x in clips])\n"
        "             | RunInference(Handler(path)))\n"
        "    assert_that(found, check)\n"
    )
    assert failure is None, failure


def test_json_of_tensorflow_serving(exported, stranger, tmp_path):
    """Its REST format, by the signature that its server would read."""
    clips = np.load(exported[1])["clips"]
    rows = {"instances": clips.tolist()}
    (tmp_path / "request.json").write_text(json.dumps(rows))
    failure = stranger(
        "import json\n"
        "import tensorflow as tf\n"
        "from tensorflow.core.protobuf import saved_model_pb2\n"
        "saved = saved_model_pb2.SavedModel()\n"
        "saved.ParseFromString(open(path + '/saved_model.pb', 'rb').read())\n"
        "[graph] = saved.meta_graphs\n"
        "assert list(graph.meta_info_def.tags) == ['serve']\n"
        "signature = graph.signature_def['serving_default']\n"
        "assert signature.method_name == 'tensorflow/serving/predict'\n"
        # With one input and one output, rows need not name them.
        "[(name, given)] = signature.inputs.items()\n"
        "[(output, found)] = signature.outputs.items()\n"
        "assert (name, output) == ('clips', 'features')\n"
        "sizes = [d.size for d in given.tensor_shape.dim]\n"
        "assert sizes == [-1, -1, *a['sizes']]\n"
        "assert found.tensor_shape.dim[0].size == -1\n"
        "rows = json.load(open(sys.argv[3]))['instances']\n"
        "x = tf.constant(rows, tf.as_dtype(given.dtype))\n"
        "serve = tf.saved_model.load(path).signatures['serving_default']\n"
        "answer = serve(**{name: x})[output].numpy().tolist()\n"
        "text = json.dumps({'predictions': answer})\n"
        "got = json.loads(text)['predictions']\n"
        "close(got, a['sequence'][:, -1])\n",
        tmp_path / "request.json",
    )
    assert failure is None, failure


def test_sums_are_those_of_a_common_tool(exported):
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=exported[0],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "saved_model.pb: OK" in done.stdout


def sequence_of(saved, clips):
    return saved.signatures["sequence"](clips=tf.constant(clips))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda x: x * 255, "Expected pixels in [0, 1]. Received: from"),
        (lambda x: x - 1, "Expected pixels in [0, 1]. Received: from"),
        (lambda x: x + np.float32("nan"), "Expected finite values"),
        (lambda x: x + np.float32("inf"), "Expected finite values"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        lambda saved, x: saved(x),
        sequence_of,
    ],
)
def test_values_that_it_refuses(saved, exported, damage, message, call):
    clips = np.load(exported[1])["clips"]
    with pytest.raises(tf.errors.InvalidArgumentError) as refused:
        call(saved, damage(clips))
    assert message in str(refused.value)


def test_steps_and_states_that_it_refuses(saved, exported):
    step = saved.signatures["step"]
    clips = np.load(exported[1])["clips"]
    zeros = np.load(exported[1])
    states = {
        name: np.zeros_like(zeros[name])
        for name in step.structured_input_signature[1]
        if name != "frame"
    }
    nan = {**states, "c_1": states["c_1"] + np.float32("nan")}
    for frame, given, message in (
        (clips[:, 0] + 2, states, "Expected pixels in [0, 1]"),
        (clips[:, 0], nan, "Expected finite values"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError) as refused:
            step(frame=tf.constant(frame), **given)
        assert message in str(refused.value)


def test_under_xla_what_it_would_refuse_is_nan(saved, exported):
    """XLA drops assertions; a wrong result would be believed."""
    clips = tf.constant(np.load(exported[1])["clips"])
    call = tf.function(lambda x: saved(x), jit_compile=True)
    assert np.isfinite(call(clips)).all()
    assert np.isnan(call(255 * clips)).all()
