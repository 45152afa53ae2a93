"""Analyses of recordings that need not fit into memory: equal to plain ones, block by block, and telling how
far.
"""

import sys

import dask
import h5py
import numpy as np
import pytest
import torch
import xarray as xr

from analysis import equivariance_error, linear_decoding, representational_similarity
from benchmarks.speed import analyses as benchmark
from flowsim import Flow, Law, Rotation, Translation, VelocityGrid, build, open_recording, progress, record
from flowsim.__main__ import main
from flowsim.files import coordinates, netcdf
from flowsim.files.results import side_by_side
from flowsim.flows.law import LAWS
from flowsim.measures import block_map, coarse_maps, recorded
from flowsim.progress import Progress, listening, steps
from stimuli import moving_digits, rotating_digits


def plainly(recording):
    """`equivariance_error` as it is written down: squares missed (law, flow, time, velocity, channel), and the
    spread about the mean (time, velocity, channel) where laws say something.
    """
    flows, times, state = coordinates.flows(recording), recording.time.values.tolist(), recording.state
    units = state.dims == coordinates.UNITS
    grid = VelocityGrid(flows[0].group, (flows[0].velocity,)) if units else coordinates.grid(recording)
    loaded = torch.from_numpy(state.values.astype(np.float64))
    loaded = loaded[:, :, :, None, :, None, None] if units else loaded
    predicted = torch.stack(
        [
            torch.stack([law.predict(loaded[0], flow, grid, times) for flow in flows])
            for law in LAWS[: 1 if units else 4]
        ]
    )
    said = ~predicted.isnan()
    missed = (loaded - predicted).where(said, 0).square().flatten(6).sum((2, 6)).numpy()
    pixels = loaded.flatten(5)
    about = (pixels - pixels.mean((0, 1, 5), keepdim=True)).square().sum((0, 1, 5)) / len(flows)
    covered = said.flatten(6)[:, :, 0, ..., 0]
    return missed, (about * covered).numpy()


def assert_equal_to_plain(recording, rtol=1e-10):
    result = equivariance_error.analyse(recording)
    missed, scale = plainly(recorded.reference_first(recording))
    judged = result.isel(law=slice(len(missed)))
    for name, axes in (("error", (3, 4)), ("error_velocity", (2, 4)), ("error_channel", (2, 3))):
        if name in result:
            whole = scale.sum(axes)
            expected = np.sqrt(missed.sum(axes) / np.where(whole, whole, np.nan))
            expected[~scale[:, 1:].any((1, 2, 3, 4)), 0] = np.nan  # only the flow at rest is covered
            np.testing.assert_allclose(judged[name], expected, rtol=rtol, atol=1e-14)
    return result


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A recording of a network with nine velocities, several chunks a trial."""
    torch.manual_seed(0)
    network = build("fernn", (20, 18), max_speed=1, channels=24, decoder_layers=1)
    made = moving_digits.generate("probe", np.random.default_rng(0), height=20, width=18, trials=3, frames=6)
    record(network, made, tmp_path_factory.mktemp("large") / "probe.h5", sites=["state", "prediction"])
    return tmp_path_factory.getbasetemp() / "large0" / "probe.h5"


def test_errors_are_those_of_the_plain_computation(file, runs):
    with open_recording(file) as opened:
        assert len(opened.state.variable.chunksizes["time"]) > 1
        result = assert_equal_to_plain(opened)
        assert (
            float(result.error.sel(law="transport+shift").max()) < 1e-5
        )  # far from what is left of rounded squares
        assert_equal_to_plain(opened.isel(trial=[2, 0], time=slice(1, None, 2)))  # lazily chosen parts
        assert_equal_to_plain(opened.load())
    assert_equal_to_plain(runs["grnn-seed0"]["probe"])


def test_errors_of_states_with_orientations(tmp_path):
    torch.manual_seed(0)
    network = build("fernn_rotation", (12, 12), max_speed=10, channels=2, orientations=4, decoder_layers=1)
    made = rotating_digits.generate("probe", np.random.default_rng(0), trials=2, frames=3)
    made = made.isel(y=slice(2, 14), x=slice(2, 14))
    record(network, made, tmp_path / "a.h5", sites=["state"])
    with open_recording(tmp_path / "a.h5") as opened:
        assert "orientation" in opened.state.dims
        assert isinstance(coordinates.grid(opened).group, Rotation)
        assert_equal_to_plain(opened, rtol=1e-5)  # what comes in from outside is as the corners, not 0


def test_errors_of_units(file):
    with open_recording(file) as opened:
        units = opened.state.isel(y=3, x=4, velocity=0).rename(channel="unit")
        made = opened.drop_vars(["state", "velocity_vy", "velocity_vx"]).assign(state=units)
        result = assert_equal_to_plain(
            made.drop_vars([c for c in made.coords if str(c).startswith("velocity_")])
        )
    assert "error_velocity" not in result
    assert result.sizes["channel"] == 24


def test_where_the_law_is_broken(recording):
    """One velocity channel and one channel of every velocity hold something else; no partner is no number."""
    box, flows = VelocityGrid.box(Translation(), 1), [(0, 0), (1, 0)]
    still = torch.rand(1, 4, 9, 3, 5, 6, dtype=torch.float64)
    moved = torch.stack(
        [still, Law(True, True).predict(still, Flow(Translation(), (1, 0)), box).nan_to_num(nan=7.0)]
    )
    moved[1, :, :, :, 1] *= 2
    moved[1, :, :, 5] += 1
    result = equivariance_error.analyse(recording(moved.numpy(), flows, box.velocities)).sel(
        law="transport+shift"
    )
    result = result.isel(flow=1)
    assert (result.error_channel > 0.1).all()  # each has its share in the broken velocity channel
    assert float(result.error_channel[1]) == float(result.error_channel.max())
    own = result.error_velocity
    assert own.velocity.values.tolist()[:2] == ["-1, -1", "-1, 0"]
    assert own.isnull().values.tolist() == [True] * 3 + [False] * 6
    assert float(own.sel(velocity="0, 1")) == float(own.max())
    moved[1, :, :, 5] -= 1
    again = equivariance_error.analyse(recording(moved.numpy(), flows, box.velocities)).sel(
        law="transport+shift"
    )
    # p and 2 p, p from 0 to 1: p^2 is 1/3, and variances are 1/12, 4/12, and 1/16 between means
    expected = [0, np.sqrt((1 / 3) / (2.5 / 12 + 1 / 16)), 0]
    np.testing.assert_allclose(again.error_channel[1], expected, rtol=0.03, atol=1e-12)


def test_velocity_channels_of_several_networks_are_put_side_by_side(runs, tmp_path):
    for run in ("grnn-seed0", "fernn-seed0"):
        made = runs[run]["probe"]
        attrs = {"stage": "analysis", "network": made.attrs["network"], "seed": "0"}
        netcdf.write(equivariance_error.analyse(made), tmp_path / f"{run}.h5", attrs)
    both = side_by_side([tmp_path / "grnn-seed0.h5", tmp_path / "fernn-seed0.h5"], "equivariance_error")
    own = both.error_velocity.sel(law="invariant").isel(flow=1)
    assert own.notnull().sum("velocity").values.tolist() == [1, 9]
    assert bool(own.sel(velocity="0, 0").notnull().all())


def size(block, place):
    return block.shape[1:3], place["time"].stop - place["time"].start, float(block.sum())


@pytest.mark.parametrize(
    "scheduler", ["threads", "synchronous", pytest.param("processes", marks=pytest.mark.slow)]
)
def test_blocks_are_taken_once_by_the_scheduler_of_the_user(file, scheduler, monkeypatch):
    monkeypatch.setattr(block_map, "BLOCK_BYTES", 2**20)
    with open_recording(file) as opened, dask.config.set(scheduler=scheduler):
        found = list(block_map.mapped(opened.state, size))
        covered = np.zeros((3, 6))
        for place, ((trials, times), asked, _) in found:
            covered[place["trial"], place["time"]] += 1
            assert (trials, times) == (1, asked)
        assert (covered == 1).all()
        assert len(found) > 3
        total = sum(float(answer[-1]) for _, answer in found)
        assert total == pytest.approx(float(opened.state.sum()), rel=1e-4)
        result = equivariance_error.analyse(opened)
    with open_recording(file) as opened:
        xr.testing.assert_allclose(result, equivariance_error.analyse(opened.load()), rtol=1e-12, atol=0)


def test_what_is_too_much_is_thinned_and_said(file, runs, tmp_path, monkeypatch):
    with open_recording(file) as opened:
        whole = coarse_maps.coarse(opened, 3)
        assert whole.attrs == {"kept": 1}
        monkeypatch.setattr(coarse_maps, "IN_ALL", whole.nbytes // 3)
        few = coarse_maps.coarse(opened, 3, seed=1)
        assert few.nbytes <= coarse_maps.IN_ALL
        assert few.sizes["velocity"] == 9  # what laws are about stays together
        assert few.attrs == {"kept": 1 / 3, "thinned": "a random 8 of 24 channels"}
        drawn = np.sort(np.random.default_rng(1).permutation(24)[:8])
        np.testing.assert_array_equal(few, whole.isel(channel=drawn))
        for analysis in (linear_decoding, representational_similarity):
            result = analysis.analyse(opened, permutations=3)
            assert result.attrs["thinned"].startswith("a random ")
            netcdf.write(result, tmp_path / "a.h5", {"stage": "analysis", "network": "fernn", "seed": "0"})
            figure = analysis.figure(side_by_side([tmp_path / "a.h5"], analysis.__name__.split(".")[-1]))
            assert figure.get_suptitle().endswith(f", a random {float(result.kept):.2g} of channels")
            assert float(result.kept) < 1
    monkeypatch.undo()
    monkeypatch.setattr(coarse_maps, "A_FRAME", 1)
    assert coarse_maps.coarse(runs["grnn-seed0"]["probe"], 3).sizes["channel"] == 1
    monkeypatch.undo()
    result = representational_similarity.analyse(runs["grnn-seed0"]["probe"], trials=1, permutations=2)
    assert (int(result.trials), int(result.recorded_trials), float(result.kept)) == (1, 2, 1)


def test_those_who_listen_are_told(file):
    heard = []
    with open_recording(file) as opened:
        with listening(lambda *amount: heard.append(amount)):
            equivariance_error.analyse(opened)
        assert [done for done, _, _ in heard] == list(range(heard[-1][1] + 1))
        assert {unit for *_, unit in heard} == {"blocks"}
        count = len(heard)
        equivariance_error.analyse(opened)
        assert len(heard) == count
        with listening(lambda *amount: heard.append(amount)):
            linear_decoding.analyse(opened, permutations=2)
    assert {unit for *_, unit in heard} >= {"blocks", "frames (velocity)"}
    assert list(steps("ab", 2, "letters")) == ["a", "b"]


def test_a_log_has_lines_of_what_takes_long(capsys, monkeypatch):
    with Progress("slow", 1, "blocks") as bar:
        for done in range(4):
            bar.listen(done, 3, "blocks")
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(progress, "LOG_EVERY", -1)
        for amount in ((0, 3, "blocks"), (2, 3, "blocks"), (0, 5, "frames"), (5, 5, "frames")):
            bar.listen(*amount)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "slow: 0/3 blocks", "slow: 2/3 blocks", "slow: 0/5 frames", "slow: 5/5 frames"
    ]  # fmt: skip


def test_a_person_sees_a_bar(file, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    command = ["analyse", "equivariance_error", "--recording", str(file), "--into", str(tmp_path / "a.h5")]
    assert main(command) == 0
    seen = capsys.readouterr().err
    assert f"equivariance_error of {file}: 100%" in seen
    assert " blocks" in seen


@pytest.mark.slow
def test_the_benchmark_repeats_what_was_recorded(file, tmp_path, capsys):
    benchmark.repeated(file, 7, tmp_path / "long.h5")
    with open_recording(file) as own, open_recording(tmp_path / "long.h5") as long:
        assert long.sizes["trial"] == 7
        xr.testing.assert_equal(long.isel(trial=[3, 4, 5]).load(), own.isel(trial=[0, 1, 2]).load())
        np.testing.assert_array_equal(long.state[:, 6].values, own.state[:, 0].values)
        assert (long.object_label[3:6].values == own.object_label.values).all()
        np.testing.assert_allclose(equivariance_error.analyse(long.isel(trial=slice(3))).error,
                                   equivariance_error.analyse(own).error)  # fmt: skip
    row = benchmark.measured("equivariance_error", tmp_path / "long.h5")
    assert row["peak_mb"] > row["idle_mb"] > 0
    assert row["trials_read"] == 7
    table = benchmark.pd.DataFrame([{**row, "gigabytes": size, "seconds": size} for size in (1, 2)])
    benchmark.draw(table, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_a_damaged_recording_is_one_line(file, tmp_path, capsys):
    content = bytearray(file.read_bytes())
    with h5py.File(file) as opened:
        place = opened["state"].id.get_chunk_info(3).byte_offset
    content[place + 4 : place + 24] = b"\xff" * 20
    (tmp_path / "bad.h5").write_bytes(content)
    command = [
        "analyse",
        "equivariance_error",
        "--recording",
        str(tmp_path / "bad.h5"),
        "--into",
        str(tmp_path / "a.h5"),
    ]
    assert main(command) == 2
    assert "bad.h5: state is not what was written; the file is damaged" in capsys.readouterr().err
    assert not (tmp_path / "a.h5").exists()
