"""The schema of experiment files is in step with the code: it takes what `read` takes, and refuses what it
refuses.
"""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from flowsim import ideas
from flowsim.experiment.json_schema import experiment_schema
from flowsim.experiment.schema import Experiment
from flowsim.specification import model_of
from flowsim.training.settings import TrainBlock

EXPERIMENTS = sorted(Path(__file__).resolve().parents[2].glob("experiments/*.yaml"))


@pytest.fixture(scope="module")
def validator():
    schema = experiment_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_every_experiment_fits(validator, file):
    assert list(validator.iter_errors(yaml.safe_load(file.read_text(encoding="utf-8")))) == []


def test_every_key_and_every_argument_is_in_it(validator):
    schema = validator.schema
    assert set(schema["properties"]) == set(Experiment.model_fields)
    assert set(schema["$defs"]["TrainBlock"]["properties"]) == set(TrainBlock.model_fields)
    rules = {
        rule["if"]["properties"]["family"]["const"]: rule
        for rule in schema["$defs"]["StimulusBlock"]["allOf"]
    }
    for name in ideas.names("stimuli"):
        known = model_of(ideas.load("stimuli", name).generate, ("split", "rng")).model_fields
        assert set(rules[name]["then"]["properties"]["all"]["properties"]) == set(known)
    of_networks = schema["properties"]["networks"]["additionalProperties"]["allOf"]
    assert {rule["if"]["properties"]["model"]["const"] for rule in of_networks} == set(
        ideas.names("flowsim.models")
    )
    fernn = next(
        rule["then"]["properties"]
        for rule in of_networks
        if rule["if"]["properties"]["model"]["const"] == "fernn"
    )
    assert {"model", "train", "max_speed", "channels", "initial", "bounded"} <= set(fernn)
    assert set(schema["properties"]["analyse"]["properties"]) == set(ideas.names("analysis"))


def test_arguments_are_explained(validator):
    rule = validator.schema["$defs"]["StimulusBlock"]["allOf"][0]
    settings = rule["then"]["properties"]["all"]["properties"]
    assert any(of.get("description") for of in settings.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("title: Tiny", "Unevaluated|'title' is a required property"),
        ("moving_digits", "is not one of"),
        ("height: 8", "'heigth' was unexpected"),
        ("max_speed: 1", "'fast' is not of type"),
        ("model: fernn", "is not one of"),
        ("horizon: 3", "0 is less than the minimum of 1"),
        ("laws: 3", "'laws' was unexpected"),
    ],
)
def test_what_it_refuses(validator, change, message):
    wrong = {
        "title: Tiny": "",
        "moving_digits": "moving_stars",
        "height: 8": "heigth: 8",
        "max_speed: 1": "max_speed: fast",
        "model: fernn": "model: ferm",
        "horizon: 3": "horizon: 0",
        "laws: 3": "laws: 3",
    }
    text = """
title: Tiny
stimulus: {family: moving_digits, all: {height: 8, width: 9}}
networks: {a: {model: fernn, max_speed: 1}}
train: {context: 3, horizon: 3}
record: {probe: {}}
analyse: {equivariance_error: {}}
"""
    assert list(validator.iter_errors(yaml.safe_load(text))) == []
    if change == "laws: 3":
        text = text.replace("equivariance_error: {}", "equivariance_error: {laws: 3}")
    errors = list(validator.iter_errors(yaml.safe_load(text.replace(change, wrong[change]))))
    assert re.search(message, " ".join(error.message for error in errors))


@pytest.mark.parametrize(
    ("sweep", "fits"),
    [
        ({"train.noise": [0, 0.1], "networks.a.max_speed": {"first": 0, "last": 3, "step": 1}}, True),
        ({"zip": {"seeds": [1, 2]}, "points": [{"train.clip": 1}]}, True),
        ({"train.noise": 0.1}, False),
        ({"train.noise": []}, False),
        ({"noise": [1]}, False),
        ({"train.noise": {"first": 0}}, False),
    ],
)
def test_a_sweep_names_paths_with_lists_or_ranges(validator, sweep, fits):
    content = yaml.safe_load(EXPERIMENTS[0].read_text(encoding="utf-8")) | {"sweep": sweep}
    assert (list(validator.iter_errors(content)) == []) == fits
    keys = validator.schema["$defs"]["SweepBlock"]["properties"]
    assert "train.noise" in keys
    assert "train.task" not in keys
