import dataclasses
import json

import pytest

from video_repr import InputError
from video_repr import configs


@pytest.mark.parametrize("name", configs.named())
def test_named_configs_survive_json_and_say_what_they_are(name):
    config = configs.load(name)
    again = configs.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    doc = configs.named()[name].__doc__
    assert f"video-repr pretrain {name}" in doc
    assert "cores" in doc


def test_unknown_config():
    with pytest.raises(InputError, match=r"one of the configs demo, .*'dmo'"):
        configs.load("dmo")


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("training", "epochs", 0, "training.epochs of at least 1. Received: 0"),
        ("training", "epochs", None, "epochs or training.minutes. Received"),
        ("training", "minutes", 0.0, "training.minutes above 0"),
        ("training", "steps_per_execution", 0, "from 1 to 500. Received: 0"),
        ("training", "steps_per_execution", 501, "from 1 to 500. Received: 5"),
        ("training", "learning_rate", float("nan"), "Received: nan"),
        ("model", "units", (), "at least one layer"),
        ("model", "units", (8, 0), "at least one unit"),
        ("model", "dropout", 1.0, "model.dropout"),
        ("model", "scheduled_sampling", 1.5, "from 0 to 1. Received: 1.5"),
        ("data", "frame_size", -1, "data.frame_size of at least 1"),
    ],
)
def test_values_that_cannot_be(section, field, value, message):
    config = configs.Config()
    part = dataclasses.replace(getattr(config, section), **{field: value})
    with pytest.raises(InputError, match=message):
        dataclasses.replace(config, **{section: part})


def test_no_decoder():
    with pytest.raises(InputError, match="a reconstruction decoder"):
        configs.Config(
            model=configs.ModelConfig(reconstruction="none", future="none")
        )


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("training", "epochs", "3", "epochs to be int or None. Received: '3'"),
        ("training", "batch_size", True, "to be int. Received: True"),
        ("training", "optimizer", "sgd", "one of 'nadam', 'adam', 'rmsprop'"),
        ("model", "units", 512, "config.model.units to be"),
        ("model", "units", ["a"], "config.model.units to be"),
        ("data", "test_file", 3, "Received: 3"),
    ],
)
def test_json_of_wrong_types(section, field, value, message):
    values = json.loads(json.dumps(configs.Config().to_dict()))
    values[section][field] = value
    with pytest.raises(InputError, match=message):
        configs.from_dict(values)


@pytest.mark.parametrize("precision", ["float32", "tf32", "mixed_bfloat16"])
def test_json_says_whether_tf32_is_on(precision):
    training = configs.TrainingConfig(precision=precision)
    config = configs.Config(training=training)
    values = config.to_dict()
    assert values["training"]["precision"] == precision
    assert values["training"]["tf32"] is (precision == "tf32")
    assert configs.from_dict(values) == config


def test_minutes_take_the_place_of_epochs():
    training = configs.TrainingConfig(minutes=3.0)
    assert (training.epochs, training.steps) == (None, None)
    config = configs.Config(training=training)
    values = json.loads(json.dumps(config.to_dict()))
    assert values["training"]["repeatable"] is False
    assert configs.from_dict(values) == config
    again = dataclasses.replace(training, epochs=2, minutes=None)
    assert again == configs.TrainingConfig(epochs=2)
    assert configs.Config().to_dict()["training"]["repeatable"] is True


def test_json_of_before_some_fields():
    config = configs.load("hour")
    values = config.to_dict()
    for name in ("minutes", "steps_per_execution", "tf32", "repeatable"):
        del values["training"][name]
    assert configs.from_dict(values) == config
    del values["training"]["clip_norm"]
    with pytest.raises(InputError, match=r"missing \['clip_norm'\]"):
        configs.from_dict(values)


def test_json_of_other_fields():
    values = configs.Config().to_dict()
    values["model"]["depth"] = 3
    del values["model"]["units"]
    with pytest.raises(
        InputError, match=r"unknown \['depth'\], missing \['units'\]"
    ):
        configs.from_dict(values)
    with pytest.raises(InputError, match="to be an object"):
        configs.from_dict([1])
