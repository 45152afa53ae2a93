"""On a cluster of dask, results are those of one process to the bit, and a cluster that fails is told in a line."""

import inspect
import os
import resource
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import flowsim
from flowsim import build, ideas, open_recording, record
from flowsim.__main__ import main
from flowsim.errors import ClusterFailed
from flowsim.files import coordinates
from flowsim.measures import block_map, dask_cluster
from flowsim.measures.block_map import mapped
from flowsim.measures.dask_cluster import client_of_cluster, computing_at
from stimuli import moving_digits
from tests.known.results import DRAWS

distributed = pytest.importorskip("distributed", reason="distributed is not installed")
BY_BLOCKS = ("equivariance_error", "linear_decoding", "representational_similarity", "velocity_readout")
HERE = sys.modules[__name__]
"""Workers cannot import this file, so that its functions are sent to them."""


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each a process of one thread."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as made:
        yield made


@pytest.fixture(scope="module")
def address(cluster):
    return cluster.scheduler_address


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A recording of a network with nine velocities."""
    torch.manual_seed(0)
    network = build("fernn", (9, 8), max_speed=1, channels=3, decoder_layers=1)
    made = moving_digits.generate("probe", np.random.default_rng(0), height=9, width=8, trials=6, frames=6)
    into = tmp_path_factory.mktemp("recorded") / "probe.h5"
    record(network, made, into)
    return into


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(block_map, "BLOCK_BYTES", 2**14)
    monkeypatch.setattr(block_map, "CHUNK_BYTES", 2**14)


@pytest.mark.parametrize("name", BY_BLOCKS)
def test_results_are_the_same_to_the_bit(name, file, address, small_blocks):
    analysis = ideas.load("analysis", name)
    few = {draw: 10 for draw in DRAWS if draw in inspect.signature(analysis.analyse).parameters}
    with open_recording(file) as recording:
        here = analysis.analyse(recording, **few).compute()
        with computing_at(address, file):
            there = analysis.analyse(recording, **few).compute()
    xr.testing.assert_identical(there, here)


def where(block, place):
    return os.getpid(), float(block.sum())


def test_both_workers_compute_and_this_process_does_not(file, address, small_blocks):
    with open_recording(file) as recording:
        assert client_of_cluster() is None
        with computing_at(address, file, HERE):
            found = [answer for _, answer in mapped(recording.state, where)]
            assert client_of_cluster() is not None
        assert client_of_cluster() is None
        assert len(found) > 16  # the blocks of more than one batch
        processes = {process for process, _ in found}
        assert len(processes) == 2
        assert os.getpid() not in processes
        here = list(mapped(recording.state, where))
        assert {process for _, (process, _) in here} == {os.getpid()}
        assert [total for _, (_, total) in here] == [total for _, total in found]


def test_an_open_client_is_used_as_it_is(file, cluster, small_blocks):
    with distributed.Client(cluster) as client, open_recording(file) as recording:
        assert client_of_cluster() is client
        assert os.getpid() not in {process for _, (process, _) in mapped(recording.state, where)}


def killed_once(block, place, *, marker):
    if not os.path.exists(marker):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return float(block.sum())


def test_a_worker_that_is_killed_costs_nothing(file, address, small_blocks, tmp_path):
    marker = str(tmp_path / "killed")
    with open_recording(file) as recording:
        with computing_at(address, file, HERE):
            there = list(mapped(recording.state, partial(killed_once, marker=marker)))
        assert os.path.exists(marker)
        assert there == list(mapped(recording.state, partial(killed_once, marker=marker)))


def killed(block, place):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_block_that_kills_every_worker_is_told(file, cluster, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    with (
        open_recording(file) as recording,
        pytest.raises(ClusterFailed, match="workers that live; 1 died at the same block.*more memory"),
        computing_at(cluster.scheduler_address, file, HERE),
    ):
        list(mapped(recording.state, killed))


def test_a_damaged_recording_is_told_by_the_worker(file, address, tmp_path, small_blocks, capsys):
    """A worker reads the seal of the file again, and compares what it reads with it."""
    import h5py

    monkey = pytest.MonkeyPatch()
    monkey.setattr("flowsim.files.hdf5_chunks.LARGE", 0)
    with open_recording(file) as recording:
        from flowsim.files import netcdf

        netcdf.write(recording.load(), tmp_path / "bad.h5", {})
    monkey.undo()
    content = bytearray((tmp_path / "bad.h5").read_bytes())
    with h5py.File(tmp_path / "bad.h5") as opened:
        place = opened["state"].id.get_chunk_info(0).byte_offset
    content[place + 4 : place + 24] = b"\xff" * 20
    (tmp_path / "bad.h5").write_bytes(content)
    command = ["analyse", "equivariance_error", "--recording", str(tmp_path / "bad.h5")]
    assert main([*command, "--scheduler", address, "--into", str(tmp_path / "a.h5")]) == 2
    assert "bad.h5: state is not what was written; the file is damaged" in capsys.readouterr().err
    assert not (tmp_path / "a.h5").exists()


def test_the_command_writes_the_same_results(file, address, tmp_path):
    command = ["analyse", "equivariance_error", "--recording", str(file)]
    assert main([*command, "--into", str(tmp_path / "here.h5")]) == 0
    assert main([*command, "--scheduler", address, "--into", str(tmp_path / "there.h5")]) == 0
    with xr.open_dataset(tmp_path / "here.h5") as here, xr.open_dataset(tmp_path / "there.h5") as there:
        xr.testing.assert_identical(here, there)  # with all attributes: where it was computed is none of them


OWN = '''
"""How large is the state?"""
from flowsim.measures.block_map import mapped

READS = "probe"

def size(block, place):
    return float((block**2).sum())

def analyse(recording):
    import xarray as xr
    return xr.Dataset({"size": sum(part for _, part in mapped(recording.state, size))})

def figure(results):
    raise NotImplementedError
'''


def test_an_analysis_of_the_users_own_is_sent_to_workers(file, address, tmp_path, monkeypatch):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "size_of_state.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    command = ["analyse", "size_of_state", "--recording", str(file), "--scheduler", address, "--into", "a.h5"]
    assert main(command) == 0
    with xr.open_dataset("a.h5") as results, open_recording(file) as recording:
        np.testing.assert_allclose(results.size, (recording.state**2).sum(), rtol=1e-5)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(dask_cluster, "ANSWERS_WITHIN", 0.5)
    monkeypatch.setattr(dask_cluster, "WORKS_WITHIN", 0.3)


@pytest.fixture
def silent():
    """The address of somebody who takes calls and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("node1", "missing port number"),
        ("", "missing port number"),
        ("http://node1:8786", "unknown address scheme 'http'"),
        ("tls://127.0.0.1:9", "TLS"),
        ("tcp://127.0.0.1:9", "nothing answered"),
        ("silent", "nothing answered"),
        ("worker", "a worker answered"),
    ],
)
def test_a_bad_address_is_one_line_and_nothing_is_left(
    wrong, why, file, cluster, silent, impatient, tmp_path, capsys
):
    wrong = {"silent": silent, "worker": next(iter(cluster.scheduler.workers))}.get(wrong, wrong)
    command = ["analyse", "equivariance_error", "--recording", str(file)]
    assert main([*command, "--scheduler", wrong, "--into", str(tmp_path / "a.h5")]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert f"--scheduler {wrong}: expected the address of a dask scheduler" in last
    assert why in last
    assert not [*tmp_path.iterdir()]


def told(match, address, path):
    with pytest.raises(ClusterFailed, match=match), computing_at(address, path):
        pass


def test_a_cluster_without_workers(file, impatient):
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0", processes=False) as empty:
        monkey = pytest.MonkeyPatch()
        monkey.setattr(dask_cluster, "ANSWERS_WITHIN", 10)
        told(
            "expected a worker within 0 s; it has none. Start one: dask worker", empty.scheduler_address, file
        )
        monkey.undo()


def test_workers_that_do_not_see_the_recording(address, tmp_path):
    told("expected workers that see /.*/a.h5; tcp.* does not. Put it", address, tmp_path / "a.h5")


def test_workers_with_another_flowsim(file, address, monkeypatch):
    monkeypatch.setattr(flowsim, "__version__", "0.0.0")
    told(r"expected flowsim 0.0.0 in every worker; tcp.* has ", address, file)


def test_workers_without_flowsim(file, address, monkeypatch):
    def lacking(path):
        raise ModuleNotFoundError("No module named 'flowsim'")

    monkeypatch.setattr(dask_cluster, "_version_and_sight", lacking)
    told("expected workers in the environment of this command; No module named 'flowsim'", address, file)


def test_without_the_package(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    told("expected the package distributed, which is not installed; pip install", "tcp://a:1", file)


def slow(block, place):
    import time

    time.sleep(60)


@pytest.mark.slow
def test_a_cluster_that_is_lost(file):
    lost = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    )
    threading.Timer(2, lost.close).start()
    with (
        open_recording(file) as recording,
        pytest.raises(ClusterFailed, match="there until the end; the connection was lost. Start it again"),
        computing_at(lost.scheduler_address, file, HERE),
    ):
        list(mapped(recording.state, slow))


def peak(block, place):
    """The largest memory of this process until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.slow
def test_memory_of_a_worker_is_that_of_few_blocks(address, tmp_path):
    """While the recording is far larger."""
    values = np.random.default_rng(0).random((1, 64, 1, 2**21), np.float32)
    recording = xr.Dataset({"state": (coordinates.UNITS, values)})
    chunks = {"state": {"chunksizes": (1, 1, 1, 2**18)}}
    recording.to_netcdf(tmp_path / "large.h5", engine="h5netcdf", encoding=chunks)
    with (
        xr.open_dataset(tmp_path / "large.h5", engine="h5netcdf", chunks={}) as large,
        computing_at(address, tmp_path / "large.h5", HERE),
    ):
        peaks = [answer for _, answer in mapped(large.state, peak)]
    assert max(peaks[4:]) - max(peaks[:4]) < 4 * block_map.BLOCK_BYTES < values.nbytes / 3
