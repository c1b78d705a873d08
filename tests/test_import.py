"""What `import video_repr` needs, and what it says without it."""

import pytest

import video_repr

pytestmark = pytest.mark.slow


@pytest.mark.oldest
def test_the_package_needs_no_extra(fresh_process):
    fresh_process(
        "import sys\n"
        "for name in ('matplotlib', 'PIL', 'av', 'mlxtend', 'tensorboard',\n"
        "             'apache_beam', 'cv2', 'tyro', 'tensorflow_hub', 'kfp'):\n"
        "    sys.modules[name] = None\n"
        "import numpy as np, video_repr\n"
        "import video_repr.data, video_repr.models, video_repr.export\n"
        "import video_repr.evaluation, video_repr.visualization\n"
        "import video_repr.training\n"
        "e = video_repr.Encoder((4,))\n"
        "assert e(np.zeros((2, 3, 5), 'float32')).shape == (2, 4)\n"
    )


# What takes seconds to import.
HEAVY = ("tensorflow", "keras", "apache_beam", "matplotlib", "kfp", "sklearn")
LIGHT = f"""
import sys
def check():
    found = set({HEAVY}) & set(sys.modules)
    assert not found, found
"""


def test_nothing_heavy_is_imported_before_it_is_used(fresh_process):
    fresh_process(
        LIGHT + "import video_repr\n"
        "from video_repr import InputError\n"
        "import pipelines.training.config\n"
        "import pipelines.training.example_gen\n"
        "import pipelines.training.example_validator\n"
        "import pipelines.training.lineage\n"
        "import pipelines.training.pusher\n"
        "import pipelines.training.resolver\n"
        "import pipelines.training.schema_gen\n"
        "import pipelines.training.transform\n"
        "check()\n"
    )


def test_the_names_of_the_api():
    """`dir` shows what there is, and each name leads somewhere."""
    for package in (video_repr, video_repr.data):
        assert dir(package) == sorted(package.__all__)
        for name in package.__all__:
            assert getattr(package, name) is not None
    assert {"Encoder", "PeepholeLSTM", "data"} <= set(dir(video_repr))
    with pytest.raises(AttributeError):
        video_repr.Encodre  # noqa: B018


# Each ends with InputError's exit code or the parser's own.
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("video-repr --help", 0),
        ("video-repr pretrain --help", 0),
        ("video-repr pretrain demo --help", 0),
        ("video-repr finetune --help", 0),
        ("video-repr label-curve --help", 0),
        ("video-repr pretrain demo --training.epoch 3", 2),
        ("video-repr pretrain demo --training.epochs 0", 2),
        ("video-repr evaluate no-run", 2),
        ("video-repr export no-run", 2),
        ("video-repr pipeline show no-run", 2),
        ("video-repr pipeline run no-config", 2),
        ("pipelines.patches --help", 0),
        ("pipelines.patches --input no-films --output data/films/1", 2),
        ("pipelines.patches --input . --output data/films/1 --size 0", 2),
        ("pipelines.patches --input . --output films", 2),
        ("pipelines.percepts --help", 0),
        ("pipelines.import_features --help", 0),
        ("pipelines.moving_mnist --help", 0),
        ("pipelines.embed --help", 0),
        ("pipelines.embed --encoder a --output b", 2),
    ],
)
def test_arguments_are_answered_before_anything_heavy(
    fresh_process, command, code
):
    program, *arguments = command.split()
    call = "from video_repr_command import main\n"
    if program != "video-repr":
        call = (
            f"from {program} import Arguments\n"
            "from pipelines import arguments\n"
            f"def main(): return arguments.main(Arguments, {program!r})\n"
        )
    fresh_process(
        LIGHT + call + f"sys.argv = {[program, *arguments]!r}\n"
        "try:\n"
        "    code = main()\n"
        "except SystemExit as end:\n"
        "    code = end.code\n"
        "check()\n"
        "sys.exit(code)\n",
        expect=code,
    )


SAVE = """
import sys, keras, numpy as np, video_repr
from video_repr.optimizers import LayerwiseAdam
keras.utils.set_random_seed(0)
clips = np.random.default_rng(0).random((2, 5, 6)).astype("float32")
encoder = video_repr.Encoder((4,))
seq2seq = video_repr.VideoSeq2Seq(
    encoder, {"future": video_repr.Decoder((4,), 6)}, input_frames=3,
    future_frames=2,
)
seq2seq.compile()
seq2seq.build(clips.shape)
classifier = video_repr.ActionClassifier(encoder, 3)
classifier.build(clips.shape)
classifier.compile(
    LayerwiseAdam(1e-3), video_repr.CrossEntropySumOverSteps()
)
sequence = keras.Sequential([
    keras.Input((5, 6)), video_repr.PeepholeLSTM(3, return_sequences=True),
    keras.layers.RNN(video_repr.PeepholeLSTMCell(2)),
])
sequence.compile("sgd", video_repr.HalfSsePerFrame())
video_repr.export_encoder(encoder, "export", (6,))
exported = keras.Sequential([video_repr.SavedModelEncoder("export")])
exported.build(clips.shape)
found = {}
pictures = keras.Sequential([
    keras.Input((5, 2, 3, 1)), video_repr.PeepholeConvLSTM(2, 3),
])
for name, model in (
    ("encoder", encoder), ("seq2seq", seq2seq), ("classifier", classifier),
    ("sequence", sequence), ("pictures", pictures), ("exported", exported),
):
    model.save(f"{name}.keras")
    found[name] = sum(float(np.abs(w).sum()) for w in model.get_weights())
print(found)
"""
LOAD = """
import ast, pathlib, sys
{imported}
import keras, numpy as np
for name, expected in ast.literal_eval(sys.argv[1]).items():
    model = keras.models.load_model(f"{{name}}.keras")
    found = sum(float(np.abs(w).sum()) for w in model.get_weights())
    assert found == expected, name
"""


@pytest.mark.parametrize(
    "imported",
    [
        # Some of ours are being imported when Keras is.
        "from video_repr.models.conversion import as_floats",
        pytest.param("import video_repr", marks=pytest.mark.hard),
    ],
)
def test_a_fresh_process_loads_every_model(fresh_process, forked, imported):
    """Keras imports no module of ours: they are registered before."""
    told = forked(SAVE).splitlines()[-1]
    fresh_process(LOAD.format(imported=imported), told)


REFUSED = "video_repr needs Keras on its TensorFlow backend. Received: backend"


@pytest.mark.parametrize("how", ["environment", "keras.json", "imported"])
def test_another_backend(fresh_process, tmp_path, how):
    source, environment = "import video_repr", {}
    if how == "environment":
        environment["KERAS_BACKEND"] = "numpy"
    elif how == "keras.json":
        (tmp_path / "keras.json").write_text('{"backend": "numpy"}')
        environment["KERAS_HOME"] = str(tmp_path)
    else:
        source = (
            "import keras; keras.backend.backend = lambda: 'numpy'\n" + source
        )
    error = fresh_process(source, expect=1, **environment)
    last = error.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {REFUSED} 'numpy'")
    assert "KERAS_BACKEND=tensorflow" in last


def test_another_backend_on_the_command_line(fresh_process):
    error = fresh_process(
        "import sys, video_repr_command\n"
        "sys.argv = ['video-repr', '--help']\n"
        "sys.exit(video_repr_command.main())",
        expect=2,
        KERAS_BACKEND="jax",
    )
    assert error.startswith(f"video-repr: {REFUSED} 'jax'")
    assert len(error.splitlines()) == 1


def test_training_without_its_extra_starts_nothing(
    fresh_process, tmp_path, digits_file
):
    error = fresh_process(
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from video_repr import cli\n"
        "sys.exit(cli.main(['pretrain', 'demo', '--run', 'run',\n"
        "                   '--data.digits', sys.argv[1]]))\n",
        digits_file,
        expect=2,
    )
    assert error.strip().splitlines()[-1] == (
        "video-repr: This needs the package 'matplotlib', which is not "
        "installed: pip install 'video_repr[report]'"
    )
    assert not (tmp_path / "run").exists()


def test_another_package_called_pipelines(fresh_process, tmp_path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").touch()
    error = fresh_process(
        "import sys\n"
        "from video_repr import cli\n"
        # Which finds ours, as no wheel does.
        "sys.meta_path[:] = [finder for finder in sys.meta_path\n"
        "                    if 'Editable' not in repr(finder)]\n"
        "sys.exit(cli.main(['pipeline', 'show', 'run']))\n",
        expect=2,
    )
    assert "video_repr's own package pipelines. Received: another" in error
    assert str(tmp_path / "pipelines") in error
    assert len(error.splitlines()) == 1
