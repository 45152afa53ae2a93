"""The table and the figure of a sweep, from results with known answers."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.experiment.read import runs
from flowsim.experiment.sweep import axes, points
from flowsim.files import netcdf
from flowsim.views import sweep_figure
from flowsim.views.sweep_table import collected, of_nothing, read, summary, table_of, write
from tests.views.test_sweep_effects import experiment

ANALYSIS = '''"""Is one."""
import xarray as xr

READS = "test"
QUESTION = "What is it?"
READING = "As it is."


def analyse(recording):
    return recording


def answers(results):
    return {"what it is": results.level.assign_attrs(better="lower", units="px", bounds=(0, 10))}


def figure(results):
    raise NotImplementedError
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with an analysis of the user's, whose answer is what its results hold."""
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "is_one.py").write_text(ANALYSIS)
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    return tmp_path / "results"


def described(sweep, networks=("a", "b")):
    one = experiment(sweep, networks)
    return one.model_copy(update={"analyse": {"is_one": {}}})


def made(results, one, value, refused=()):
    """Results of all runs, each of which has the value of a function of point, network and seed."""
    for point in points(one):
        for run, (variant, seed) in runs(point.experiment).items():
            path = results / "analyses" / "is_one" / f"{point.result(run, 'test')}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            found = xr.Dataset({"level": float(value(point, point.networks[variant], seed))})
            attrs = {"stage": "analysis", "network": variant, "seed": str(seed)}
            attrs |= {"refused": "it diverged"} if run in refused else {}
            netcdf.write(found, path, attrs)


def test_every_run_has_its_row_at_every_point(folder):
    one = described({"networks.a.max_speed": [0, 1], "train.noise": [0, 0.5]})
    made(folder, one, lambda point, network, seed: seed + (network == "b"))
    table = table_of(one, "is_one", folder)
    assert len(table) == 4 * 2 * 4
    assert list(table.columns[:4]) == ["run", "network", "seed", "variable"]
    row = table.set_index(["run", "point"]).loc[("b@train.noise=0.5-seed3", "max_speed=1,noise=0.5")]
    assert (row.value, row.network, row["networks.a.max_speed"], row["train.noise"]) == (4, "b", 1, 0.5)
    assert (row.units, row.better, row.low, row.high, row.level_0, row.level_1) == (
        "px",
        "lower",
        0,
        10,
        1,
        1,
    )


def test_a_run_that_could_not_be_judged_has_a_row_that_says_why(folder):
    one = described({"train.noise": [0, 0.5]}, ("a",))
    made(folder, one, lambda *_: 1, refused=("a@train.noise=0.5-seed1",))
    table = table_of(one, "is_one", folder)
    (row,) = table[table.unjudged != ""].to_dict("records")
    assert (row["run"], row["variable"], row["unjudged"]) == ("a@train.noise=0.5-seed1", "", "it diverged")
    assert len(table[table.variable == "what it is"]) == 7


def test_what_was_not_made_is_left_out_with_its_reason(folder):
    one = described({"train.noise": [0, 0.5]}, ("a",))
    made(folder, one, lambda *_: 1)
    lost = folder / "analyses" / "is_one" / "a-seed0.h5"
    lost.unlink()
    with pytest.raises(InputError, match="a-seed0"):
        table_of(one, "is_one", folder)
    table = table_of(one, "is_one", folder, {lost: "its training failed"})
    assert table.unjudged[table.run == "a-seed0"].tolist() == ["its training failed"]


def test_a_table_is_read_as_it_was_written(folder):
    one = described({"train.noise": [0, 0.5]}, ("a",))
    made(folder, one, lambda point, network, seed: 1 + seed / 3, refused=("a-seed1",))
    table = table_of(one, "is_one", folder)
    (folder / "figures").mkdir()
    write(table, folder / "figures" / "is_one.csv")
    again = collected(one, folder)
    pd.testing.assert_frame_equal(again, table, check_dtype=False, rtol=1e-6)


def test_another_file_is_no_table_of_a_sweep(tmp_path):
    (tmp_path / "a.csv").write_text("run,network\na,b\n")
    with pytest.raises(InputError, match="expected the table of a sweep; it has no column 'seed'"):
        read(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(InputError, match="expected the table of a sweep; "):
        read(tmp_path / "b.csv")


def test_a_mean_has_an_interval_over_seeds_that_stays_within_bounds(folder):
    one = described({"train.noise": [0, 0.5]}, ("a",))
    made(folder, one, lambda point, network, seed: 0.5 + seed + point.place[0])
    found = summary(table_of(one, "is_one", folder))
    assert found["mean"].tolist() == [2, 3]
    assert (found.n == 4).all()
    assert ((found.mean_low > 0) & (found.mean_low < found["mean"]) & (found.mean_high < 10)).all()


@pytest.mark.parametrize(
    ("sweep", "panels"),
    [
        ({"train.noise": [0, 0.5, 1]}, 1),
        ({"networks.a.activation": ["relu", "tanh"]}, 1),
        ({"networks.a.max_speed": [0, 1, 2], "train.noise": [0, 0.5]}, 2),
        ({"networks.a.max_speed": [0, 1], "train.noise": [0, 0.5], "train.clip": [1, 2, 3]}, 6),
    ],
)
def test_curves_over_one_axis_and_heat_maps_over_two(sweep, panels, folder):
    one = described(sweep)
    made(folder, one, lambda point, network, seed: sum(point.place) + seed / 10)
    figure = sweep_figure.figure_of(table_of(one, "is_one", folder), axes(one))
    if panels > 1:
        assert sum(bool(ax.images) for ax in figure.axes) == panels
        drawn = figure.axes[0].images[0].get_array()
        assert drawn[0, 1] - drawn[0, 0] == pytest.approx(1)
        assert drawn[1, 0] - drawn[0, 0] == pytest.approx(1)
    else:
        assert len(figure.axes) == 1
        line = figure.axes[0].lines[0]
        np.testing.assert_allclose(line.get_ydata(), 0.15 + np.arange(len(axes(one)[0].levels)))


def test_a_figure_of_nothing_says_why(folder):
    one = described({"train.noise": [0, 0.5]}, ("a",))
    made(folder, one, lambda *_: 1, refused=[run for p in points(one) for run in runs(p.experiment)])
    (folder / "figures").mkdir()
    into = folder / "figures" / "is_one.svg"
    reason = sweep_figure.draw(one, "is_one", folder, into)
    assert reason.startswith("no run could be judged by is_one. it diverged")
    assert "it diverged" in into.read_text()
    assert len(read(into.with_suffix(".csv"))) == 8
    assert of_nothing(one, "is_one", "why").unjudged.tolist() == ["why"]


def test_two_drawings_are_the_same_to_the_byte(folder):
    one = described({"networks.a.max_speed": [0, 1], "train.noise": [0, 0.5]})
    made(folder, one, lambda point, network, seed: sum(point.place) + seed / 10)
    (folder / "figures").mkdir()
    drawn = []
    for name in ("one", "two"):
        into = folder / "figures" / f"{name}.svg"
        assert sweep_figure.draw(one, "is_one", folder, into) == ""
        drawn.append(into.read_bytes())
    assert drawn[0] == drawn[1]
