from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from longtail.errors import LongtailError
from longtail.training.hyperparameters import TrainingSettings, construct, parse_settings


def parsed(stretch):
    return parse_settings(stretch["objective"], stretch["settings"])


def test_settings_are_taken_apart(tools):
    settings, rest = parsed(tools.stretch())
    assert settings.batch_size == 16
    assert settings.views == 2
    assert settings.augmentation == tools.settings["augmentation"]
    assert rest == {"noise": 0.1}


def test_adam(tools):
    settings, _ = parsed(tools.stretch(optimizer="adam", momentum=None, betas=[0.5, 0.9]))
    assert settings.betas == (0.5, 0.9)
    assert parsed(tools.stretch(optimizer="adam", momentum=None))[0].betas is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": None}, ["lacks", "'batch_size'"]),
        ({"momentum": None}, ["lacks", "'momentum'", "sgd"]),
        ({"warmup_epochs": None}, ["lacks", "'warmup_epochs'", "warmup_cosine"]),
        ({"betas": [0.9, 0.99]}, ["'betas'", "does not read"]),
        ({"optimizer": "adam", "momentum": None, "nesterov": True}, ["'nesterov'", "does not read", "adam"]),
        ({"momentum": 0.0, "nesterov": True}, ["nesterov", "no momentum"]),
        ({"schedule": "constant"}, ["does not read", "constant"]),
        ({"schedule": "warmup_cosin"}, ["Did you mean 'warmup_cosine'"]),
        ({"optimizer": "sdg"}, ["Did you mean 'sgd'"]),
        ({"learning_rate": "1e-3"}, ["'learning_rate'", "'1e-3'", "1.0e-3"]),
        ({"batch_size": 16.5}, ["'batch_size'", "16.5", "int"]),
        ({"batch_size": True}, ["'batch_size'", "True"]),
        ({"batch_size": 0}, ["'batch_size'", "at least 1"]),
        ({"drop_last": 1}, ["'drop_last'", "bool"]),
        ({"augmentation": "strong"}, ["'augmentation'", "'strong'"]),
        ({"optimizer": "adam", "momentum": None, "betas": [0.9]}, ["'betas'", "two"]),
    ],
)
def test_mistakes_name_objective_and_setting(tools, change, words):
    with pytest.raises(LongtailError) as error:
        parsed(tools.stretch(**change))
    for word in ["'toy'", *words]:
        assert word in str(error.value)


PARTS = {"warmup": {"epochs": 4, "start": 0.2, "end": 1.0}, "decay": {"cosine": {"final": 0.0, "reached": "end"}}}


def of_parts(tools, schedule, **more):
    return tools.stretch(**{"schedule": schedule, "warmup_epochs": None, "final_learning_rate": None, **more})


def test_a_schedule_may_be_given_as_its_parts(tools):
    assert parsed(of_parts(tools, PARTS))[0].schedule == PARTS
    assert parsed(of_parts(tools, {"decay": PARTS["decay"]}))[0].schedule == {"decay": PARTS["decay"]}
    open_ended = {
        "warmup": {"epochs": 4, "start": 0.2},
        "decay": {"cosine": {"final": 0.0, "reached": "end", "from_epoch": -1}},
    }
    assert parsed(of_parts(tools, open_ended))[0].schedule == open_ended


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({}, ["'decay'", "catalog/schedules.yaml"]),
        ({**PARTS, "cooldown": {}}, ["cooldown", "catalog/schedules.yaml"]),
        ({"decay": {**PARTS["decay"], "steps": {}}}, ["one of steps, cosine"]),
        ({"decay": {"steps": 3}}, ["one of steps, cosine"]),
        ({"decay": {"step": {}}}, ["Did you mean 'steps'"]),
        ({"decay": {"steps": {"milestones": [0.5]}}}, ["lacks", "'factor'"]),
        ({"decay": {"cosine": {"final": 0.0, "reached": "last"}}}, ["Did you mean 'last_epoch'"]),
        ({"decay": {"cosine": {"final": 0.0, "reached": "end", "from_epoch": 0.5}}}, ["'from_epoch'", "int"]),
        ({**PARTS, "warmup": {"epochs": 0, "start": 1.0, "end": 1.0}}, ["no epochs"]),
        ({**PARTS, "warmup": {"epochs": "4", "start": 1.0, "end": 1.0}}, ["'epochs'", "float"]),
    ],
)
def test_mistakes_in_parts_are_named(tools, schedule, words):
    with pytest.raises(LongtailError) as error:
        parsed(of_parts(tools, schedule))
    for word in ["'toy'", *words]:
        assert word in str(error.value)


def test_a_schedule_of_parts_reads_no_setting_of_its_own(tools):
    with pytest.raises(LongtailError, match="does not read"):
        parsed(of_parts(tools, PARTS, warmup_epochs=10))


@dataclass(frozen=True)
class Own:
    temperature: float
    tags: int = 100
    names: tuple[str, ...] = ()
    limit: float | None = None


def test_own_settings_are_typed():
    made = construct(Own, {"temperature": 1, "names": ["a", "b"], "limit": None}, "toy")
    assert made == Own(1.0, names=("a", "b"))
    assert isinstance(made.temperature, float)
    assert hash(made) == hash(Own(1.0, names=("a", "b")))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ["lacks", "'temperature'"]),
        ({"temperature": 0.1, "tagz": 3}, ["'tagz'", "Did you mean 'tags'"]),
        ({"temperature": 0.1, "batch_sise": 3}, ["'batch_sise'", "Did you mean 'batch_size'"]),
        ({"temperature": "0.1"}, ["'temperature'", "float"]),
        ({"temperature": 0.1, "limit": "x"}, ["'limit'", "float or none"]),
    ],
)
def test_own_mistakes(values, words):
    known = tuple(field.name for field in fields(TrainingSettings))
    with pytest.raises(LongtailError) as error:
        construct(Own, values, "toy", known)
    for word in ["'toy'", *words]:
        assert word in str(error.value)
