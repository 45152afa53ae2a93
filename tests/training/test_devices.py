"""Devices by name, freed memory that stays with the process that trains, and several processes that train like one."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from flowsim import InputError
from flowsim.scenes.sequences import Sequences
from flowsim.training.devices import hardware, keep_freed_memory, pick_device


def faults(keep):
    """Pages that the system had to give for blocks of 96 MB in all, once as many have been freed."""
    program = f"""
import resource, torch
from flowsim.training.devices import keep_freed_memory
{keep}
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(300_000) for _ in range(80)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))
    }
    command = [sys.executable, "-c", program]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=plain).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_kept():
    asked_again = faults("")
    if asked_again < 1000:
        pytest.skip("this system does not count the pages that it gives, or its C library keeps them")
    assert faults("assert keep_freed_memory()") < asked_again / 5


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert not keep_freed_memory()


def test_devices():
    assert pick_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(
            InputError, match="device 'cuda' is not on this machine; use auto or one of: .*cpu"
        ):
            pick_device("cuda")
    with pytest.raises(InputError, match="device 'tpu' is not on this machine"):
        pick_device("tpu")


def test_two_processes_train_like_one(data, tmp_path, network, fit, small):
    """By torchrun on the CPU (gloo); with a batch that splits unevenly, and float64 to see rounding only."""
    script = tmp_path / "together.py"
    script.write_text(
        "import sys, torch\n"
        "from flowsim import build\n"
        "from flowsim.scenes.sequences import Sequences\n"
        "from flowsim.training import devices\n"
        "from flowsim.training.batches import Shuffled\n"
        "from flowsim.training.settings import TrainBlock\n"
        "from flowsim.training.train import train\n"
        "data = torch.load(sys.argv[1])\n"
        "torch.manual_seed(0)\n"
        "net = build('fernn', (9, 8), max_speed=1, channels=4, decoder_layers=1).double()\n"
        "with devices.processes(torch.device('cpu')):\n"
        "    source = Shuffled(Sequences(data['train']), data['settings']['batch'], 3)\n"
        "    curve, best = train(net, TrainBlock(**data['settings']), source, Sequences(data['valid']), seed=3)\n"
        "    if devices.rank() == 0:\n"
        "        torch.save({'curve': vars(curve), 'best': best, 'count': devices.count()}, sys.argv[2])\n"
    )
    settings = small.model_copy(update={"batch": 7, "sequences": 28, "validate_every": 14})
    frames = {"train": data[0].frames.double(), "valid": data[1].frames.double()}
    torch.save({**frames, "settings": settings.model_dump()}, tmp_path / "data.pt")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    ran = subprocess.run(
        [*command, str(script), str(tmp_path / "data.pt"), str(tmp_path / "out.pt")],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    together, alone = torch.load(tmp_path / "out.pt"), network().double()
    curve, best = fit(alone, settings, (Sequences(frames["train"]), Sequences(frames["valid"])), seed=3)
    assert together["count"] == 2
    assert together["curve"]["valid_loss"] == pytest.approx(curve.valid_loss, rel=1e-12)
    for name, weight in best.items():
        torch.testing.assert_close(together["best"][name], weight, rtol=0, atol=1e-12)


def test_hardware_in_words(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    assert hardware(torch.device("cpu")) == "1 CPU thread"
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    assert hardware(torch.device("cpu")) == "4 CPU threads"
    assert hardware(torch.device("mps")) == "mps"


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    """And the one that is there is taken."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(InputError, match="'cuda:3' is not on this machine, which has 1 of that kind"):
        pick_device("cuda:3")
