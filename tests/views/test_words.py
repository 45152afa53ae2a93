"""Names and signs as a report writes them; its numbers are tested with the report."""

from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field, TypeAdapter

from flowsim.specification import Amount, Positive
from flowsim.views.words import capital, enumerated, seeds_in_words, sign, values_in_words


def test_names_and_signs():
    assert [enumerated(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]
    assert (capital("mse of a"), capital("")) == ("Mse of a", "")
    assert (sign(2, True), sign(2, False), sign(-2, False)) == ("\N{MULTIPLICATION SIGN} ", "+", "")


def test_few_seeds_are_named_and_many_have_a_range():
    assert seeds_in_words(np.array([1.0]), 3) == ""
    assert seeds_in_words(np.array([1.0, 3.0, 2.0]), 3) == "1.00, 3.00, 2.00"
    assert seeds_in_words(np.array([1.0, 3.0, 2.0, 2.0]), 3) == "1.00 to 3.00"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[int, Field(ge=1)], "integer ≥ 1"),
        (Annotated[int, Field(ge=1, le=10**7)], "integer ≥ 1"),
        (Annotated[int, Field(ge=1, le=100)], "integer in [1, 100]"),
        (Annotated[float, Field(gt=0)], "number > 0"),
        (Annotated[float, Field(le=2)], "number ≤ 2"),
        (Annotated[float, Field(lt=2)], "number < 2"),
        (Annotated[float, Field(ge=0, lt=1)], "number in [0, 1)"),
        (Positive, "number > 0"),
        (Amount, "number ≥ 0"),
        (Annotated[float, Field(gt=0, le=0.5)], "number in (0, 0.5]"),
        (float, "number"),
        (bool, "true or false"),
        (str | None, "text, or null"),
        (Literal["a", "b", "c"], '`"a"`, `"b"` or `"c"`'),
        (Literal[1], "`1`"),
        (list[tuple[float, int]] | Literal["real"] | None, 'list of [number, integer], `"real"`, or null'),
        (Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)], "list of numbers ≥ 0"),
        (dict[str, int], "anything"),
    ],
)
def test_allowed_values_in_words(annotation, words):
    assert values_in_words(TypeAdapter(annotation).json_schema()) == words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/$defs/Size", "$defs": {"Size": {"type": "integer", "minimum": 1}}}, "integer ≥ 1"),
        ({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]}, "number > 0, or null"),
        ({"enum": ["usual", "identity"]}, '`"usual"` or `"identity"`'),
        ({"type": "array", "prefixItems": [{"type": "integer"}] * 2}, "[integer, integer]"),
        ({}, "anything"),
    ],
)
def test_what_a_schema_allows_in_words(schema, words):
    assert values_in_words(schema) == words
