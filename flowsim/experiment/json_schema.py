"""A JSON schema of experiment files, by which editors complete them and mark mistakes while one types.

It is made of the blocks of `flowsim.experiment.schema` and of the signatures of all stimuli, networks and
analyses, those in the working directory included. What several settings must fulfil together is known to
`flowsim validate` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from flowsim import ideas
from flowsim.docstrings import described_arguments
from flowsim.experiment.schema import Experiment, StimulusBlock
from flowsim.experiment.sweep import FIXED
from flowsim.network import begin
from flowsim.specification import model_of
from flowsim.training.settings import OwnTrainBlock

Schema = dict[str, Any]
PATHS = r"^(zip|points|seeds|(train|stimulus|networks)\..+)$"
"""Keys of a sweep."""
OF_NETWORKS = ("frame_shape", "network", "where")
"""Parameters of `build`, and of what every network may be given, that are no settings."""


def experiment_schema() -> Schema:
    """The schema, as plain values (JSON Schema, draft 2020-12)."""
    made = Experiment.model_json_schema()
    definitions: Schema = made["$defs"]
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "An experiment of flowsim",
    }
    definitions["StimulusBlock"] |= {"allOf": _by_family(definitions)}
    definitions["StimulusBlock"]["properties"]["family"] = {"enum": ideas.names("stimuli")}
    made["properties"]["networks"]["additionalProperties"] = _of_a_network(definitions)
    definitions["SweepBlock"] = _of_a_sweep(definitions)
    made["properties"]["analyse"] = {
        "type": "object",
        "properties": {
            name: _arguments("analysis", name, "analyse", ("recording",), definitions)
            for name in ideas.names("analysis")
        },
        "additionalProperties": False,
    }
    return made


def _by_family(definitions: Schema) -> list[Schema]:
    """Which arguments the splits have, for each family."""
    splits = [name for name in StimulusBlock.model_fields if name != "family"]
    rules = []
    for name in ideas.names("stimuli"):
        settings = _arguments("stimuli", name, "generate", ("split", "rng"), definitions)
        rules.append(_if("family", name, {"properties": dict.fromkeys(splits, settings)}))
    return rules


def _of_a_network(definitions: Schema) -> Schema:
    """One entry of ``networks``: a ``model``, its arguments, and ``train``."""
    own = OwnTrainBlock.model_json_schema()
    definitions |= own.pop("$defs", {})
    definitions["OwnTrainBlock"] = own
    rules = []
    for name in ideas.names("flowsim.models"):
        settings = _arguments("flowsim.models", name, "build", OF_NETWORKS, definitions, begin)
        both = {"model": {"const": name}, "train": {"$ref": "#/$defs/OwnTrainBlock"}}
        rules.append(_if("model", name, settings | {"properties": both | settings["properties"]}))
    model = {"enum": ideas.names("flowsim.models")}
    return {"type": "object", "properties": {"model": model}, "required": ["model"], "allOf": rules}


def _of_a_sweep(definitions: Schema) -> Schema:
    """The block ``sweep``: paths of settings; those of ``train`` are the same in every experiment."""
    block: Schema = definitions["SweepBlock"]
    values = block["additionalProperties"]
    of_train = {
        f"train.{key}": {"description": about.get("description", ""), **values}
        for key, about in definitions["TrainBlock"]["properties"].items()
        if f"train.{key}" not in FIXED and key != "budget"
    }
    return block | {
        "properties": {**block["properties"], "seeds": values, **of_train},
        "propertyNames": {"pattern": PATHS},
    }


def _if(key: str, value: str, then: Schema) -> Schema:
    return {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": then}


def _arguments(
    package: str,
    name: str,
    function: str,
    given: tuple[str, ...],
    definitions: Schema,
    common: Callable[..., Any] | None = None,
) -> Schema:
    """The settings of an idea as an object, with what its docstring says of each."""
    module: ModuleType = ideas.load(package, name)
    called = getattr(module, function)
    made = model_of(called, given, common).model_json_schema()
    definitions |= made.pop("$defs", {})
    for argument, text in described_arguments(called).items():
        if argument in made.get("properties", {}):
            made["properties"][argument]["description"] = text
    return {
        "type": "object",
        "properties": made.get("properties", {}),
        "required": made.get("required", []),
        "additionalProperties": False,
    }
