import gc
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Two workers share two cores: TensorFlow's threads would wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# As pipelines/ has it, for those that run inside of a test's process.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import pytest
import wrapt
from forks import Forks

# TensorFlow makes hundreds of thousands of objects where it traces: they are
# not looked through after every 700.
gc.set_threshold(200_000, 20, 10)


@wrapt.when_imported("tensorflow.python.data.ops.dataset_ops")
def _without_tuning(dataset_ops):
    """Has tests read datasets without tuning.

    When an iterator that has failed is collected, it waits a third of a second
    for its tuning: hundreds of them waited for minutes.
    """
    options = dataset_ops.options_lib.Options()
    options.autotune.enabled = False
    read = dataset_ops.DatasetV2.__iter__
    dataset_ops.DatasetV2.__iter__ = lambda dataset: read(
        dataset.with_options(options)
    )


SHARED = pathlib.Path(__file__).parents[2] / "shared" / "data"


# Markers of tests that may be skipped under --no-skips, and why.
MAY_SKIP = {
    "shared": "real data lie beside a checkout, not in it",
    "gpu": "not every machine has a GPU",
}


def pytest_addoption(parser):
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="fail if a test is skipped, but for those marked: "
        + ", ".join(f"{mark} ({why})" for mark, why in MAY_SKIP.items()),
    )


def pytest_collection_modifyitems(items):
    # What takes long first: the quick ones fill what is left at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    _skip(items, "shared", f"needs real data in {SHARED}", SHARED.is_dir)
    _skip(items, "gpu", "needs a GPU", _has_gpu)


def _skip(items, mark, reason, unless):
    """Skips the items with a mark, unless a function returns true."""
    marked = [item for item in items if mark in item.keywords]
    if marked and not unless():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


def _has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def pytest_collection_finish():
    # Nor what was imported.
    gc.collect()
    gc.freeze()
    if "tensorflow" in sys.modules:
        # On GPUs TensorFlow multiplies in TF32 unless told otherwise.
        from video_repr.precision import set_precision

        set_precision("float32")


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session):
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    # Workers report to the session that started them.
    if reporter and session.config.getoption("--no-skips"):
        skipped = [
            report.nodeid
            for report in reporter.stats.get("skipped", [])
            if not set(MAY_SKIP) & set(getattr(report, "keywords", ()))
        ]
        if skipped:
            print("\nSkipped, which --no-skips forbids:", *skipped, sep="\n  ")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return result


@pytest.fixture(scope="session")
def shared_data():
    return SHARED


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory):
    """A small digit set of our own: strokes on 8 x 8 px."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    glyphs = {}
    for name, count in (("x_train", 60), ("x_test", 12)):
        glyphs[name] = np.zeros((count, 8, 8), np.uint8)
        for glyph in glyphs[name]:
            glyph[:, rng.integers(8)] = rng.integers(100, 256, 8)
            glyph[rng.integers(8)] = rng.integers(100, 256, 8)
    np.savez(path, **glyphs)
    return path


def _compiling(**options):
    """Has all Keras models compiled with some options.

    Compiling takes longer than all else that is done with tiny models. Results
    with and without graphs and XLA are compared in tests/conformance.
    """
    import keras

    compile_model = keras.Model.compile

    def compile_with(self, *args, **kwargs):
        compile_model(self, *args, **{**kwargs, **options})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "compile", compile_with)
        yield


@pytest.fixture(scope="module")
def without_xla():
    """For models that are trained for many steps."""
    yield from _compiling(jit_compile=False)


@pytest.fixture(scope="module")
def without_graphs():
    """For models that are trained for a few steps."""
    yield from _compiling(jit_compile=False, run_eagerly=True)


@pytest.fixture
def eager():
    """`without_graphs`, for one test of a module."""
    yield from _compiling(jit_compile=False, run_eagerly=True)


@pytest.fixture(scope="session")
def forks():
    """`Forks`, for processes where a fresh interpreter proves nothing."""
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture
def forked(tmp_path, forks):
    """Runs Python source in a process that is forked, see `forks`."""

    def run(source, *arguments):
        done = forks.start(source, *arguments, folder=tmp_path).wait()
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def fresh_process(tmp_path):
    """Runs Python source in a new process; returns what it printed."""

    def run(source, *arguments, expect=0, **environment):
        done = subprocess.run(
            [sys.executable, "-c", source, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout if expect == 0 else done.stderr

    return run
