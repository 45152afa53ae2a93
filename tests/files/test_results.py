"""Results of several runs are put side by side, and in a table with one row per value."""

from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.errors import CannotJudge
from flowsim.files import netcdf
from flowsim.files.results import results_of, shared, side_by_side, tidy, write_tidy


def test_runs_are_put_side_by_side(tmp_path):
    for name, seed in (("a", 0), ("a", 1), ("b", 0)):
        one = xr.Dataset({"mse": ("ahead", np.full(3, seed))}, attrs={"horizon": 6})
        netcdf.write(
            one, tmp_path / f"{name}{seed}.h5", {"stage": "analysis", "network": name, "seed": str(seed)}
        )
    together = side_by_side([tmp_path / f for f in ("a0.h5", "a1.h5", "b0.h5")], "mine")
    assert together.mse.dims == ("run", "ahead")
    assert together.run.values.tolist() == ["a-seed0", "a-seed1", "b-seed0"]
    assert together["network"].values.tolist() == ["a", "a", "b"]
    assert together.attrs["horizon"] == 6


def test_a_network_of_which_one_run_is_partial_is_called_so(tmp_path):
    one = xr.Dataset({"mse": ("ahead", np.ones(3))})
    for name, seed, partial in (("a", 0, "after 1 of 2 sequences"), ("a", 1, ""), ("b", 0, "")):
        attrs = {"stage": "analysis", "network": name, "seed": str(seed), "partial": partial}
        netcdf.write(one, tmp_path / f"{name}{seed}.h5", attrs)
    together = side_by_side([tmp_path / f for f in ("a0.h5", "a1.h5", "b0.h5")], "mine")
    assert together["network"].values.tolist() == ["a (partial)", "a (partial)", "b"]
    assert together.partial.values.tolist() == ["after 1 of 2 sequences", "", ""]
    assert together.run.values.tolist() == ["a-seed0", "a-seed1", "b-seed0"]


def side_by_side_of(folder, *made):
    for seed, one in enumerate(made):
        netcdf.write(one, folder / f"{seed}.h5", {"stage": "analysis", "network": "a", "seed": str(seed)})
    return side_by_side([folder / f"{seed}.h5" for seed in range(len(made))], "mine")


def of_flows(vx, **attrs):
    return xr.Dataset({"error": ("flow", np.arange(len(vx)))}, {"flow_vx": ("flow", vx)}, attrs)


def test_values_of_different_things_are_not_put_side_by_side(tmp_path):
    """Other flows, or the same in another order or number; other units."""
    for other in ([0.0, 2, 1], [0.0, 1, 3]):
        with pytest.raises(InputError, match=r"the same flow_vx in all runs; a-seed0 and a-seed1 differ"):
            side_by_side_of(tmp_path, of_flows([0.0, 1, 2]), of_flows(other))
    with pytest.raises(
        InputError, match=r"number of flow entries in all runs; a-seed0 has 3, a-seed1 2\. Rec"
    ):
        side_by_side_of(tmp_path, of_flows([0.0, 1, 2]), of_flows([0.0, 1]))
    made = [xr.Dataset({"speed": ("flow", [1.0], {"units": units})}) for units in ("px/frame", "deg/frame")]
    with pytest.raises(
        InputError, match="the same units of speed in all runs; a-seed0 has px/frame, a-seed1"
    ):
        side_by_side_of(tmp_path, *made)
    together = side_by_side_of(tmp_path, of_flows([0.0, 1, 2]), of_flows([0.0, 1, 2]))
    assert together.flow_vx.values.tolist() == [0, 1, 2]


def test_attributes_that_differ_are_kept_for_each_run(tmp_path):
    made = [of_flows([0.0, 1], trials=trials, horizon=6) for trials in (20, 24, 20)]
    together = side_by_side_of(tmp_path, *made)
    assert together.trials.values.tolist() == [20, 24, 20]
    assert together.attrs["trials"] == "20, 24"
    assert shared(together, "horizon") == 6
    assert tidy(together).query("run == 'a-seed1'").trials.unique().tolist() == [24]
    with pytest.raises(InputError, match="expected runs with the same trials; they have 20, 24"):
        shared(together, "trials")


def test_runs_that_could_not_be_judged_are_left_out_and_named(tmp_path):
    made = [of_flows([0.0, 1]), xr.Dataset(attrs={"refused": "it is silent"}), of_flows([0.0, 1])]
    together = side_by_side_of(tmp_path, *made)
    assert together.run.values.tolist() == ["a-seed0", "a-seed2"]
    assert together.attrs["refused"] == {"a-seed1": "it is silent"}
    assert side_by_side_of(tmp_path, *made[::2]).attrs["refused"] == {}
    with pytest.raises(CannotJudge, match=r"no run could be judged by mine. a-seed0: it is silent"):
        side_by_side_of(tmp_path, made[1])


def test_units_that_a_network_lacks_are_no_values(tmp_path):
    made = [xr.Dataset({"p": ("unit", np.ones(n))}, {"unit": np.arange(n)}) for n in (3, 2)]
    made = [one.assign_coords(own=("unit", np.arange(one.sizes["unit"]) + k)) for k, one in enumerate(made)]
    together = side_by_side_of(tmp_path, *made)
    assert together.p.isnull().sum("unit").values.tolist() == [0, 1]
    assert together.own.values[1, :2].tolist() == [1, 2]
    assert len(tidy(together)) == 5


def test_results_of_another_analysis_are_refused(tmp_path):
    one = xr.Dataset({"mse": ("ahead", np.ones(3))})
    netcdf.write(one, tmp_path / "a.h5", {"stage": "analysis", "specification": '{"analysis": "theirs"}'})
    with pytest.raises(InputError, match="expected results of mine; these are of theirs"):
        side_by_side([tmp_path / "a.h5"], "mine")


@pytest.fixture
def results():
    return xr.Dataset(
        {
            "error": (("run", "law", "flow"), np.arange(8.0).reshape(2, 2, 2) / 3, {"units": "1"}),
            "map": (("run", "y", "x"), np.arange(12).reshape(2, 2, 3)),
            "count": ("run", [3, 12345678], {"units": "trial"}),
        },
        {
            "run": ["a-seed0", "b-seed0"],
            "network": ("run", ["a", "b"]),
            "seed": ("run", ["0", "0"]),
            "law": ["shift", "transport"],
            "flow_vy": ("flow", [0.0, 0.5], {"units": "px/frame"}),
        },
    )


def test_every_value_has_a_row_with_its_coordinates_and_units(results):
    table = tidy(results)
    assert set(table.columns[:4]) == {"run", "network", "seed", "variable"}
    assert list(table.columns[-2:]) == ["value", "units"]
    assert table.variable.value_counts().to_dict() == {"error": 8, "map": 12, "count": 2}
    row = table.query("variable == 'error' and run == 'b-seed0' and law == 'transport' and flow == 1")
    assert row[["network", "seed", "flow_vy", "value", "units"]].values.tolist() == [
        ["b", "0", 0.5, 7 / 3, "1"]
    ]
    assert row[["y", "x"]].isna().all(axis=None)
    assert table.query("variable == 'map' and network == 'b' and y == 1 and x == 2").value.tolist() == [11]


def test_answers_have_the_names_that_the_report_gives_them(results):
    answer = results.error.sel(law="shift").mean("flow").assign_attrs(units="px", better="lower")
    table = tidy(results, {"mean error of shift": answer})
    rows = table.query("variable == 'mean error of shift'")
    assert rows.run.tolist() == ["a-seed0", "b-seed0"]
    assert rows[["network", "law", "units"]].values.tolist() == [["a", "shift", "px"], ["b", "shift", "px"]]
    np.testing.assert_allclose(rows.value, answer)
    assert len(table) == len(tidy(results)) + 2


def test_what_is_not_known_has_no_row(results):
    results["error"][0, 0, 0] = np.nan
    assert (tidy(results).variable == "error").sum() == 7


def test_the_file_reads_back_to_seven_digits(results, tmp_path):
    write_tidy(results, tmp_path / "a.csv")
    back = pd.read_csv(tmp_path / "a.csv", dtype={"seed": str})
    np.testing.assert_allclose(back.value, tidy(results).value, rtol=5e-7)
    assert back.set_index("variable").value["error"].astype(str).str.len().max() <= 9
    again = back.query("variable == 'error'").set_index(["run", "law", "flow"]).value.to_xarray()
    np.testing.assert_allclose(again, results.error, rtol=5e-7)


def test_runs_side_by_side_become_one_table(tmp_path):
    for seed in (0, 1):
        made = xr.Dataset({"mse": ("ahead", [0.5 + seed, 0.25])}, {"ahead": [1, 2]})
        netcdf.write(made, tmp_path / f"{seed}.h5", {"stage": "analysis", "network": "a", "seed": str(seed)})
    table = tidy(side_by_side([tmp_path / "0.h5", tmp_path / "1.h5"], "any"))
    assert table[["run", "ahead", "value"]].values.tolist() == [
        ["a-seed0", 1, 0.5],
        ["a-seed0", 2, 0.25],
        ["a-seed1", 1, 1.5],
        ["a-seed1", 2, 0.25],
    ]
    with pytest.raises(InputError, match="expected a file of stage analysis, found no such file"):
        side_by_side([tmp_path / "2.h5"], "any")


def test_results_do_not_pass_for_a_recording():
    """xarray hands on the attributes of the recording from which results are computed."""
    recording = xr.Dataset({"state": ("unit", [1.0, 3.0])}, attrs={"stage": "recording", "horizon": 6})
    analysis = ModuleType("analysis.mine")
    analysis.analyse = lambda recording: recording.mean(keep_attrs=True).assign_attrs(note="mine")
    found = results_of(analysis, recording, {})
    assert found.attrs == {"horizon": 6, "note": "mine"}
    assert float(found.state) == 2
    assert recording.attrs["stage"] == "recording"
