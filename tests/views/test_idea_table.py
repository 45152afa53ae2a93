"""The tables of stimuli and analyses have every idea, and the first line of its file."""

from flowsim import ideas
from flowsim.__main__ import main
from flowsim.views.idea_table import first_line, idea_table


def test_every_stimulus_is_listed():
    rows = idea_table("stimuli", "stimulus").splitlines()
    assert rows[0].split() == ["stimulus", "what"]
    assert [row.split()[0] for row in rows[2:]] == ideas.names("stimuli")


def test_every_analysis_is_listed_with_the_recording_that_it_reads():
    rows = idea_table("analysis", "analysis", reads="READS").splitlines()
    assert rows[0].split() == ["analysis", "reads", "what"]
    assert [row.split()[0] for row in rows[2:]] == ideas.names("analysis")
    assert {row.split()[1] for row in rows[2:]} <= {"test", "sweep", "probe", "control"}


def test_a_headline_is_one_line():
    text = first_line(ideas.load("stimuli", "colliding_digits"))
    assert text.startswith("Handwritten digits that collide: ")
    assert "\n" not in text


def test_commands(capsys):
    for verb, idea in (("stimuli", "moving_digits"), ("analyses", "equivariance_error")):
        assert main([verb]) == 0
        out, err = capsys.readouterr()
        assert idea in out
        assert not err
