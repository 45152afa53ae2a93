"""The page of one idea has all that one needs to use it."""

from pathlib import Path

import pytest

from flowsim import ideas
from flowsim.__main__ import main
from flowsim.docstrings import described_arguments
from flowsim.specification import model_of
from flowsim.views.idea_page import idea_page
from flowsim.views.idea_table import idea_table


@pytest.mark.parametrize("package", ["stimuli", "analysis"])
def test_every_argument_of_every_idea_is_shown(package):
    for name in ideas.names(package):
        page = idea_page(package, name)
        function, given = ideas.CONTRACT[package]
        for argument in model_of(getattr(ideas.load(package, name), function), given).model_fields:
            assert f"\n{argument} " in page, (name, argument)


def test_a_stimulus_with_its_defaults_and_units(capsys):
    assert main(["stimuli", "drifting_gratings"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("drifting_gratings: ")
    assert "stimulus: {family: drifting_gratings, all: {...}}" in page
    assert "px" in page
    assert "integer ≥ 1" in page


def test_a_network_with_its_law_and_source(capsys):
    assert main(["models", "fernn"]) == 0
    page = capsys.readouterr().out
    assert "transport+shift" in page
    assert "Keller (2025)" in page
    assert "\nbounded " in page


def test_an_analysis_with_its_question(capsys):
    assert main(["analyses", "stability"]) == 0
    page = capsys.readouterr().out
    assert ideas.load("analysis", "stability").QUESTION.split()[0] in page
    assert "recordings of" in page


@pytest.mark.parametrize(
    ("verb", "kind"), [("stimuli", "stimulus"), ("models", "network model"), ("analyses", "analysis")]
)
def test_a_name_that_is_none(verb, kind, capsys):
    assert main([verb, "nothing"]) == 2
    assert f"unknown {kind} 'nothing'; expected one of: " in capsys.readouterr().err


def test_a_broken_idea_of_the_users_does_not_hide_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("stimuli").mkdir()
    Path("stimuli/broken_for_table.py").write_text("def generate(split): ...")
    table = idea_table("stimuli", "stimulus")
    assert "broken_for_table" in table
    assert (
        "cannot be used: stimuli/broken_for_table.py: expected a function generate(split, rng, ...)" in table
    )
    assert "moving_digits" in table


def documented(a, b=1, *others, c=2):
    """What it does.

    Parameters
    ----------
    a, b : int
        Two of them,
        in px.
    *others
        More.
    c : float

    Returns
    -------
    int
    """


def undocumented(a): ...


def test_docstrings_describe_arguments():
    found = described_arguments(documented)
    assert found == {"a": "Two of them, in px.", "b": "Two of them, in px.", "others": "More.", "c": ""}
    assert described_arguments(undocumented) == {}
