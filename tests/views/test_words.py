"""Names and signs as a report writes them; its numbers are tested with the report."""

import numpy as np

from flowsim.views.words import capital, enumerated, seeds_in_words, sign


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
