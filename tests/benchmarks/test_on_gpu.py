import dataclasses
import importlib
import json
import pathlib
import time

import pytest
import tyro

from benchmarks import future_prediction
from benchmarks import on_gpu
from benchmarks import paper_table
from video_repr import cli
from video_repr import configs

pytestmark = pytest.mark.slow

# Writes its process's number, starts a process that writes its own, waits.
_SLOW = """
import os, pathlib, subprocess, sys, time
source = "import os, pathlib, sys; import time; "
source += "pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); "
source += "time.sleep(600)"
subprocess.run([sys.executable, "-c", source, sys.argv[1]])
"""


def is_running(process):
    stat = pathlib.Path(f"/proc/{process}/stat")
    # A zombie waits for its parent.
    return stat.exists() and stat.read_text().split(") ")[1][0] != "Z"


def test_parts_that_fail_or_take_long_are_recorded(
    monkeypatch, tmp_path, capsys
):
    child = tmp_path / "child"
    measured = tmp_path / "first.json"
    parts = [
        on_gpu.Part(
            "first",
            1,
            (
                "-c",
                "import pathlib, sys; print('its result'); "
                "pathlib.Path(sys.argv[1]).write_text('[3]')",
                str(measured),
            ),
            (measured, tmp_path / "never.json"),
        ),
        on_gpu.Part("failing", 1, ("-c", "raise SystemExit('why it failed')")),
        on_gpu.Part("slow", 3 / 60, ("-c", _SLOW, str(child))),
        on_gpu.Part("last", 1, ("-c", "print('its end')")),
    ]
    monkeypatch.setattr(on_gpu, "parts", lambda arguments: parts)
    monkeypatch.setattr(on_gpu, "machine", lambda: "a machine")

    def call(*given):
        given = ["on_gpu", *given, "--directory", str(tmp_path)]
        monkeypatch.setattr("sys.argv", given)
        on_gpu.main()
        found = json.loads((tmp_path / "on_gpu.json").read_text())
        assert found["machine"] == "a machine"
        return {record["part"]: record for record in found["results"]}

    records = call("--minutes", "0.01", "--parts", "first")
    assert records == {"first": {"part": "first", "status": "not begun"}}
    records = call("--minutes", "5")
    assert list(records) == ["first", "failing", "slow", "last"]
    assert [record["status"] for record in records.values()] == [
        *("done", "failed", "stopped after 3 s", "done")
    ]
    assert records["first"]["measured"] == {"first.json": [3]}
    said = [record["said"] for record in records.values()]
    assert said == ["its result", "why it failed", "", "its end"]
    until = time.monotonic() + 10
    while is_running(child.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(child.read_text())
    # What is done is not done again.
    measured.unlink()
    again = call("--minutes", "5", "--parts", "fi", "fa")
    assert again["first"] == records["first"]
    assert not measured.exists()
    assert again["failing"]["status"] == "failed"
    assert "failing" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="Expected a time, and beginnings"):
        call("--minutes", "5", "--parts", "other")


@pytest.mark.parametrize("tiny", [False, True])
def test_every_command_is_one_that_its_program_takes(
    monkeypatch, tmp_path, tiny
):
    taken = []

    class Stop(Exception):
        pass

    def stop(command):
        taken.append(command)
        raise Stop

    monkeypatch.setattr(cli.Pretrain, "__call__", stop)
    arguments = on_gpu.Arguments(12, tiny=tiny, directory=tmp_path)
    parts = on_gpu.parts(arguments)
    assert len({part.name for part in parts}) == len(parts)
    for part in parts:
        kind, program, *options = part.command
        if kind == "-c":
            with pytest.raises(Stop):
                cli.main(options)
            minutes = taken[0].training.config.training.minutes
            assert minutes == (0.001 if tiny else 3)
        elif program != "pytest":
            module = importlib.import_module(program)
            given = tyro.cli(module.Arguments, args=options)
            assert given.json in part.files
    if not tiny:
        text = json.dumps([part.command for part in parts])
        for precision in ("float32", "tf32", "mixed_bfloat16"):
            for works in ("a", "b,d,e", "f,g"):
                assert f'"{works}", "--precision", "{precision}"' in text


@pytest.mark.hard
def test_everything_at_a_tiny_size(monkeypatch, tmp_path, digits_file):
    given = ["on_gpu", "--minutes", "20", "--tiny"]
    given += ["--digits", str(digits_file), "--directory", str(tmp_path)]
    monkeypatch.setattr("sys.argv", given)
    on_gpu.main()
    results = json.loads((tmp_path / "on_gpu.json").read_text())["results"]
    assert [(r["part"], r["status"]) for r in results] == [
        ("pretrain", "done"),
        ("paper table", "done"),
        ("update c,f float32", "done"),
        ("first update", "done"),
        ("input", "done"),
        ("tests", "done"),
    ]
    measured = {}
    for result in results:
        measured |= result["measured"]
    assert measured["evaluation.json"]["future"]["bce_sum_per_frame"] > 0
    assert measured["metrics.jsonl"][0]["seconds"] > 0
    (row,) = measured["paper_table.json"]["results"]
    assert row["future"] > 0
    updates = measured["update_c,f_float32.json"]["results"]
    assert {(u["work"], u["in_flight"]) for u in updates} >= {
        *(("c", 1), ("c", 2), ("f", 1), ("f", 2))
    }
    assert measured["first_update.json"]["results"]["demo"]["first_s"] > 0
    assert measured["input.json"]["on the device"]["sequences_per_s"] > 0


def test_rows_of_the_papers_table():
    arguments = paper_table.Arguments(1.75, scheduled_sampling=0.5)
    kinds = {}
    for row in paper_table.ROWS:
        config = paper_table.config_of(row, arguments)
        assert config.model.units == (2048, 2048)
        assert config.training.minutes == 1.75
        assert config.training.precision == "mixed_bfloat16"
        assert config.data.test_sequences == 1000
        kinds[row] = config.model.reconstruction, config.model.future
        sampled = config.model.scheduled_sampling
        assert sampled == (0.5 if kinds[row][1] == "conditional" else 0)
    base = configs.ModelConfig()
    assert kinds == {
        row: (model.reconstruction, model.future)
        for row, changes in future_prediction.ROWS.items()
        for model in [dataclasses.replace(base, **changes)]
    }


@pytest.mark.hard
@pytest.mark.usefixtures("without_graphs")
def test_the_papers_table_goes_on_where_it_stopped(
    digits_file, tmp_path, monkeypatch, capsys
):
    load, pretrain = configs.load, paper_table.pretrain
    trained = []

    def tiny(name):
        config = load(name)
        data = configs.MovingMNISTConfig(
            frame_size=16, validation_sequences=4, test_sequences=6
        )
        training = dataclasses.replace(config.training, jit_compile=False)
        return dataclasses.replace(config, data=data, training=training)

    def stopped(config, directory, **options):
        trained.append(directory.name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return pretrain(config, directory, **options)

    monkeypatch.setattr(configs, "load", tiny)
    monkeypatch.setattr(paper_table, "pretrain", stopped)
    file = tmp_path / "table.json"

    def call(*rows):
        given = ["paper_table", "--minutes", "0.001", "--rows", *rows]
        given += ["--units", "4", "3", "--batch", "2", "--json", str(file)]
        given += ["--digits", str(digits_file), "--steps-per-epoch", "2"]
        given += ["--precision", "float32", "--steps-per-execution", "1"]
        given += ["--directory", str(tmp_path / "runs")]
        monkeypatch.setattr("sys.argv", given)
        paper_table.main()
        return json.loads(file.read_text())["results"]

    rows = "composite", "conditional future predictor"
    with pytest.raises(KeyboardInterrupt):
        call(*rows)
    (first,) = json.loads(file.read_text())["results"]
    assert first["row"] == "composite"
    assert first["updates"] >= 1
    assert first["test_sequences"] == 6
    found = call(*rows)
    assert found[0] == first
    assert trained == [
        "composite-2x2048",
        *["conditional-future-2x2048"] * 2,
    ]
    evaluation = tmp_path / "runs" / "composite-2x2048" / "evaluation.json"
    evaluation = json.loads(evaluation.read_text())
    assert first["future"] == evaluation["future"]["bce_sum_per_frame"]
    assert "the paper's 344.9" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="Expected a time, and rows of"):
        call("another")
