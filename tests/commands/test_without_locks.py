"""Every verb, and the pipeline, in a folder whose file system has no locks, or may not be written to: it works, or
says in one line which folder that is, and why. What is there may be read.
"""

import errno
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from flowsim.__main__ import main
from tests.known.small_project import project

DATA = ["--train", "train.h5", "--valid", "valid.h5", "--device", "cpu"]
WRITES = {
    "stimulus": ["stimulus", "moving_digits", "train", "--into", "at/a.h5"],
    "train": ["train", *DATA, "--into", "at/a.pt"],
    "record": ["record", "--model", "a.pt", "--stimulus", "probe.h5", "--device", "cpu", "--into", "at/a.h5"],
    "analyse": ["analyse", "equivariance_error", "--recording", "rec.h5", "--into", "at/a.h5"],
    "figure": ["figure", "equivariance_error", "--results", "err.h5", "--into", "at/a.svg"],
    "export": ["export", "rec.h5", "--as", "numpy", "--into", "at/a.npz"],
    "preview": ["preview", "moving_digits", "--into", "at/a.png"],
    "schema": ["schema", "--into", "at/a.json"],
    "gallery": ["gallery", "--into", "at/a.md"],
}
"""A file that each verb writes into the folder ``at``."""


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """A copy of the folder of all stages, with an empty folder in it."""
    copy = tmp_path / "here"
    shutil.copytree(folder, copy)
    (copy / "at").mkdir()
    monkeypatch.chdir(copy)
    return copy


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
@pytest.mark.parametrize("verb", WRITES)
def test_a_folder_without_locks(verb, number, here, train_spec, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    spec = ["--spec", json.dumps(train_spec)] if verb == "train" else []
    assert main([*WRITES[verb], *spec]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert re.match(
        rf"flowsim {verb}: error: cannot write at/a.*the file system of .*/at(/a)? has no locks", last
    )
    assert os.strerror(number) in last
    assert not [path for path in (here / "at").rglob("*") if path.is_file()]


def test_what_is_in_a_folder_without_locks_can_be_looked_at(here, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert main(["inspect", "rec.h5"]) == 0
    assert "state" in capsys.readouterr().out


@pytest.fixture
def read_only(here):
    """The folder ``at`` mounted so that nobody may write to it."""
    command = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(here / "at")]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user may not mount a folder")
    yield
    subprocess.run(["umount", here / "at"], check=True)


@pytest.mark.parametrize("verb", WRITES)
def test_a_folder_that_may_not_be_written_to(verb, here, read_only, train_spec, capsys):
    spec = ["--spec", json.dumps(train_spec)] if verb == "train" else []
    assert main([*WRITES[verb], *spec]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert re.match(
        rf"flowsim {verb}: error: cannot write at/a.*Read-only file system; choose a folder that can", last
    )


WITHOUT = """
import errno, fcntl, os
flock = fcntl.flock
def refuse(descriptor, operation):
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    if os.readlink(f"/proc/self/fd/{number}").startswith(os.environ["WITHOUT_LOCKS"]):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    return flock(descriptor, operation)
fcntl.flock = refuse
"""
"""A sitecustomize.py: files in one folder cannot be locked."""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_a_pipeline_in_a_folder_without_locks(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT)
    (tmp_path / "project").mkdir()
    at = project(tmp_path / "project")
    path = os.pathsep.join([str(tmp_path / "site"), str(at)])
    environment = {**os.environ, "PYTHONPATH": path, "WITHOUT_LOCKS": str(at)}
    for command in (
        ["snakemake", "--cores", "1", "results/tiny/stimuli/probe.h5"],
        ["flowsim", "run", "experiments/tiny.yaml"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=at, env=environment, capture_output=True, text=True
        )
        text = done.stdout + done.stderr
        assert done.returncode != 0, text
        assert f"the file system of {at}/results has no locks; choose a folder on another one" in text
        assert "Traceback" not in text
        assert not [*at.glob("results/.*")]
