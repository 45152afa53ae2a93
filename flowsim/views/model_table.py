"""What networks are there? One line for each, from the model itself."""

from __future__ import annotations

import inspect
import re

import pandas as pd
from tabulate import tabulate

from flowsim import ideas
from flowsim.network import build

FRAME_SHAPE = (16, 16)
"""Frames for which parameters are counted."""


def models() -> pd.DataFrame:
    """Every model with its defaults: parameters, law, what it is and its source.

    The law is the one on a grid closed under addition where the model can have such a grid; "none" where
    nothing is promised.
    """
    return pd.DataFrame([_row(name) for name in ideas.names("flowsim.models")])


def _row(name: str) -> dict[str, object]:
    module = ideas.load("flowsim.models", name)
    text = inspect.getdoc(module) or ""
    source = re.search(r"^Sources?: (.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    network = build(name, FRAME_SHAPE)
    law = network.law
    if "velocities" in inspect.signature(module.build).parameters:
        law = build(name, (4, 4), velocities="closed").law
    return {
        "model": name,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "law": str(law) if law else "none",
        "what": re.split(r"[.:;]", text)[0],
        "source": " ".join(source[1].split()).rstrip(".") if source else "",
    }


def model_table() -> str:
    """`models` as text, for frames of 16x16 pixels."""
    return tabulate(models().to_dict("list"), headers="keys")
