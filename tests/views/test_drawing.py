"""What a figure says of runs that are missing."""

import pytest

from flowsim.figures import plot
from flowsim.views import drawing


def test_a_figure_names_few_of_many_runs_that_are_missing():
    runs = [f"grnn-seed{n}" for n in range(9)]
    assert drawing._some(runs[:3]) == "grnn-seed0, grnn-seed1, grnn-seed2"
    assert drawing._some(runs) == "grnn-seed0, grnn-seed1, grnn-seed2 and 6 more"


@pytest.mark.parametrize("width", [plot.COLUMN, plot.PAGE])
def test_their_names_are_not_wider_than_the_figure(width):
    figure, _ = plot.subplots(figsize=(width, 2.0))
    figure.suptitle("n = 9", fontsize=8)
    drawing.say_missing(figure, [f"a_network_of_some_name-seed{n}" for n in range(9)])
    figure.canvas.draw()
    (title,) = figure.texts
    assert " ".join(title.get_text().split()).startswith(
        "n = 9 without results: a_network_of_some_name-seed0,"
    )
    box = title.get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
