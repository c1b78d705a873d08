"""Systems in processes of their own, as the benchmarks run them."""

import json
import sys

import numpy as np
import pytest

from benchmarks import before
from benchmarks import linearity
from benchmarks import masks
from benchmarks import train_step
from benchmarks.step.work import Work

pytestmark = pytest.mark.slow

TINY = Work(2, 6, (4,), 3, 2)


@pytest.mark.hard
def test_a_peer_beside_ours():
    ceiling = train_step.Ceiling("float32", sizes=(64,))
    peers = [p for p in train_step.PEERS if p[1] == "keras LSTM"]
    peers.append(("benchmarks.step.in_nothing", "missing"))
    *rows, missing = train_step.measure(
        "tiny", TINY, peers, 2, ceiling, in_flight=(1, 3)
    )
    assert [(row["system"], row["in_flight"]) for row in rows] == [
        ("ours", 1),
        ("ours", 3),
        ("keras LSTM", 1),
        ("keras LSTM", 3),
    ]
    for row in rows:
        assert row["work"] == "tiny"
        assert row["batch"] == TINY.batch
        assert np.isfinite(row["loss"])
        # 2 operations for each of the multiplications.
        expected = row["sequences_per_s"] / 2 * TINY.flop() / 1e9
        assert row["gflops"] == pytest.approx(expected)
        # TensorFlow alone takes more.
        assert row["peak_memory_mb"] > row["imports_mb"] > 100
    assert rows[0]["paired_ratio_to_ours"] == 1
    assert "in_nothing" in missing["status"]


@pytest.mark.hard
def test_more_devices_than_there_are():
    work = Work(2, 6, (4,), 3, 2, devices=1000)
    (row,) = train_step.measure("tiny", work, [], 1, None)
    assert row["status"].startswith("absent: 1000 GPUs")


@pytest.mark.hard
def test_the_loss_is_the_same_work():
    ceiling = train_step.Ceiling("float32", sizes=(64,))
    peers = [p for p in train_step.PEERS if "keras RNN" in p[1]]
    work = Work(4, 50, (4,), 6, 3)
    ours, *others = train_step.measure("tiny", work, peers, 1, ceiling)
    # Before anything is learned a pixel costs log 2.
    assert ours["loss"] == pytest.approx(50 * np.log(2), rel=0.05)
    for other in others:
        assert other["loss"] == pytest.approx(ours["loss"], rel=0.05)


@pytest.mark.hard
def test_a_commit_before(monkeypatch, tmp_path):
    monkeypatch.setattr(before, "WORKS", {"tiny": TINY})
    given = ["before", "HEAD", "--work", "tiny", "--repeats", "2"]
    monkeypatch.setattr(sys, "argv", [*given, "--json", f"{tmp_path}/a.json"])
    before.main()
    (row,) = json.loads((tmp_path / "a.json").read_text())["results"]
    assert row["work"] == "tiny"
    assert row["ratio"] > 0


@pytest.mark.hard
def test_what_masks_cost(monkeypatch, tmp_path):
    given = ["masks", "--batch", "2", "--frames", "3", "--features", "4"]
    given += ["--units", "5", "--repeats", "2", "--json", f"{tmp_path}/a.json"]
    monkeypatch.setattr(sys, "argv", given)
    masks.main()
    assert json.loads((tmp_path / "a.json").read_text())["ratio"] > 0


class Dying(train_step.Worker):
    """A process that ends while it is asked for its third step."""

    steps = 0

    def step(self):
        self.steps += 1
        if self.system != "ours" and self.steps == 3:
            self._process.kill()
            self._process.wait()
        return super().step()


@pytest.mark.hard
def test_a_peer_that_dies_is_listed(monkeypatch):
    monkeypatch.setattr(train_step, "Worker", Dying)
    ceiling = train_step.Ceiling("float32", sizes=(64,))
    peers = [p for p in train_step.PEERS if p[1] == "keras LSTM"]
    ours, peer = train_step.measure("tiny", TINY, peers, 4, ceiling)
    assert peer["status"].startswith("failed: ")
    assert ours["sequences_per_s"] > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--work", "z"), "Received: z"),
        (("--precision", "bfloat16"), "Received: bfloat16"),
        (("--repeats", "0"), "Received: 0"),
        (("--batch", "64,0"), "Received: '64,0'"),
        (("--in-flight", ""), "Received: ''"),
        (("--peers", "nobody"), "'nobody'"),
    ],
)
def test_what_cannot_be_measured(monkeypatch, given, message):
    monkeypatch.setattr("sys.argv", ["train_step", *given])
    with pytest.raises(SystemExit, match=message):
        train_step.main()


@pytest.mark.hard
def test_a_figure_of_linearity(tmp_path):
    seconds = linearity.measure(TINY, 1)
    assert seconds > 0
    curves = {
        "steps": [(5, seconds), (10, 2 * seconds)],
        "batch": [(8, seconds), (16, 2 * seconds)],
    }
    linearity.draw(tmp_path / "linearity.png", curves)
    assert (tmp_path / "linearity.png").read_bytes()[:4] == b"\x89PNG"
