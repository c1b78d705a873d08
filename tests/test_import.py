"""What `import video_repr` needs, and what it says without it."""

import pytest


def test_the_package_needs_no_extra(fresh_process):
    fresh_process(
        "import sys\n"
        "for name in ('matplotlib', 'PIL', 'av', 'mlxtend', 'tensorboard',\n"
        "             'apache_beam', 'cv2', 'tyro', 'tensorflow_hub', 'kfp'):\n"
        "    sys.modules[name] = None\n"
        "import numpy as np, video_repr\n"
        "import video_repr.data, video_repr.models, video_repr.saved_model\n"
        "import video_repr.evaluation, video_repr.visualization\n"
        "import video_repr.training\n"
        "e = video_repr.Encoder((4,))\n"
        "assert e(np.zeros((2, 3, 5), 'float32'))[0][0].shape == (2, 4)\n"
    )


@pytest.mark.parametrize(
    ("imported", "backend"),
    [
        ("", "numpy"),
        # As if ~/.keras/keras.json had named it.
        ("import keras; keras.backend.backend = lambda: 'numpy'", "tensorflow"),
    ],
)
def test_another_backend(fresh_process, imported, backend):
    error = fresh_process(
        f"{imported}\nimport video_repr", expect=1, KERAS_BACKEND=backend
    )
    last = error.strip().splitlines()[-1]
    assert last.startswith("ImportError: video_repr needs Keras on its Tensor")
    assert "Received: backend 'numpy'" in last
    assert "KERAS_BACKEND=tensorflow" in last


def test_another_backend_on_the_command_line(fresh_process):
    error = fresh_process(
        "import sys; sys.argv = ['video-repr']\nimport video_repr.cli",
        expect=2,
        KERAS_BACKEND="jax",
    )
    assert error.startswith("video-repr: video_repr needs Keras on its Tensor")
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
