"""What a file of weights and a checkpoint hold, by key and type: a file of another program, or one that was
edited, is found out before anything of it is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from torch import Tensor

from flowsim.errors import InputError
from flowsim.specification import Block, Count, Whole

Tensors = dict[str, Tensor]


def _all_as_long(curve: CurveContent) -> CurveContent:
    lengths = {name: len(values) for name, values in curve.model_dump().items()}
    if len(set(lengths.values())) > 1:
        raise PydanticCustomError(
            "lengths", "Input should have as many values of each; got {lengths}", {"lengths": str(lengths)}
        )
    return curve


def _describes_a_network(text: str) -> str:
    """A text that is the JSON of a specification with ``network`` and ``train``."""
    try:
        blocks = json.loads(text)
        known = all(isinstance(blocks[name], dict) for name in ("network", "train"))
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise PydanticCustomError(
            "specification", "Input should be the JSON of a training, with network and train"
        )
    return text


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise PydanticCustomError("finite", "Input should be a finite number")
    return number


Finite = Annotated[float, AfterValidator(_finite)]
Text = Annotated[str, Field(max_length=100_000)]


class CurveContent(Block):
    """The course of a training: numbers at each validation."""

    sequences: list[Finite]
    train_loss: list[Finite]
    valid_loss: list[Finite]
    seconds: list[Finite]


Course = Annotated[CurveContent, AfterValidator(_all_as_long)]


class _Content(BaseModel):
    """Tensors and plain values; other keys are let through, since they are not used."""

    model_config = ConfigDict(extra="ignore", strict=True, arbitrary_types_allowed=True)


class WeightsContent(_Content):
    """Of a file of weights, ``models/<run>.pt``."""

    best: Annotated[Tensors, Field(min_length=1)]
    last: Annotated[Tensors, Field(min_length=1)]
    checkpoints: dict[Whole, Tensors] = {}
    curve: Course
    frame_shape: Annotated[list[Count], Field(min_length=2, max_length=2)]
    name: Text
    parameters: Whole
    partial: Text
    hardware: Text
    specification: Annotated[Text, AfterValidator(_describes_a_network)]
    seed: Annotated[str, Field(pattern=r"^\d{1,19}$")]


class CheckpointContent(_Content):
    """Of a checkpoint, ``models/<run>.ckpt``."""

    identity: Text
    network: Annotated[Tensors, Field(min_length=1)]
    optimiser: dict[Any, Any]
    schedule: dict[Any, Any]
    curve: Course
    best: Annotated[Tensors, Field(min_length=1)]
    checkpoints: dict[Whole, Tensors] = {}
    step: Whole
    losses: Tensor
    seconds: Finite


CONTENTS: dict[str, type[_Content]] = {"weights": WeightsContent, "checkpoint": CheckpointContent}


def check_content(content: Mapping[str, Any], kind: Literal["weights", "checkpoint"]) -> None:
    """Compare what a file holds with what one of its kind has to.

    Raises
    ------
    InputError
        With the first key that is missing, or of another type.
    """
    try:
        CONTENTS[kind].model_validate(dict(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        message = " ".join(first["msg"].split())
        expected = "it is missing" if first["type"] == "missing" else f"{message[0].lower()}{message[1:]}"
        raise InputError(f"{place}: {expected}") from None
