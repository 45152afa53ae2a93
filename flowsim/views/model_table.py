"""What networks there are: one line each, from the models themselves."""

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
    rows = []
    for name in ideas.names("flowsim.models"):
        text = inspect.getdoc(ideas.load("flowsim.models", name)) or ""
        network = build(name, FRAME_SHAPE)
        closed = "velocities" in inspect.signature(ideas.load("flowsim.models", name).build).parameters
        law = build(name, (4, 4), velocities="closed").law if closed else network.law
        source = re.search(r"^Sources?: (.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
        rows.append(
            {
                "model": name,
                "parameters": sum(parameter.numel() for parameter in network.parameters()),
                "law": str(law) if law else "none",
                "what": re.split(r"[.:;]", text)[0],
                "source": " ".join(source[1].split()).rstrip(".") if source else "",
            }
        )
    return pd.DataFrame(rows)


def table() -> str:
    """`models` as text, for frames of 16x16 pixels."""
    return tabulate(models().to_dict("list"), headers="keys")
