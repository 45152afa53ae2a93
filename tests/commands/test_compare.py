"""What moved between two folders of results, and what did not."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.commands.parser import main
from flowsim.files import netcdf
from flowsim.views.comparison import compared, folder_of, in_words, side
from tests.known.calibration import times

ANALYSIS = '''"""Is one."""
READS = "test"
QUESTION = "What is it?"
READING = "As it is."


def analyse(recording):
    return recording


def answers(results):
    level = results.level.assign_attrs(better="lower", scale="ratio")
    return {"error": level, "size": results.level * 2}


def figure(results):
    raise NotImplementedError
'''


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Write results (network: values of its seeds) of an analysis of the user's to a folder."""
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "is_one.py").write_text(ANALYSIS)
    monkeypatch.chdir(tmp_path)

    def make(name, networks, settings=None, commit="abc", refused=()):
        folder = tmp_path / name / "analyses" / "is_one"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for network, values in networks.items():
            for seed, value in enumerate(values):
                run, shown, _ = network.partition("@shown")
                attrs = {"network": run, "seed": str(seed), "commit": commit, "stage": "analysis"}
                attrs["specification"] = json.dumps({"analysis": "is_one", **(settings or {})})
                attrs["versions"] = json.dumps({"flowsim": "0.1.0"})
                attrs |= {"refused": "it diverged"} if f"{run}-seed{seed}" in refused else {}
                path = folder / f"{run}-seed{seed}{'@objects=2' * bool(shown)}.h5"
                netcdf.write(xr.Dataset({"level": float(value)}), path, attrs)
        return tmp_path / name

    return make


def verdicts(a, b):
    found = compared(side(a), side(b))
    return found.set_index(["answer", "network"]).verdict.to_dict()


def test_what_moved_is_found_and_what_did_not_is_not(made, rng):
    noise = np.exp(0.05 * rng.standard_normal((4, 4)))
    a = made("a", {"fernn": 0.1 * noise[0], "grnn": 0.3 * noise[1]})
    b = made("b", {"fernn": 0.05 * noise[2], "grnn": 0.3 * noise[3]})
    assert verdicts(a, b) == {
        ("error", "fernn"): "better",
        ("error", "grnn"): "not told apart",
        ("size", "fernn"): "moved",
        ("size", "grnn"): "not told apart",
    }
    assert verdicts(b, a)["error", "fernn"] == "worse"
    (row,) = compared(side(a), side(b)).query("answer == 'error' and network == 'fernn'").to_dict("records")
    assert row["low"] < 0.5 < row["high"] < 1


def test_the_same_results_are_as_before(made):
    a = made("a", {"fernn": [0.1, 0.2]})
    assert set(verdicts(a, a).values()) == {"as before"}


def test_one_seed_cannot_tell(made):
    a, b = made("a", {"fernn": [0.1]}), made("b", {"fernn": [0.2]})
    assert set(verdicts(a, b).values()) == {"differs (no seeds to tell)"}


def test_what_only_one_has_is_named(made):
    a, b = (
        made("a", {"fernn": [0.1, 0.2], "grnn": [0.1, 0.2]}),
        made("b", {"fernn": [0.1, 0.2], "gru": [1, 2]}),
    )
    found = verdicts(a, b)
    assert (found["error", "grnn"], found["error", "gru"]) == ("only in A", "only in B")


def test_other_settings_and_runs_that_could_not_be_judged_have_a_line_each(made):
    a = made("a", {"fernn": [0.1, 0.2]}, {"trials": 4})
    b = made("b", {"fernn": [0.1, 0.2]}, {"trials": 8}, commit="def", refused=("fernn-seed1",))
    one, two = side(a), side(b)
    text = in_words(one, two, compared(one, two))
    assert "settings of is_one differ in B: trials is 8 instead of 4" in text
    assert "could not be judged in B: is_one of fernn-seed1 (it diverged)" in text
    assert "(commit abc, flowsim 0.1.0)" in text
    assert "(commit def, flowsim 0.1.0)" in text


def test_stimuli_of_a_sweep_are_kept_apart(made):
    a = made("a", {"fernn": [0.1, 0.2], "fernn@shown": [0.5, 0.6]})
    found = compared(side(a), side(a))
    assert set(found.network) == {"fernn", "fernn@objects=2"}


def test_the_command_prints_and_writes_and_ends_with_0(made, capsys, tmp_path):
    a, b = made("a", {"fernn": [0.1, 0.2]}), made("b", {"fernn": [1.1, 1.2]})
    assert main(["compare", str(a), str(b), "--into", str(tmp_path / "moved.csv")]) == 0
    printed = capsys.readouterr().out
    assert "of 2 answers moved beyond the interval of all comparisons together" in printed
    assert "×" in printed
    table = pd.read_csv(tmp_path / "moved.csv")
    assert table.network.tolist() == ["fernn", "fernn"]
    assert main(["compare", str(a), str(b), "--into", str(tmp_path / "moved.csv")]) == 0
    (tmp_path / "mine.csv").write_text("mine\n")
    assert main(["compare", str(a), str(b), "--into", str(tmp_path / "mine.csv")]) == 2


def test_a_folder_without_results_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"expected an experiment that was run, or a folder of results"):
        folder_of(tmp_path)
    with pytest.raises(InputError, match="has no analyses. Run it, or check the path"):
        folder_of(tmp_path / "nothing.yaml")


@times(20)
def test_two_runs_of_the_same_hardly_ever_seem_to_have_moved(simulations, made, rng, calibration):
    moved = []
    for _ in range(simulations):
        sides = []
        for name in ("a", "b"):
            values = np.exp(0.3 * rng.standard_normal((3, 3)))
            sides.append(side(made(name, {f"network{i}": row for i, row in enumerate(values)})))
        moved.append(compared(*sides).verdict.isin(["better", "worse", "moved"]).any())
    calibration.rate("compare", "any answer moved", moved, "the same networks, 3 seeds")
