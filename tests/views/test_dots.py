"""Dots of few seeds lie on a scale that networks share."""

import numpy as np

from flowsim.views.dots import dots_of


def test_places_go_from_the_least_to_the_largest_of_all_networks():
    known = {"a": np.array([1.0, 10.0]), "b": np.array([100.0]), "c": np.array([])}
    words = dict.fromkeys(known, "")
    assert {name: one.places for name, one in dots_of(known, True, words).items()} == {
        "a": (0.0, 50.0),
        "b": (100.0,),
    }
    assert dots_of(known, False, words)["a"].places == (0.0, 9.1)
    assert dots_of({"a": np.array([2.0, 2.0])}, True, words)["a"].places == (0.0, 0.0)
    assert dots_of({}, True, {}) == {}
