"""Settings from JSON or YAML, checked against the signature of a function or a model, with errors in one
line.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from flowsim.errors import InputError

Count = Annotated[int, Field(ge=1)]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Settings = dict[str, Any]

Model = TypeVar("Model", bound=BaseModel)


class Block(BaseModel):
    """A part of an experiment file, in which unknown keys are errors and no value is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


def arguments(
    function: Callable[..., Any], spec: Mapping[str, Any], where: str, given: tuple[str, ...] = ()
) -> dict[str, Any]:
    """``spec`` checked against the annotated parameters of ``function``, defaults filled in.

    Parameters
    ----------
    function : callable
        Every parameter except those in ``given`` has an annotation and a default.
    spec : mapping
        The settings that a user gave.
    where : str
        The beginning of each error message.
    given : tuple of str
        Parameters that are not settings.

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


def validate(model: type[Model], spec: Any, where: str) -> Model:
    """``spec`` as an instance of ``model``.

    It is checked as JSON, the form in which specifications are passed on: lists may stand for tuples and
    whole numbers for decimals; nothing else is converted.

    Raises
    ------
    InputError
        In one line that begins with ``where``, if ``spec`` does not fit the model.
    """
    opening = f"{where}: " if where else ""
    try:
        text = json.dumps(spec, default=_plain_number)
    except TypeError as error:
        raise InputError(f"{opening}expected plain values (text, numbers, lists); {error}") from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{opening}{_first_error(error, model)}") from None


def _plain_number(value: Any) -> Any:
    """A numpy number as an ordinary one."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"got {value!r}")


def _first_error(error: ValidationError, model: type[BaseModel]) -> str:
    """The first of pydantic's errors as one line, and how many more there are."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"unknown key {place!r}; expected one of: {', '.join(_allowed_keys(model, first['loc']))}"
    elif first["type"] == "missing":
        text = f"{place!r} is missing; add it"
    else:
        message = first["msg"]
        text = f"{message[0].lower()}{message[1:]}; got {first['input']!r}"
        if place:
            text = f"{place}: {text}"
    more = error.error_count() - 1
    return f"{text} (and {more} more)" if more else text


def _allowed_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Keys allowed beside the one at ``place``."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if inspect.isclass(inner) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)


def from_json(text: str) -> dict[str, Any]:
    """The content of the option --spec.

    Raises
    ------
    InputError
        If it is not a JSON object.
    """
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--spec: expected JSON; {error}") from None
    if not isinstance(spec, dict):
        raise InputError(f"--spec: expected a JSON object; got {text!r}")
    return spec
