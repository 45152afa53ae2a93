"""The flow groups, found by their place: one for each concrete `FlowGroup` of a module in this folder."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from inspect import isabstract
from types import ModuleType

import flowsim.flows
from flowsim.errors import InputError
from flowsim.flows.group import FlowGroup


def flow_groups() -> dict[str, FlowGroup]:
    """Every flow group by its name.

    Raises
    ------
    InputError
        If two groups have the same name or the same components.
    """
    return dict(_groups_in(tuple(flowsim.flows.__path__)))


@lru_cache
def _groups_in(folders: tuple[str, ...]) -> dict[str, FlowGroup]:
    groups: dict[str, FlowGroup] = {}
    for module in pkgutil.iter_modules(folders, f"{flowsim.flows.__name__}."):
        for group in _groups_of(import_module(module.name)):
            for other in groups.values():
                if group.name == other.name or set(group.components) == set(other.components):
                    raise InputError(
                        f"flow groups need different names and components; got {_described(other)} and "
                        f"{_described(group)}. Rename one of them"
                    )
            groups[group.name] = group
    return groups


def _described(group: FlowGroup) -> str:
    return f"{type(group).__qualname__} {group.name!r} ({', '.join(group.components)})"


def _groups_of(module: ModuleType) -> Iterator[FlowGroup]:
    """The groups that a module defines itself."""
    for member in vars(module).values():
        is_group = isinstance(member, type) and issubclass(member, FlowGroup) and not isabstract(member)
        if is_group and member.__module__ == module.__name__:
            yield member()
