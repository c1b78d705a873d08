"""What `benchmarks.transfer` makes of percepts."""

import collections
import csv

import numpy as np
import pytest

from benchmarks import transfer


@pytest.fixture
def percepts(tmp_path, rng):
    folder = tmp_path / "percepts"
    folder.mkdir()
    for number, label in enumerate(("Archery", "Basketball")):
        names = [f"v_{label}_g{i // 2:02}_c{i % 2:02}" for i in range(10)]
        np.savez(
            folder / f"0{number}_{label}.npz",
            q=rng.integers(0, 256, (10, 3, 4), np.uint8),
            s=np.float32(0.01),
            name=names,
            subset=np.where(np.arange(10) < 6, 1, 2).astype(np.uint8),
        )
    return folder


@pytest.mark.parametrize("permuted", [False, True])
def test_one_array_and_its_index(percepts, tmp_path, permuted):
    transfer.gather(percepts, tmp_path, permuted)
    values = np.load(tmp_path / "percepts.npy")
    with open(tmp_path / "index.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(values) == len(lines) == 20
    with np.load(percepts / "01_Basketball.npz") as clips:
        np.testing.assert_allclose(
            values[10:], (clips["q"].astype("f4") * 0.01) ** 2, rtol=1e-6
        )
    wrong = {
        line["clip"]
        for line in lines
        if f"_{line['label']}_" not in line["clip"]
    }
    train = {line["clip"] for line in lines if line["split"] == "train"}
    assert len(train) == 12
    # Of the test clips the labels stay.
    assert wrong <= train
    assert bool(wrong) == permuted
    counts = collections.Counter(
        (line["split"], line["label"]) for line in lines
    )
    assert counts["train", "Archery"] == counts["train", "Basketball"] == 6
    assert lines[12]["group"] == "Basketball_g01"


def test_a_folder_without_percepts(tmp_path):
    with pytest.raises(SystemExit, match="Expected files NN_CLASS"):
        transfer.gather(tmp_path, tmp_path, False)
