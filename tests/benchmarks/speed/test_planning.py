"""The benchmark of planning plans what it says."""

import re

import pytest

from benchmarks.speed.planning import SEEDS, experiment, jobs_in, pretended
from flowsim.experiment.read import read
from flowsim.experiment.sweep import points


@pytest.mark.parametrize("trainings", [40, 1000])
def test_as_many_trainings_as_it_says(trainings, tmp_path):
    file = tmp_path / "planned.yaml"
    file.write_text(experiment(trainings))
    every = points(read(file))
    assert len({name for point in every for name in point.networks}) * SEEDS == trainings


def test_jobs_that_only_make_their_files():
    text = pretended()
    commands = re.findall(r"    shell:\n        (.*)\n", text)
    assert set(commands) == {'"touch {output:q}"'}
    assert len(commands) == text.count("    shell:") == 7


def test_jobs_are_counted():
    assert jobs_in("job count\n---- ----\ntrain 2\ntotal      3006\n") == 3006
    assert jobs_in("Nothing to be done") == 0
