"""No two commands have the same GPU, unless there are fewer than commands; then one waits."""

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from flowsim import InputError
from flowsim.training import free_gpu
from flowsim.training.devices import pick_device

TAKES = """
import sys
from pathlib import Path
from flowsim.training.free_gpu import take
print(take(sys.argv[2:], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def command(folder, *cards):
    """A process that takes a card and keeps it until its input ends."""
    arguments = [sys.executable, "-c", TAKES, str(folder), *cards]
    return subprocess.Popen(arguments, stdin=-1, stdout=-1, stderr=-1, text=True)


def end(process):
    process.stdin.close()
    process.wait(20)


def test_each_takes_another_card_and_gives_it_back_when_it_is_killed(tmp_path):
    """The second sees them in another order, as with CUDA_VISIBLE_DEVICES=1,0."""
    first = command(tmp_path / "locks", "a", "b")
    assert first.stdout.readline() == "0\n"
    second = command(tmp_path / "locks", "b", "a")
    assert second.stdout.readline() == "0\n"
    third = command(tmp_path / "locks", "a", "b")
    assert third.stderr.readline() == "other commands use all 2 GPUs; waiting for one\n"
    time.sleep(3 * free_gpu.EVERY)
    assert third.poll() is None
    second.kill()
    assert third.stdout.readline() == "1\n"
    for process in (first, second, third):
        end(process)


def test_who_sees_one_card_takes_that_one(tmp_path):
    first, second = command(tmp_path, "a"), command(tmp_path, "b")
    assert [process.stdout.readline() for process in (first, second)] == ["0\n", "0\n"]
    end(first)
    end(second)


def test_the_device_is_the_card_that_was_taken(tmp_path, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: SimpleNamespace(uuid=f"GPU-{n}"))
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    other = command(free_gpu.lock_of("GPU-0").parent, "GPU-0")
    assert other.stdout.readline() == "0\n"
    try:
        assert pick_device("auto:free") == torch.device("cuda:1")
        assert chosen == [torch.device("cuda:1")]
        end(other)
        assert pick_device("cuda:free") == torch.device("cuda:0")
    finally:
        for lock in free_gpu._held:
            lock.release(force=True)
        free_gpu._held.clear()


def test_without_a_gpu_there_is_none_to_take(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto:free") == pick_device("cpu:free") == torch.device("cpu")
    with pytest.raises(InputError, match="device 'cuda:free' is not on this machine"):
        pick_device("cuda:free")
    with pytest.raises(InputError, match="device 'auto:0' is not on this machine"):
        pick_device("auto:0")


def test_locks_need_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match="expected a folder for locks of GPUs that can be written to; got .*TMPDIR"
    ):
        free_gpu.take(["a"], tmp_path / "file")
