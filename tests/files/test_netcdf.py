"""Files appear whole or not at all, and damaged ones are told apart from good ones."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.files import coordinates, netcdf
from flowsim.files.atomic import exclusive, existing, whole
from flowsim.files.results import side_by_side


def test_round_trip(probe, tmp_path):
    netcdf.write(probe, tmp_path / "probe.h5", {"stage": "stimulus", "commit": "abc"})
    again = netcdf.read(tmp_path / "probe.h5", "stimulus", {"frames": ("flow", "trial", "time", "y", "x")})
    assert again.frames.chunks is not None
    assert again.frames.encoding["chunksizes"] == (1, 3, 6, 9, 8)
    xr.testing.assert_equal(again.load(), probe)
    assert again.attrs["commit"] == "abc"
    assert again.time.attrs["units"] == "frame"


@pytest.mark.parametrize("keep", [0, 7, 1000, -2000])
def test_truncated_file(probe, tmp_path, keep):
    file = tmp_path / "probe.h5"
    netcdf.write(probe, file, {"stage": "stimulus"})
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(
        InputError, match=r"probe.h5: expected a whole HDF5 file, .* delete it and make it again"
    ):
        netcdf.load(netcdf.read(file, "stimulus"), file)


def test_damaged_chunk(rng, tmp_path):
    file = tmp_path / "noise.h5"
    noise = xr.Dataset({"frames": (("trial", "x"), rng.random((100, 1000)))})
    netcdf.write(noise, file, {"stage": "stimulus"})
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b"\0" * 400
    file.write_bytes(content)
    with pytest.raises(InputError, match="expected a whole HDF5 file"):
        netcdf.load(netcdf.read(file, "stimulus"), file)


def test_missing_file_and_variable(probe, tmp_path):
    with pytest.raises(InputError, match=r"none.h5: expected a file of stage stimulus, found no such file"):
        netcdf.read(tmp_path / "none.h5", "stimulus")
    netcdf.write(probe, tmp_path / "probe.h5", {"stage": "stimulus"})
    with pytest.raises(
        InputError, match=r"expected frames \(trial, time, y, x\); found \(flow, trial, time, y, x\)"
    ):
        netcdf.read(tmp_path / "probe.h5", "stimulus", {"frames": ("trial", "time", "y", "x")})
    with pytest.raises(InputError, match=r"expected state \(time\); found nothing of that name"):
        netcdf.read(tmp_path / "probe.h5", "stimulus", {"state": ("time",)})


def test_flows_need_their_coordinates(probe):
    with pytest.raises(
        InputError, match=r"expected the coordinate\(s\) flow_vx over flow; the file has none"
    ):
        coordinates.flows(probe.drop_vars("flow_vx"))
    assert coordinates.group(probe.drop_attrs(), "flow").name == "translation"
    with pytest.raises(InputError, match="flow_group to be one of rotation, spiral, translation; got None"):
        coordinates.flows(probe.drop_attrs().drop_vars(["flow_vx", "velocity_vx"]))
    with pytest.raises(
        InputError, match="flow_group to be one of rotation, spiral, translation; got 'shear'"
    ):
        coordinates.flows(probe.assign_attrs(flow_group="shear"))


def test_nothing_is_left_of_a_failed_write(tmp_path):
    def fail():
        with whole(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").write_text("good")
    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert (tmp_path / "a").read_text() == "good"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot write .*; choose a folder that can be written to"),
        whole(tmp_path / "file" / "a"),
    ):
        pass
    with (
        pytest.raises(InputError, match="cannot write .*; choose a folder that can be written to"),
        exclusive(tmp_path / "file" / "a"),
    ):
        pass
    with pytest.raises(InputError, match="expected weights, found no such file"):
        existing(tmp_path, "weights")


def test_one_process_at_a_time(tmp_path):
    """A second process waits, and a dead one holds nothing."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom flowsim.files.atomic import exclusive\n"
        "with exclusive(Path('a')):\n    sys.exit(not Path('done').exists())"
    )
    with exclusive(tmp_path / "a"):
        child = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"another process is making a; waiting for it to end\n"
        (tmp_path / "done").write_text("")
    assert child.wait(60) == 0
    child.stdout.close()


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


def test_results_of_another_analysis_are_refused(tmp_path):
    one = xr.Dataset({"mse": ("ahead", np.ones(3))})
    netcdf.write(one, tmp_path / "a.h5", {"stage": "analysis", "specification": '{"analysis": "theirs"}'})
    with pytest.raises(InputError, match="expected results of mine; these are of theirs"):
        side_by_side([tmp_path / "a.h5"], "mine")


def test_chunks_are_about_a_megabyte():
    sizes = {"trial": 4096, "time": 24, "y": 16, "x": 16}
    assert netcdf.chunks(sizes, 4) == (42, 24, 16, 16)
    assert netcdf.chunks({"flow": 9, "trial": 64, "time": 20, "velocity": 25, "channel": 128, "y": 28, "x": 28}, 4) == (
        1, 1, 1, 25, 128, 28, 28,
    )  # fmt: skip
