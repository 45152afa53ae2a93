"""What stimuli or analyses are there? One line for each, from its own file."""

from __future__ import annotations

import inspect
from types import ModuleType

from tabulate import tabulate

from flowsim import ideas
from flowsim.errors import InputError


def first_line(module: ModuleType) -> str:
    """The first paragraph of a module's docstring, as one line."""
    first_paragraph = (inspect.getdoc(module) or "").split("\n\n")[0]
    return " ".join(first_paragraph.split())


def idea_table(package: str, heading: str, **columns: str) -> str:
    """Every idea of a package with its headline, as text.

    Parameters
    ----------
    package : str
        "stimuli" or "analysis".
    heading : str
        Heading of the column of names.
    **columns : str
        Further columns: heading, and the attribute of the module that stands in it.
    """
    rows = []
    for name in ideas.names(package):
        try:
            module = ideas.load(package, name)
        except InputError as error:  # of the user's
            rows.append({heading: name, **dict.fromkeys(columns, ""), "what": f"cannot be used: {error}"})
            continue
        attributes = {title: getattr(module, attribute) for title, attribute in columns.items()}
        rows.append({heading: name, **attributes, "what": first_line(module)})
    return tabulate(rows, headers="keys")
