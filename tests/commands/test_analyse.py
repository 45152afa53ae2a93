"""`flowsim analyse` writes a reason in place of results where nothing can be said, or an analysis of the
user's fails.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from flowsim.__main__ import main
from flowsim.files import netcdf
from flowsim.ideas import ROOT


def run(*arguments):
    return main([str(a) for a in arguments])


OWN = '''"""A broken one."""

READS = "probe"


def analyse(recording):
    RESULT


def figure(results):
    raise ValueError("no figure")
'''


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ("raise RuntimeError('mine')", "analysis/broken_for_test.py, line 7: RuntimeError: mine"),
        ("return 3", "analysis/broken_for_test.py: expected analyse to return an xarray.Dataset; got int"),
        (
            "return recording.frames.mean().to_dataset(name='a b')",
            "analysis/broken_for_test.py: expected names",
        ),
    ],
)
def test_a_broken_analysis_of_the_users_is_a_reason_in_place_of_results(
    result, why, folder, tmp_path, monkeypatch, capsys
):
    """It is not blamed on the recording, and the figure says why there is none."""
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "broken_for_test.py").write_text(OWN.replace("RESULT", result))
    monkeypatch.chdir(tmp_path)
    assert run("analyse", "broken_for_test", "--recording", folder / "rec.h5", "--into", "out.h5") == 0
    with xr.open_dataset("out.h5", engine="h5netcdf") as results:
        assert results.attrs["refused"].startswith(why)
        assert str(tmp_path / "analysis" / "broken_for_test.py") in results.attrs["inputs"]
    assert run("figure", "broken_for_test", "--results", "out.h5", "--into", "out.svg") == 0
    assert "broken_for_test.py" in (tmp_path / "out.svg").read_text()
    if "RuntimeError" in why:
        assert "Traceback" in capsys.readouterr().err


def test_a_figure_of_the_users_that_fails_says_why(folder, tmp_path, monkeypatch):
    (tmp_path / "analysis").mkdir()
    fine = OWN.replace("RESULT", "return recording.frames.mean().to_dataset(name='mean')")
    (tmp_path / "analysis" / "broken_for_test.py").write_text(fine)
    monkeypatch.chdir(tmp_path)
    assert run("analyse", "broken_for_test", "--recording", folder / "rec.h5", "--into", "out.h5") == 0
    assert run("figure", "broken_for_test", "--results", "out.h5", "--into", "out.svg") == 0
    assert "line 11: ValueError: no figure" in (tmp_path / "out.svg").read_text()


@pytest.mark.parametrize(("value", "why"), [(0.0, "the network is dead"), (np.nan, "contains NaN")])
def test_a_network_about_which_nothing_can_be_said_does_not_stop_the_others(
    value, why, folder, tmp_path, capsys
):
    """The reason stands in place of results, and the figure of the others is drawn and names the run."""
    with xr.open_dataset(folder / "rec.h5", engine="h5netcdf") as recording:
        broken = recording.load().assign(state=recording.state * 0 + value)
        attrs = {n: v for n, v in recording.attrs.items() if not n.startswith("sha256")}
        netcdf.write(broken.assign_attrs({}), tmp_path / "rec.h5", attrs | {"network": "dead"})
    recorded = ("--recording", tmp_path / "rec.h5", "--into", tmp_path / "dead.h5")
    assert run("analyse", "equivariance_error", *recorded) == 0
    assert f"{tmp_path}/rec.h5 could not be judged: " in capsys.readouterr().err
    with xr.open_dataset(tmp_path / "dead.h5", engine="h5netcdf") as result:
        assert why in result.attrs["refused"]
        assert not result.data_vars
    both = (folder / "err.h5", tmp_path / "dead.h5")
    assert run("figure", "equivariance_error", "--results", *both, "--into", tmp_path / "both.svg") == 0
    assert "without results: dead-seed" in (tmp_path / "both.svg").read_text()
    assert "dead" not in (tmp_path / "both.csv").read_text()
    none = ("--results", tmp_path / "dead.h5", "--into", tmp_path / "none.svg")
    assert run("figure", "equivariance_error", *none) == 0
    assert why in (tmp_path / "none.svg").read_text()
    assert (tmp_path / "none.csv").read_text().startswith("run,network,seed,variable")


def test_a_mistake_in_the_settings_still_stops(folder, tmp_path, capsys):
    wrong = ("--recording", folder / "probe.h5", "--into", tmp_path / "out.h5")
    assert run("analyse", "equivariance_error", *wrong) == 2
    assert not (tmp_path / "out.h5").exists()


def test_torch_is_imported_only_by_what_computes_with_it(folder, tmp_path):
    """It takes longer to import than many analyses take."""
    spec = json.dumps({"height": 8, "width": 9, "trials": 4, "frames": 6})
    run("stimulus", "moving_digits", "test", "--spec", spec, "--into", tmp_path / "test.h5")
    run(
        "record",
        "--model",
        folder / "a.pt",
        "--stimulus",
        tmp_path / "test.h5",
        "--into",
        tmp_path / "rec.h5",
    )
    script = (
        "import sys; from flowsim.__main__ import main; "
        "assert main(['analyse', 'training_speed', '--recording', 'rec.h5', '--into', 'a.h5']) == 0; "
        "assert main(['figure', 'training_speed', '--results', 'a.h5', '--into', 'a.svg']) == 0; "
        "print([name for name in ('torch', 'sklearn') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr
