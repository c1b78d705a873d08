"""Systems in processes of their own, as the benchmarks run them."""

import numpy as np
import pytest

from benchmarks import linearity
from benchmarks import train_step
from benchmarks.step.work import Work

TINY = Work(2, 6, (4,), 3, 2)


def test_a_peer_beside_ours():
    ceiling = train_step.Ceiling("float32", size=64)
    peers = [p for p in train_step.PEERS if p[1] == "keras LSTM"]
    peers.append(("benchmarks.step.in_nothing", "missing"))
    ours, peer, missing = train_step.measure("tiny", TINY, peers, 2, ceiling)
    assert ours["system"] == "ours"
    assert peer["system"] == "keras LSTM"
    for row in (ours, peer):
        assert row["work"] == "tiny"
        assert np.isfinite(row["loss"])
        # 2 operations for each of the multiplications.
        expected = row["sequences_per_s"] / 2 * TINY.flop() / 1e9
        assert row["gflops"] == pytest.approx(expected)
        # TensorFlow alone takes more.
        assert row["peak_memory_mb"] > row["imports_mb"] > 100
    assert ours["paired_ratio_to_ours"] == 1
    assert "in_nothing" in missing["status"]


def test_more_devices_than_there_are():
    work = Work(2, 6, (4,), 3, 2, devices=1000)
    (row,) = train_step.measure("tiny", work, [], 1, None)
    assert row["status"].startswith("absent: 1000 GPUs")


def test_a_figure_of_linearity(tmp_path):
    seconds = linearity.measure(TINY, 1)
    assert seconds > 0
    curves = {
        "steps": [(5, seconds), (10, 2 * seconds)],
        "batch": [(8, seconds), (16, 2 * seconds)],
    }
    linearity.draw(tmp_path / "linearity.png", curves)
    assert (tmp_path / "linearity.png").read_bytes()[:4] == b"\x89PNG"
