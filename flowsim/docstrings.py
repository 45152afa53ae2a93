"""What numpy-style docstrings say about arguments, for help and for the schema of experiment files."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any


def described_arguments(function: Callable[..., Any]) -> dict[str, str]:
    """What the section "Parameters" of a docstring says of each argument, in one line; "a, b : int" is two.

    Empty without such a section.
    """
    text = inspect.getdoc(function) or ""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL)
    entries = re.findall(
        r"^(\S[^\n]*)\n((?:[ \t]+[^\n]*\n?|\n)*)", section[1] if section else "", re.MULTILINE
    )
    return {
        name.strip().lstrip("*"): " ".join(description.split())
        for heading, description in entries
        for name in heading.partition(" : ")[0].split(",")
    }
