"""Settings from JSON, YAML or Python, checked against the signature of a function or a model, with errors in
one line.

What an argument may be is said once, by its annotation: ``coherence: Share = 1.0``. Without one it is of the
type of its default: ``trials=64`` is a whole number. `arguments` reads it for experiment files and the
command line, `checked` for calls from Python, so that both refuse the same values with the same words.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from typing import Annotated, Any, ParamSpec, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model

from flowsim.errors import InputError, did_you_mean

# Every number of things has an upper bound. Beyond it is a slip of the finger, on which a machine would work
# until it has no memory left.
Count = Annotated[int, Field(ge=1, le=10**7)]

Whole = Annotated[int, Field(ge=0, le=10**7)]

Few = Annotated[int, Field(ge=1, le=100)]

Pixels = Annotated[int, Field(ge=1, le=4096)]

FewOrNone = Annotated[int, Field(ge=0, le=100)]

WholeSpeed = Annotated[int, Field(ge=0, le=32)]

Seed = Annotated[int, Field(ge=0, lt=2**63)]

# So has every quantity, and a lower one where zero makes no sense: powers and quotients of what is beyond are
# no numbers.
Positive = Annotated[float, Field(ge=1e-6, le=1e7)]

Amount = Annotated[float, Field(ge=0, le=1e7)]

# What has no scale of its own, such as a learning rate.
AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Share = Annotated[float, Field(ge=0, le=1)]

FrameShape = tuple[Pixels, Pixels]

Settings = dict[str, Any]

Model = TypeVar("Model", bound=BaseModel)
Parameters = ParamSpec("Parameters")
Made = TypeVar("Made")
LONG = 80
"""Characters of a value of which an error shows no more."""


class Block(BaseModel):
    """A part of an experiment file, in which unknown keys are errors and no value is converted.

    The text below a key is its description, in the reference and in the schema.
    """

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


def arguments(
    function: Callable[..., Any],
    spec: Mapping[str, Any],
    where: str,
    given: tuple[str, ...] = (),
    common: Callable[..., Any] | None = None,
) -> dict[str, Any]:
    """``spec`` checked against the annotated parameters of ``function``, defaults filled in.

    Parameters
    ----------
    function : callable
        Every parameter except those in ``given`` has a default, and an annotation or the type of its default.
    spec : mapping
        The settings that a user gave.
    where : str
        The beginning of each error message.
    given : tuple of str
        Parameters that are not settings.
    common : callable, optional
        Its parameters are settings too: those that all functions of a kind share.

    Raises
    ------
    InputError
        On an unknown key, a wrong type or a value out of range; or if an annotation of the function cannot be
        checked.
    """
    model = model_of(function, given, common)
    values = validate(model, spec, where)
    return {name: getattr(values, name) for name in model.model_fields}


def checked(function: Callable[Parameters, Made]) -> Callable[Parameters, Made]:
    """A decorator: calls of ``function`` are checked as what an experiment file says is.

    Settings, which have a default, are checked by `arguments`; arrays of numbers may stand for lists, and
    paths for text. So is what is given besides, such as the size of a frame; of a random generator or a
    recording the type is checked. An error begins with the name of the file that the function is in. A
    stimulus says in its attribute ``specification`` what it was made from.

    Raises
    ------
    InputError
        From the decorated function, on an unknown name, a wrong type or a value out of range.
    """
    parameters = inspect.signature(function).parameters
    by_place = [name for name, parameter in parameters.items() if parameter.kind != parameter.KEYWORD_ONLY]
    given = tuple(name for name, parameter in parameters.items() if parameter.default is parameter.empty)
    where = function.__module__.rpartition(".")[-1]
    made: Callable[..., Made] = function

    @wraps(function)
    def called(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Made:
        values = dict(zip(by_place, args, strict=False)) | kwargs
        if len(args) > len(by_place) or not values.keys() >= set(given):
            return function(*args, **kwargs)  # Python says what is wrong with the call
        taken = {name: _taken(function, name, values.pop(name), where) for name in given}
        settings = arguments(function, values, where, given)
        found = made(**taken, **settings)
        attrs: Any = getattr(found, "attrs", None)
        if "split" in given and isinstance(attrs, dict):  # a stimulus
            said = {"family": where, "split": taken["split"], **settings}
            attrs.setdefault("specification", json.dumps(said, default=_plain))
        return found

    return called


def _taken(function: Callable[..., Any], name: str, value: Any, where: str) -> Any:
    """One argument that is no setting, checked."""
    hint = _hints(function)[name]
    if hint is Any:
        return value
    if not inspect.isclass(hint):
        others = tuple(other for other in inspect.signature(function).parameters if other != name)
        return arguments(function, {name: value}, where, others)[name]
    if not isinstance(value, hint):
        expected = "text" if hint is str else f"{hint.__module__.partition('.')[0]}'s {hint.__name__}"
        raise InputError(f"{where}: {name}: expected {expected}; got {_shown(value)}")
    return value


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The type of each parameter: its annotation, or else that of its default."""
    try:
        annotated = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise InputError(f"{_place_of(function)}: expected annotations that can be read; {error}") from None
    parameters = inspect.signature(function).parameters
    return {name: annotated.get(name, _type_of(parameter.default)) for name, parameter in parameters.items()}


def _type_of(default: Any) -> Any:
    """What an argument without an annotation may be."""
    return next(
        (plain for plain in (bool, int, float, str, tuple, list, dict) if isinstance(default, plain)), Any
    )


def _place_of(function: Callable[..., Any]) -> str:
    """File and name of a function, in an error."""
    return f"{inspect.unwrap(function).__code__.co_filename}: {function.__name__}"


@cache
def model_of(
    function: Callable[..., Any], given: tuple[str, ...], common: Callable[..., Any] | None = None
) -> type[BaseModel]:
    """The parameters of ``function``, and of ``common``, that are settings, as a model; see `arguments`.

    Raises
    ------
    InputError
        If an annotation is of no type that can be checked.
    """
    fields: Any = {
        name: (_hints(source)[name], ... if parameter.default is parameter.empty else parameter.default)
        for source in (function, common)
        if source
        for name, parameter in inspect.signature(source).parameters.items()
        if name not in given and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    try:
        return create_model("Arguments", __config__=config, **fields)
    except PydanticUserError as error:
        text = " ".join(str(error).partition(". ")[0].split())
        raise InputError(
            f"{_place_of(function)}: expected arguments of plain types (int, float, str, list, ...); {text}"
        ) from None


def validate(model: type[Model], spec: Any, where: str) -> Model:
    """``spec`` as an instance of ``model``.

    It is checked as JSON, the form in which specifications are passed on: lists may stand for tuples and
    whole numbers for decimals; minus zero is zero; nothing else is converted.

    Raises
    ------
    InputError
        In one line that begins with ``where``, if ``spec`` does not fit the model.
    """
    opening = f"{where}: " if where else ""
    try:
        plain = json.loads(json.dumps(spec, default=_plain), parse_float=_number)
    except (TypeError, ValueError):
        raise InputError(f"{opening}{_not_plain(spec)}") from None
    try:
        return model.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        raise InputError(f"{opening}{_first_error(error, model, plain)}") from None


def _number(text: str) -> float:
    """A number that is no whole one; zero has no sign, which would turn a range around."""
    return float(text) + 0.0


def _plain(value: Any) -> Any:
    """A number or an array of numbers as Python's own, and a path as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError


def _shown(value: Any) -> str:
    """A value in an error."""
    text = " ".join(repr(value).split())
    return text if len(text) <= LONG else f"{text[:LONG]}..."


def _not_plain(spec: Any) -> str:
    """What is wrong with values that JSON does not have."""
    if isinstance(spec, Mapping):
        for name, value in spec.items():
            try:
                json.dumps(value, default=_plain)
            except (TypeError, ValueError):
                return f"{name}: {_not_plain(value)}"
    return f"expected plain values (text, numbers, lists); got {_shown(spec)}"


def _first_error(error: ValidationError, model: type[BaseModel], spec: Any) -> str:
    """The first of pydantic's errors as one line, and how many more there are.

    Alternatives of a union are errors of their own: of those, the ones that came furthest count.
    """
    errors = [(_place(one, spec), one) for one in error.errors(include_url=False)]
    missing = {place[:-1] for place, one in errors if one["type"] == "missing"}
    errors.sort(  # a key that is missing may be there, misspelt
        key=lambda found: not (found[1]["type"] == "extra_forbidden" and found[0][:-1] in missing)
    )
    start = errors[0][0]
    along = [(place, one) for place, one in errors if place[: len(start)] == start]
    place, first = max(along, key=lambda found: len(found[0]))
    name = ".".join(map(str, place))
    if first["type"] == "extra_forbidden":
        allowed = _allowed_keys(model, first["loc"])
        text = (
            f"unknown key {name!r}; expected one of: {', '.join(allowed)}{did_you_mean(place[-1], allowed)}"
        )
    elif first["type"] == "missing":
        text = f"{name!r} is missing; add it"
    else:
        expected, *others = dict.fromkeys(_expected(one) for other, one in along if other == place)
        text = " or ".join([expected, *(other.removeprefix("input should be ") for other in others)])
        text = f"{name}: {text}" if name else text
        text = f"{text}; got {_shown(first['input'])}"
    more = len(
        {other for other, _ in errors if other[: len(start)] != start and other != place[: len(other)]}
    )
    return f"{text} (and {more} more)" if more else text


def _expected(error: Mapping[str, Any]) -> str:
    """What one of pydantic's errors expected."""
    if error["type"] == "too_short" and isinstance(error["input"], list):
        return f"input should be a list of at least {error['ctx']['min_length']}"
    message = error["msg"].replace("valid array", "list")
    return f"{message[0].lower()}{message[1:]}"


def _place(error: Mapping[str, Any], spec: Any) -> tuple[int | str, ...]:
    """Keys and indices in ``spec`` that lead to an error, without the types that were tried on the way."""
    place: list[int | str] = []
    value = spec
    for part in error["loc"]:
        inside = (
            part in value
            if isinstance(value, dict)
            else isinstance(value, list) and part in range(len(value))
        )
        if inside:
            value = value[part]
        if inside or (error["type"] == "missing" and part is error["loc"][-1]):
            place.append(part)
    return tuple(place)


def _allowed_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Keys allowed beside the one at ``place``."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        inner = list(_blocks_of(field.annotation)) if field else []
        if len(inner) == 1:  # names that the user gives lead no further: theirs is the block that holds them
            (model,) = inner
    return list(model.model_fields)


def _blocks_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """The blocks that an annotation is made of, such as the values of a dict."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _blocks_of(part)


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
