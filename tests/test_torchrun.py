"""Of the processes that torchrun started on a machine, one speaks."""

import subprocess
import sys

import pytest

from flowsim import torchrun

ASKS = "from flowsim import torchrun; print(torchrun.speaks(), torchrun.speaks())"


@pytest.fixture(autouse=True)
def _as_a_new_process():
    torchrun.speaks.cache_clear()
    yield
    torchrun.speaks.cache_clear()


def test_without_torchrun_the_one_process_is_first_and_speaks(monkeypatch):
    for name in ("RANK", "TORCHELASTIC_ERROR_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert torchrun.is_first()
    assert torchrun.speaks()


def test_the_first_to_ask_speaks_and_goes_on_to(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    answers = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / str(number) / "error.json"))
        done = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, check=True)
        answers.append(done.stdout.strip())
    assert answers == ["True True", "False False", "False False"]


def test_each_machine_has_one_that_speaks(tmp_path, monkeypatch):
    """Alone on its machine, or in a folder that cannot be written to: better twice than not at all."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "0" / "error.json"))
    (tmp_path / torchrun.MARK).touch()
    assert torchrun.speaks()
    torchrun.speaks.cache_clear()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert not torchrun.speaks()
    torchrun.speaks.cache_clear()
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "none" / "0" / "error.json"))
    assert torchrun.speaks()


def test_the_process_that_writes_is_the_first_of_all_machines(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert not torchrun.is_first()
