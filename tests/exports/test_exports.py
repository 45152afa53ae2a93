"""Every export holds what the recording holds, under the names that its readers expect, and is whole or not
at all.
"""

import json
import subprocess
import sys
from shutil import which

import h5py
import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import InputError, Site, build, open_recording, record
from flowsim.__main__ import main
from flowsim.exports.as_assembly import to_assembly, write_assembly
from flowsim.exports.as_numpy import to_numpy
from flowsim.exports.as_nwb import to_nwb
from flowsim.exports.as_rsatoolbox import to_rsatoolbox, write_rsatoolbox
from flowsim.exports.common import stimulus_set
from flowsim.exports.population import Population, columns
from flowsim.files import netcdf
from flowsim.files.pieces import pieces
from stimuli import moving_digits

INPUTS = {"models/a.pt": "weights", "stimuli/probe.h5": "shown"}
SITES = ("state", "prediction", "logits")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A recording with everything: flows, objects, text, truth that changes in time, every site, thinned in
    time.
    """
    probe = moving_digits.generate("probe", np.random.default_rng(0), height=9, width=8, trials=3, frames=6)
    probe = probe.assign_coords(
        kind=("trial", ["früh", "spät", "spät"]), phase=("time", np.arange(6.0)), drift=(("trial", "time"), np.zeros((3, 6)))
    )  # fmt: skip
    torch.manual_seed(0)
    network = build("fernn", (9, 8), max_speed=1, channels=2, decoder_layers=1, classes=4)
    path = tmp_path_factory.mktemp("recording") / "probe.h5"
    attrs = {"stage": "recording", "network": "fernn", "seed": "3", "inputs": json.dumps(INPUTS)}
    record(network, probe, path, sites=SITES, every=2, attrs=attrs)
    return path


@pytest.fixture(scope="module")
def recording(file):
    with open_recording(file) as opened:
        yield opened


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    """A GRU, two of whose outputs are recorded, one of them by a random subset of units."""
    shown = moving_digits.generate("test", np.random.default_rng(0), height=9, width=8, trials=2, frames=4)
    torch.manual_seed(0)
    site = Site("", axes=("trial", "time", "unit"), index=(0,))
    path = tmp_path_factory.mktemp("hooked") / "gru.h5"
    sites = {"state": site, "hidden": site}
    record(torch.nn.GRU(72, 7, batch_first=True), shown, path, sites=sites, units={"count": 3, "seed": 1})
    with open_recording(path) as opened:
        yield opened


# ---- populations and pieces


@pytest.mark.parametrize("most", [1, 8, 100, 3 * 7 * 8, 10**6])
def test_pieces_are_all_of_an_array_in_order(most, tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 5, 7))
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        stored = h5.create_dataset("a", data=values, chunks=(1, 2, 7))
        for array in (values, stored, xr.DataArray(values).chunk({"dim_1": 2}).data):
            found = list(pieces(array, most))
            assert all(piece.nbytes <= max(most, 8) for piece in found)
            assert np.concatenate([piece.ravel() for piece in found]).tolist() == values.ravel().tolist()
    assert [piece.tolist() for piece in pieces(np.float64(3))] == [[3]]
    assert list(pieces(np.zeros((0, 4)))) == []


def test_a_population_keeps_order_and_chunks(recording):
    of = Population(recording, "state")
    values = of.at(None)
    assert values.dims == ("presentation", "unit", "time")
    expected = recording.state.transpose("flow", "trial", "velocity", "channel", "y", "x", "time")
    np.testing.assert_array_equal(values, expected.values.reshape(27, -1, 3))
    assert set(values.chunks[0]) <= set(recording.state.chunksizes["trial"])
    assert list(of.units) == ["velocity_vy", "velocity_vx", "channel", "y", "x"]
    assert of.model == "fernn-seed3"


def test_units_of_other_networks(hooked):
    """A subset says where its units were; names do not begin with that of the site."""
    of = Population(hooked, "hidden")
    assert list(of.units) == ["unit"]
    np.testing.assert_array_equal(of.units["unit"], hooked.hidden_unit_unit)
    assert of.at(0).shape == (2, 3)
    assert of.model == "network"


# ---- numpy


def test_numpy_holds_everything(recording, tmp_path):
    to_numpy(recording, tmp_path / "a.npz")
    to_numpy(recording, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as held:
        assert set(held) == {*map(str, recording.variables), "dimensions", "attributes"}
        for name in ("state", "prediction", "frames", "flow_vy", "object_label"):
            np.testing.assert_array_equal(held[name], recording[name])
            assert json.loads(str(held["dimensions"]))[name] == list(recording[name].dims)
        assert held["kind"].tolist() == ["früh", "spät", "spät"]
        attributes = json.loads(str(held["attributes"]))
    assert attributes["state"]["law"] == "transport+shift"
    assert attributes[""]["network"] == "fernn"
    assert not [name for name in attributes[""] if name.startswith("checksum_")]


# ---- Brain-Score


def test_an_assembly_says_of_every_value_what_it_is(recording, rng):
    assembly = to_assembly(recording)
    assert assembly.dims == ("presentation", "neuroid", "time_bin")
    assert assembly.chunks is not None
    for _ in range(50):
        at = assembly[tuple(rng.integers(assembly.shape))].compute()
        where = {}
        for dim in ("flow", "velocity"):
            own = [(recording[f"{dim}_{c}"] == float(at[f"{dim}_{c}"])).values for c in ("vy", "vx")]
            where[dim] = int((own[0] & own[1]).argmax())
        assert where["flow"] == at.flow
        where |= {
            "trial": int(at.trial),
            "channel": int(at.channel),
            "y": int(at.channel_y),
            "x": int(at.channel_x),
        }
        assert at == recording.state[where].sel(time=int(at.time_bin_start))
        assert at.object_label_1 == recording.object_label[int(at.trial), 1]
        assert at.kind == recording.kind[int(at.trial)]
        assert at.neuroid_id == f"fernn-seed3.state.{int(at.neuroid_num)}"
    assert assembly.stimulus_id.values.tolist()[:4] == [
        "flow0-trial0",
        "flow0-trial1",
        "flow0-trial2",
        "flow1-trial0",
    ]
    assert len(set(assembly.stimulus_id.values)) == 27
    np.testing.assert_array_equal(assembly.image_id, assembly.stimulus_id)
    assert assembly.time_bin_end.values.tolist() == [1, 3, 5]
    assert "drift" not in assembly.coords
    assert assembly.attrs["stimulus_set_identifier"] == stimulus_set(recording) == "shown"
    assert assembly.attrs["law"] == "transport+shift"


def test_an_assembly_can_be_indexed_as_brain_score_does(recording):
    """`NeuroidAssembly` gathers all coordinates of a dimension into one MultiIndex."""
    assembly = to_assembly(recording, time=2).compute()
    assert assembly.dims == ("presentation", "neuroid")
    names = {d: [n for n, c in assembly.coords.items() if c.dims == (d,)] for d in assembly.dims}
    gathered = assembly.set_index(names, append=True)
    chosen = gathered.sel(neuroid=gathered.channel_y == 3)
    np.testing.assert_array_equal(chosen, recording.state.sel(time=2).isel(y=3).values.reshape(27, -1))


def test_one_time_or_the_mean(recording):
    state = recording.state.values.reshape(9, 3, 3, -1)
    np.testing.assert_array_equal(to_assembly(recording, time=4), state[:, :, 2].reshape(27, -1))
    np.testing.assert_allclose(to_assembly(recording, time="mean"), state.mean(2).reshape(27, -1), atol=1e-6)
    predicted = recording.prediction.values.reshape(27, 3, -1)
    mean = to_assembly(recording, "prediction", time="mean").values
    np.testing.assert_allclose(mean, predicted[:, 1:].mean(1), atol=1e-6)  # there is none of the first frame
    half = recording.assign(state=recording.state.astype("float16"))
    assert to_assembly(half, time="mean").dtype == np.float32


def test_an_assembly_is_written_as_netcdf(recording, tmp_path):
    assembly = to_assembly(recording)
    write_assembly(assembly, tmp_path / "a.nc")
    with xr.open_dataarray(tmp_path / "a.nc", engine="h5netcdf") as read:
        xr.testing.assert_equal(read.load(), assembly.compute())
        assert read.name == "state"
        assert read.attrs["network"] == "fernn"


# ---- rsatoolbox


def test_arguments_of_rsatoolbox_are_plain(recording):
    arguments = to_rsatoolbox(recording, time=2)
    assert arguments["measurements"].shape == (27, 9 * 2 * 9 * 8)
    assert "time_descriptors" not in arguments
    assert all(type(v) is np.ndarray and len(v) == 27 for v in arguments["obs_descriptors"].values())
    assert all(len(v) == 1296 for v in arguments["channel_descriptors"].values())
    assert arguments["descriptors"]["law"] == "transport+shift"
    assert to_rsatoolbox(recording)["time_descriptors"]["time"].tolist() == [0, 2, 4]


@pytest.mark.parametrize("site", SITES)
def test_rsatoolbox_takes_them(recording, site, tmp_path):
    rsatoolbox = pytest.importorskip("rsatoolbox", reason="rsatoolbox is not installed")
    one = rsatoolbox.data.Dataset(**to_rsatoolbox(recording, site, time=2))
    rdm = rsatoolbox.rdm.calc_rdm(one, method="euclidean", descriptor="stimulus")
    values = recording[site].sel(time=2).values.reshape(27, -1)
    distance = ((values[0] - values[5]) ** 2).mean()
    names = rdm.pattern_descriptors["stimulus"]
    i, j = (list(names).index(f"flow{f}-trial{t}") for f, t in ((0, 0), (1, 2)))
    assert rdm.get_matrices()[0, i, j] == pytest.approx(distance, rel=1e-4)
    ascii_only = recording.drop_vars("kind")
    write_rsatoolbox(to_rsatoolbox(ascii_only, site), tmp_path / "a.h5")
    read = rsatoolbox.data.load_dataset(str(tmp_path / "a.h5"))
    expected = rsatoolbox.data.TemporalDataset(**to_rsatoolbox(ascii_only, site))
    np.testing.assert_array_equal(read.measurements, expected.measurements)
    for of in (read, expected):  # NaN, where there is no prediction, is not equal to itself
        of.measurements = np.nan_to_num(of.measurements)
    assert read == expected


def test_rsatoolbox_writes_ascii(recording, tmp_path):
    pytest.importorskip("rsatoolbox", reason="rsatoolbox is not installed")
    with pytest.raises(
        InputError, match="kind holds text beyond ASCII, which files of rsatoolbox cannot; drop it"
    ):
        write_rsatoolbox(to_rsatoolbox(recording), tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


# ---- NWB


@pytest.fixture(scope="module")
def pynwb():
    return pytest.importorskip("pynwb", reason="pynwb is not installed")


@pytest.fixture(scope="module")
def nwb(pynwb, recording, tmp_path_factory):
    """The recording as NWB, at 10 frames per second: a path."""
    path = tmp_path_factory.mktemp("nwb") / "a.nwb"
    to_nwb(recording, path, rate=10)
    return path


def test_the_validator_of_pynwb_passes(pynwb, nwb):
    assert pynwb.validate(path=str(nwb)) == []


def test_nwb_is_one_session_of_trials(pynwb, nwb, recording):
    with pynwb.NWBHDF5IO(str(nwb), "r") as io:
        session = io.read()
        trials = session.trials.to_dataframe()
        state = session.acquisition["state"]
        assert state.rate == 5  # every second of 10 frames per second
        assert len(trials) == 27
        assert trials.stop_time.iloc[-1] == pytest.approx(len(state.data) / state.rate)
        for row in (0, 4, 26):
            flow, trial = divmod(row, 3)
            start = round(trials.start_time[row] * state.rate)
            expected = recording.state[flow, trial].values.reshape(3, -1)
            np.testing.assert_array_equal(state.data[start : start + 3], expected)
            assert trials.flow_vx[row] == recording.flow_vx[flow]
            assert (
                trials.object_velocity_vy[row].tolist() == recording.object_velocity_vy[trial].values.tolist()
            )
            assert trials.kind[row] == recording.kind[trial]
            assert trials.drift[row].shape == (3,)
        assert "transport+shift" in state.description
        assert json.loads(session.notes)["network"] == "fernn"
        assert session.subject.subject_id == "fernn-seed3"


def test_nwb_says_what_each_unit_is(pynwb, nwb, recording, rng):
    with pynwb.NWBHDF5IO(str(nwb), "r") as io:
        session = io.read()
        units = session.processing["units"]["state_units"].to_dataframe()
        assert list(units) == ["velocity_vy", "velocity_vx", "channel", "y", "x"]
        for column in rng.integers(len(units), size=20):
            row = units.iloc[column]
            velocity = (recording.velocity_vy == row.velocity_vy) & (recording.velocity_vx == row.velocity_vx)
            place = {
                "velocity": int(velocity.values.argmax()),
                **{a: int(row[a]) for a in ("channel", "y", "x")},
            }
            values = recording.state[place].values.ravel()
            np.testing.assert_array_equal(session.acquisition["state"].data[:, column], values)
        assert session.processing["units"]["logits_units"].to_dataframe()["class"].tolist() == [0, 1, 2, 3]


def test_nwb_images_are_time_x_y(pynwb, nwb, recording):
    with pynwb.NWBHDF5IO(str(nwb), "r") as io:
        session = io.read()
        frames, predicted = session.stimulus["frames"], session.acquisition["prediction"]
        assert frames.dimension[:].tolist() == [8, 9]
        np.testing.assert_array_equal(frames.data, recording.frames.values.reshape(-1, 9, 8).swapaxes(1, 2))
        np.testing.assert_array_equal(
            predicted.data, recording.prediction.values.reshape(-1, 9, 8).swapaxes(1, 2)
        )


def test_nwb_of_chosen_sites_in_small_pieces_and_half_precision(pynwb, recording, tmp_path, monkeypatch):
    monkeypatch.setattr("flowsim.exports.as_nwb.PIECE_BYTES", 1)
    monkeypatch.setattr("flowsim.exports.as_nwb.CHUNK_BYTES", 1000)  # less than one frame's units
    half = recording.assign(state=recording.state.astype("float16"))
    to_nwb(half, tmp_path / "a.nwb", only=["state"])
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    with h5py.File(tmp_path / "a.nwb") as h5:
        assert set(h5["acquisition"]) == {"state"}
        assert not list(h5["stimulus/presentation"])
        stored = h5["acquisition/state/data"]
        assert stored.dtype == np.float32
        assert stored.chunks == (1, 250)
        np.testing.assert_array_equal(stored, half.state.values.reshape(81, -1))


def test_nwb_of_other_networks(pynwb, hooked, tmp_path):
    taken = hooked.assign_coords(id=("trial", [5, 6]), name=("trial", ["a", "b"]))
    to_nwb(taken, tmp_path / "a.nwb")
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    with h5py.File(tmp_path / "a.nwb") as h5:
        np.testing.assert_array_equal(h5["acquisition/hidden/data"], hooked.hidden.values.reshape(8, 3))
        np.testing.assert_array_equal(h5["processing/units/hidden_units/unit"], hooked.hidden_unit_unit)
        assert h5["intervals/trials/id_"][:].tolist() == [5, 6]


# ---- what can go wrong


def test_mistakes_in_python(recording, tmp_path, monkeypatch):
    several = xr.concat([recording, recording], "run", data_vars="all")
    for ask, message in (
        (lambda: to_assembly(several), r"expected one recording; got 2 along run. Choose: isel\(run=0\)"),
        (lambda: to_assembly(recording, "retina"), "expected the recording to hold 'retina'; it holds frames, state"),
        (lambda: to_assembly(recording.assign(c=("checkpoint", [1.0])), "c"), r"expected a site over \(flow, trial, time, ...\), one of: frames, .*; c is over \(checkpoint\)"),
        (lambda: to_rsatoolbox(recording, time=1), "frame 1 was not recorded; expected mean, or one of 0, 2, 4"),
        (lambda: to_nwb(recording, tmp_path / "a.nwb", rate=0), "expected a rate above 0 frames per second; got 0"),
        (lambda: to_nwb(recording[["flow_vy"]], tmp_path / "a.nwb"), "expected a recording with some site"),
        (lambda: to_nwb(recording.assign_coords(time=[0, 1, 4]), tmp_path / "a.nwb"), r"expected recorded frames at equal steps; got \[0, 1, 4\]"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            ask()
    monkeypatch.setitem(sys.modules, "pynwb", None)
    monkeypatch.setitem(sys.modules, "rsatoolbox.data", None)
    with pytest.raises(InputError, match=r'to write NWB, install pynwb: pip install "flowsim\[nwb\]"'):
        to_nwb(recording, tmp_path / "a.nwb")
    with pytest.raises(InputError, match=r'install it: pip install "flowsim\[rsa\]"'):
        write_rsatoolbox(to_rsatoolbox(recording), tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


EXPORTS = {
    "a.npz": to_numpy,
    "a.nwb": to_nwb,
    "a.nc": lambda recording, into: write_assembly(to_assembly(recording), into),
    "a.h5": lambda recording, into: write_rsatoolbox(to_rsatoolbox(recording.drop_vars("kind")), into),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_full_disk_is_foreseen(name, recording, tmp_path, monkeypatch):
    pytest.importorskip({"a.nwb": "pynwb", "a.h5": "rsatoolbox"}.get(name, "numpy"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(
        InputError, match="the export may need [0-9]+ MB, the disk has 0 MB free; export one site"
    ):
        EXPORTS[name](recording, tmp_path / "new" / name)
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("name", ["a.npz", "a.nwb"])
def test_what_is_incomplete_does_not_appear(name, recording, tmp_path, monkeypatch):
    pytest.importorskip({"a.nwb": "pynwb"}.get(name, "numpy"))
    for module in ("common", "as_nwb"):
        monkeypatch.setattr(f"flowsim.exports.{module}.pieces", lambda *_: iter(()))
    with pytest.raises(OSError, match="was not written completely"):
        EXPORTS[name](recording, tmp_path / name)
    assert not list(tmp_path.iterdir())


# ---- the command


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.mark.parametrize(
    ("form", "name", "more"),
    [("numpy", "a.npz", ()), ("numpy", "a.npz", ("--site", "logits")), ("assembly", "a.nc", ("--time", 2)),
     ("assembly", "a.h5", ("--site", "prediction", "--time", "mean")), ("nwb", "a.nwb", ("--rate", 30)),
     ("nwb", "a.nwb", ("--site", "logits")), ("rsatoolbox", "a.hdf5", ("--site", "logits"))],
)  # fmt: skip
def test_the_command_exports(form, name, more, file, recording, tmp_path, capsys):
    pytest.importorskip({"nwb": "pynwb", "rsatoolbox": "rsatoolbox"}.get(form, "numpy"))
    if form == "rsatoolbox":  # whose files hold no text but ASCII
        file = tmp_path / "ascii.h5"
        netcdf.write(recording.drop_vars("kind"), file, {})
    assert run("export", file, "--as", form, *more, "--into", tmp_path / name) == 0
    assert f"wrote {tmp_path / name}: 0." in capsys.readouterr().err
    assert run("inspect", tmp_path / name, "--check") == 0
    told = capsys.readouterr().out
    assert f"as {form}" in told
    assert f"{file}, sha256 " in told
    assert ", unchanged" in told
    assert "stimuli/probe.h5, sha256 shown" in told
    if form == "assembly":
        with xr.open_dataarray(tmp_path / name, engine="h5netcdf") as read:
            assert read.attrs["stimulus_set_identifier"] == "shown"
            assert read.attrs["stage"] == "export"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{file}", "--as", "nwb", "--into", "{at}/a.h5"], "--into: expected a file ending in .nwb; got"),
        (["{file}", "--as", "assembly", "--into", "{at}/a.npz"], "--into: expected a file ending in .nc or .h5; got"),
        (["{file}", "--as", "numpy", "--time", "2", "--into", "{at}/a.npz"], "--time is for assembly and rsatoolbox; leave it out of an export as numpy"),
        (["{file}", "--as", "nwb", "--rate", "0", "--into", "{at}/a.nwb"], "expected a rate above 0 frames per second; got 0.0"),
        (["{file}", "--as", "assembly", "--rate", "2", "--into", "{at}/a.nc"], "--rate is for nwb; leave it out"),
        (["{file}", "--as", "assembly", "--time", "late", "--into", "{at}/a.nc"], "--time: expected a frame, counted from 0, or mean; got 'late'"),
        (["{file}", "--as", "numpy", "--site", "retina", "--into", "{at}/a.npz"], "expected the recording to hold 'retina'"),
        (["{at}/none.h5", "--as", "numpy", "--into", "{at}/a.npz"], "none.h5: expected a file of stage recording, found no such file"),
        (["{flipped}", "--as", "numpy", "--into", "{at}/a.npz"], "flipped.h5: expected a whole HDF5 file, but it cannot be read"),
        (["{flipped}", "--as", "nwb", "--into", "{at}/a.nwb"], "flipped.h5: expected a whole HDF5 file, but it cannot be read"),
        (["{flipped}", "--as", "assembly", "--into", "{at}/a.nc"], "flipped.h5: expected a whole HDF5 file, but it cannot be read"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(arguments, message, file, tmp_path, tmp_path_factory, capsys):
    pytest.importorskip("pynwb", reason="pynwb is not installed")
    damaged = tmp_path_factory.mktemp("damaged") / "flipped.h5"
    with h5py.File(file) as h5:
        chunk = h5["state"].id.get_chunk_info(5)
    content = bytearray(file.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    damaged.write_bytes(content)
    places = {"{file}": str(file), "{at}": str(tmp_path), "{flipped}": str(damaged)}
    for short, long in places.items():
        arguments = [a.replace(short, long) for a in arguments]
    assert run("export", *arguments) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("flowsim export: error: ")
    assert message in last
    assert not [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")]


def test_a_disk_that_fills_up_is_told(file, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError("[Errno 28] No space left on device")

    monkeypatch.setattr("flowsim.exports.common.pieces", full)
    assert run("export", file, "--as", "numpy", "--into", tmp_path / "a.npz") == 2
    assert "error: the disk is full; make room, or export one site" in capsys.readouterr().err
    monkeypatch.setattr("flowsim.exports.common.pieces", lambda *_: [][0])
    with pytest.raises(IndexError):
        run("export", file, "--as", "numpy", "--into", tmp_path / "a.npz")


def test_help_says_what_is_read_and_written(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    assert "Reads a recording; writes NWB" in " ".join(capsys.readouterr().out.split())


# ---- as it is


@pytest.fixture(scope="module")
def stimulus(tmp_path_factory):
    path = tmp_path_factory.mktemp("stimulus") / "sweep.h5"
    made = moving_digits.generate("sweep", np.random.default_rng(0), height=9, width=8, trials=1, frames=3)
    netcdf.write(made, path, {"stage": "stimulus"})
    return path


@pytest.mark.parametrize("what", ["stimulus", "file"])
def test_matlab_reads_the_files_as_they_are(what, request):
    """Numbers are integers or single or double precision, texts are texts, and nothing is a reference or
    compound.
    """
    with h5py.File(request.getfixturevalue(what)) as h5:
        assert all(isinstance(item, h5py.Dataset) for item in h5.values())  # no groups
        for name, stored in h5.items():
            assert stored.dtype.kind in "iuf" or h5py.check_string_dtype(stored.dtype), name
            assert stored.dtype.kind != "f" or stored.dtype.itemsize in (4, 8), name
            assert stored.compression in (None, "gzip"), name
            own = set(stored.attrs) - {"DIMENSION_LIST", "REFERENCE_LIST"}  # of netCDF's dimensions
            assert not [a for a in own if h5py.check_ref_dtype(stored.attrs.get_id(a).dtype)], name


@pytest.mark.parametrize("what", ["stimulus", "file"])
def test_ncdump_reads_the_files_as_they_are(what, request):
    if which("ncdump") is None:
        pytest.skip("ncdump (Debian: netcdf-bin) is not installed")
    path = request.getfixturevalue(what)
    header = subprocess.run(["ncdump", "-h", path], capture_output=True, text=True, check=True).stdout
    with xr.open_dataset(path, engine="h5netcdf") as opened:
        for name, size in opened.sizes.items():
            assert f"\t{name} = {size} ;" in header
        for name, values in opened.variables.items():
            assert f" {name}({', '.join(map(str, values.dims))}) ;" in header
        labels = opened["label" if what == "stimulus" else "object_label"]
        text = subprocess.run(
            ["ncdump", "-v", labels.name, path], capture_output=True, text=True, check=True
        ).stdout
        values = text.rpartition(f"{labels.name} =")[2].replace(";", ",").split("}")[0].split(",")
        assert [int(v) for v in values if v.strip()] == labels.values.ravel().tolist()


def test_columns_are_vectors(recording):
    found = columns(Population(recording, "state").presentations)
    assert all(values.ndim == 1 for values in found.values())
    assert {"object_velocity_vy_0", "object_velocity_vy_1", "kind", "flow", "trial"} <= set(found)


def test_states_that_are_units_are_exported_too(fernn, probe, tmp_path):
    """As those of a GRU, or a subset of any."""
    record(fernn, probe, tmp_path / "a.h5", sites=["state"], units={"count": 7})
    recording = open_recording(tmp_path / "a.h5")
    assembly = to_assembly(recording)
    assert assembly.sizes["neuroid"] == 7
    np.testing.assert_array_equal(np.sort(assembly.values.ravel()), np.sort(recording.state.values.ravel()))
    assert len(to_rsatoolbox(recording, time=2)["measurements"]) == 27
