"""What a figure says of runs that are missing."""

from flowsim.views import drawing


def test_a_figure_names_few_of_many_runs_that_are_missing():
    runs = [f"grnn-seed{n}" for n in range(9)]
    assert drawing._some(runs[:3]) == "grnn-seed0, grnn-seed1, grnn-seed2"
    assert drawing._some(runs) == "grnn-seed0, grnn-seed1, grnn-seed2 and 6 more"
