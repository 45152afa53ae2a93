"""What networks are there? One line for each, from the model itself."""

from __future__ import annotations

import inspect
import re

import pandas as pd
from tabulate import tabulate

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.network import build

FRAME_SHAPE = (16, 16)
"""Frames for which parameters are counted."""


def models() -> pd.DataFrame:
    """Every model with its defaults: parameters, law, what it is and its source.

    The law is the one on a grid closed under addition where the model can have such a grid; "none" where
    nothing is promised.
    """
    return pd.DataFrame([_row_or_reason(name) for name in ideas.names("flowsim.models")])


def _row_or_reason(name: str) -> dict[str, object]:
    """The row of a model; of one of the user's that cannot be built, why."""
    try:
        return _row(name)
    except InputError as error:
        if name not in ideas.own("flowsim.models"):
            raise
        return {"model": name, "parameters": 0, "law": "", "what": f"cannot be used: {error}", "source": ""}


def _row(name: str) -> dict[str, object]:
    text = inspect.getdoc(ideas.load("flowsim.models", name)) or ""
    network = build(name, FRAME_SHAPE)
    facts = law_and_source(name)
    return {
        "model": name,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "law": facts["law"],
        "what": re.split(r"[.:;]", text)[0],
        "source": facts["source"],
    }


def law_and_source(name: str) -> dict[str, str]:
    """The law that a model declares, on a closed grid where it can have one, and where it is from."""
    module = ideas.load("flowsim.models", name)
    source = re.search(r"^Sources?: (.*?)(?:\n\n|\Z)", inspect.getdoc(module) or "", re.DOTALL | re.MULTILINE)
    closed = "velocities" in inspect.signature(module.build).parameters
    law = (build(name, (4, 4), velocities="closed") if closed else build(name, FRAME_SHAPE)).law
    return {
        "law": str(law) if law else "none",
        "source": " ".join(source[1].split()).rstrip(".") if source else "",
    }


def model_table() -> str:
    """`models` as text, for frames of 16x16 pixels."""
    return tabulate(models().to_dict("list"), headers="keys")
