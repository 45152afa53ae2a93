"""Jobs run in forks of a process that has imported what they need, as if each were a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from flowsim import usage
from flowsim.fork_client import ADDRESS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are safe on Linux only")
ROOT = Path(__file__).parents[1]
STIMULUS = ("stimulus", "moving_digits", "test", "--spec", '{"trials": 2, "frames": 4}', "--seed", "1")
SLEEPER = """
import sys, time
def generate(split, rng):
    print("begun", file=sys.stderr, flush=True)
    time.sleep(100)
"""


def environment(**more):
    """Of a job on one thread, that looks for packages in its folder and in the project."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(scope="module")
def address():
    """Of a fork server."""
    with tempfile.TemporaryDirectory() as folder:  # the path of a socket may not be long
        for name in ("json", "select", "dask"):  # what lies in the folder hides no library
            Path(folder, f"{name}.py").write_text("raise RuntimeError('of the user')")
        command = [sys.executable, "-P", "-m", "flowsim.fork_server", f"{folder}/socket"]
        with subprocess.Popen(command, cwd=folder, env=environment(), stdin=subprocess.PIPE) as process:
            while not Path(f"{folder}/socket").exists():
                assert process.poll() is None
                time.sleep(0.05)
            yield f"{folder}/socket"
        assert process.returncode == 0


def command(*arguments):
    return [sys.executable, "-m", "flowsim", *arguments]


def run(address, *arguments, folder, **more):
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(**{ADDRESS: address, **more}),
        capture_output=True,
        text=True,
    )


def imports_of(folder, address, *arguments, **more):
    """What a command imports itself: hardly anything if another process runs it."""
    told = [sys.executable, "-X", "importtime", "-m", "flowsim", *arguments]
    with_times = environment(**{ADDRESS: address, **more})
    done = subprocess.run(told, cwd=folder, env=with_times, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_job_is_what_it_is_without(address, tmp_path):
    """Its file, but for the time, its folder, its output and what it says that it used."""
    served = run(address, *STIMULUS, "--into", "served.h5", folder=tmp_path)
    alone = run("", *STIMULUS, "--into", "alone.h5", folder=tmp_path)
    assert served.returncode == alone.returncode == 0, served.stderr
    assert served.stdout == alone.stdout
    lines = [done.stderr.replace("alone", "served").splitlines() for done in (served, alone)]
    assert lines[0][:-1] == lines[1][:-1]
    (tmp_path / "log").write_text(served.stderr)
    used = usage.read(tmp_path / "log")
    (tmp_path / "log").write_text(alone.stderr)
    by_itself = usage.read(tmp_path / "log")
    assert used.cpu_seconds < by_itself.cpu_seconds
    assert 50 < used.megabytes < 2000
    assert (tmp_path / "served.h5").stat().st_size == (tmp_path / "alone.h5").stat().st_size


def test_it_is_run_by_the_other_process(address, tmp_path):
    imported = imports_of(tmp_path, address, *STIMULUS, "--into", "a.h5")
    assert " xarray" not in imported
    assert "argparse" not in imported
    assert (tmp_path / "a.h5").exists()


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        ((*STIMULUS, "--into", "a.h5"), {ADDRESS: "/no/such/socket"}),
        ((*STIMULUS, "--into", "a.h5"), {"OMP_NUM_THREADS": "2"}),
        (("inspect", "--help"), {}),
    ],
    ids=["no process", "two threads", "no job"],
)
def test_what_cannot_be_runs_itself(arguments, more, address, tmp_path):
    assert "argparse" in imports_of(tmp_path, address, *arguments, **more)


def test_edited_code_is_run_as_it_is_now(address, tmp_path):
    """A process that has the code of before, or another copy of it, declines, and the command runs itself."""
    for name in ("flowsim", "stimuli", "analysis"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with tempfile.TemporaryDirectory() as folder:
        served = [sys.executable, "-P", "-m", "flowsim.fork_server", f"{folder}/socket"]
        given = environment(PYTHONPATH=str(tmp_path))
        with subprocess.Popen(served, cwd=tmp_path, env=given, stdin=subprocess.PIPE):
            while not Path(f"{folder}/socket").exists():
                time.sleep(0.05)
            asked = (*STIMULUS, "--into", "a.h5")
            told = {"PYTHONPATH": str(tmp_path)}
            assert " xarray" in imports_of(tmp_path, address, *asked, **told)
            assert " xarray" not in imports_of(tmp_path, f"{folder}/socket", *asked, **told)
            with (tmp_path / "flowsim/errors.py").open("a") as file:
                file.write("\nprint('edited')\n")
            done = run(f"{folder}/socket", *asked, folder=tmp_path, **told)
    assert done.returncode == 0, done.stderr
    assert "edited" in done.stdout


def test_an_error_is_one_line_and_its_status(address, tmp_path):
    served = run(address, "stimulus", "no_such", "test", "--into", "a.h5", folder=tmp_path)
    alone = run("", "stimulus", "no_such", "test", "--into", "a.h5", folder=tmp_path)
    assert served.returncode == alone.returncode == 2
    assert served.stderr == alone.stderr


def heard():
    """Ctrl-C is, in a new process: where tests run under nohup it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_command(number, address, tmp_path):
    """A signal is passed on; of a command that is killed, the job is killed."""
    (tmp_path / "stimuli").mkdir()
    (tmp_path / "stimuli/sleeper.py").write_text(SLEEPER)
    told = command("stimulus", "sleeper", "test", "--seed", "1", "--spec", "{}", "--into", "a.h5")
    ended = {}
    for name, where in (("served", address), ("alone", "")):
        process = subprocess.Popen(
            told,
            cwd=tmp_path,
            env=environment(**{ADDRESS: where}),
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heard,
        )
        said = ""
        while "begun" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(number)
        rest = process.stderr.read()  # ends when the job, too, has closed it
        ended[name] = process.wait(), rest
    assert ended["served"] == ended["alone"]
    assert not list(tmp_path.glob("*.h5"))
