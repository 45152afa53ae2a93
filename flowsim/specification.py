"""Settings, as JSON or YAML say them, checked against a signature or a model, with errors in one line."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from flowsim.errors import InputError

M = TypeVar("M", bound=BaseModel)


def arguments(
    function: Callable[..., Any], spec: Mapping[str, Any], where: str, given: tuple[str, ...] = ()
) -> dict[str, Any]:
    """``spec`` checked against the annotated parameters of ``function``, defaults filled in.

    Parameters
    ----------
    function : callable
        Every parameter but those in ``given`` has an annotation and a default.
    spec : mapping
        What a person asked for.
    where : str
        Opens the message of an error.
    given : tuple of str
        Parameters that do not come from a specification.

    Raises
    ------
    InputError
        On an unknown key, a wrong type or a value out of range.
    """
    hints = get_type_hints(function, include_extras=True)
    fields: Any = {
        name: (hints[name], parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in given
    }
    model = create_model(
        "Arguments", __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False), **fields
    )
    checked = validate(model, spec, where)
    return {name: getattr(checked, name) for name in fields}


def validate(model: type[M], spec: Any, where: str) -> M:
    """``spec`` as an instance of ``model``, with errors told in one line.

    Checked as JSON, since that is how specifications travel: lists may stand for tuples, whole numbers for
    decimals, and nothing else is converted.
    """
    try:
        text = json.dumps(spec, default=_plain)
    except TypeError as error:
        raise InputError(
            f"{where + ': ' if where else ''}expected plain values (text, numbers, lists); {error}"
        ) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise InputError(": ".join(part for part in (where, _first(error, model)) if part)) from None


def _plain(value: Any) -> Any:
    """A numpy number as an ordinary one."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"got {value!r}")


def _first(error: ValidationError, model: type[BaseModel]) -> str:
    """The first of pydantic's errors as one line, and how many more there are."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"unknown key {place!r}; expected one of: {', '.join(_siblings(model, first['loc']))}"
    elif first["type"] == "missing":
        text = f"{place!r} is missing; add it"
    else:
        text = f"{first['msg'][0].lower() + first['msg'][1:]}; got {first['input']!r}"
        text = f"{place}: {text}" if place else text
    more = error.error_count() - 1
    return text + (f" (and {more} more)" if more else "")


def _siblings(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Keys allowed beside the one at ``place``."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if inspect.isclass(inner) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)


def from_json(text: str) -> dict[str, Any]:
    """The content of --spec.

    Raises
    ------
    InputError
        If it is no JSON object.
    """
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--spec: expected JSON; {error}") from None
    if not isinstance(spec, dict):
        raise InputError(f"--spec: expected a JSON object; got {text!r}")
    return spec


Count = Annotated[int, Field(ge=1)]


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


Settings = dict[str, Any]


class Block(BaseModel):
    """A part of an experiment file: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)
