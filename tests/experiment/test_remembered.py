"""A plan that passed its checks is remembered, and made anew when anything changes that it depends on."""

import json
import os
import subprocess
import sys

import pytest

from flowsim.errors import InputError
from flowsim.experiment import remembered
from flowsim.experiment.plan import jobs
from flowsim.experiment.remembered import remembered_jobs
from tests.known.small_project import project


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Experiments that were planned anew, in a copy of the project that is the working directory."""
    made = []

    def noted(path):
        made.append(str(path))
        return {**PLAN, "report": str(len(made))}

    (tmp_path / "here").mkdir()
    project(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(remembered.ideas, "ROOT", tmp_path / "here")
    monkeypatch.setenv("FLOWSIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("flowsim.experiment.plan.jobs", noted)
    return made


PLAN = {
    "ideas": ["analysis.equivariance_error", "flowsim.models.fernn", "stimuli.moving_digits"],
}
TINY = "experiments/tiny.yaml"


def append(file, text):
    with open(file, "a", encoding="utf-8") as opened:
        opened.write(text)


def test_nothing_new_is_not_planned_again(made):
    first = remembered_jobs(TINY)
    assert remembered_jobs(TINY) == first
    assert made == [TINY]


CHANGES = {
    "the experiment": lambda: append(TINY, "\n"),
    "our code": lambda: append("flowsim/errors.py", "\n"),
    "our analysis": lambda: append("analysis/stability.py", "\n"),
    "our page": lambda: append("flowsim/views/report.css", "\n"),
    "an idea of the user's": lambda: (os.mkdir("models"), append("models/leaky.py", "x = 1\n")),
    "a helper of the user's": lambda: append("helper.py", "x = 1\n"),
    "a package of the user's": lambda: (os.mkdir("torch"), append("torch/__init__.py", "")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_planned_again(made, change):
    remembered_jobs(TINY)
    change()
    remembered_jobs(TINY)
    remembered_jobs(TINY)
    assert made == [TINY, TINY]


def test_what_an_idea_of_the_users_imports_is_watched(made, monkeypatch):
    os.makedirs("lab/inner")
    append("lab/inner/draw.py", "x = 1\n")
    append("stimuli/bars.py", "from lab.inner.draw import x\n\ndef generate(split, rng):\n    pass\n")
    monkeypatch.setitem(PLAN, "ideas", ["stimuli.bars"])
    monkeypatch.setattr(
        "flowsim.files.code_hash.ideas.is_own", lambda file: "lab" in str(file) or "bars" in str(file)
    )
    remembered_jobs(TINY)
    remembered_jobs(TINY)
    append("lab/inner/draw.py", "x = 2\n")
    remembered_jobs(TINY)
    assert len(made) == 2


def test_what_is_no_code_is_not_read(made, monkeypatch, tmp_path):
    """A lab's models/ may hold weights, and its disk of data anything."""
    (tmp_path / "data" / "other").mkdir(parents=True)
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path / "data"))
    os.mkdir("models")
    remembered_jobs(TINY)
    append("models/large.pt", "weights")
    append(tmp_path / "data" / "other" / "film.avi", "film")
    remembered_jobs(TINY)
    assert made == [TINY]


def test_data_and_packages_are_watched(made, monkeypatch, tmp_path):
    remembered_jobs(TINY)
    data = tmp_path / "data" / "mnist"
    data.mkdir(parents=True)
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path / "data"))
    remembered_jobs(TINY)
    (data / "train-images-idx3-ubyte").write_bytes(b"1")
    remembered_jobs(TINY)
    site = tmp_path / "site"
    (site / "numpy-9.9.9.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(site))
    remembered_jobs(TINY)
    remembered_jobs(TINY)
    assert len(made) == 4


def test_a_damaged_memory_is_made_anew(made, tmp_path):
    remembered_jobs(TINY)
    (kept,) = (tmp_path / "cache" / "plans").glob("*.json")
    whole = kept.read_bytes()
    for number, damaged in enumerate((whole[:-1], b"", whole.replace(b"moving", b"mowing"), b"\xff" + whole)):
        kept.write_bytes(damaged)
        remembered_jobs(TINY)
        assert len(made) == number + 2
    assert kept.read_bytes().partition(b"\n")[2].startswith(b'{"own"')


def test_a_cache_that_cannot_be_written_is_done_without(made, monkeypatch, tmp_path):
    append(tmp_path / "file", "")
    monkeypatch.setenv("FLOWSIM_CACHE", str(tmp_path / "file"))
    remembered_jobs(TINY)
    remembered_jobs(TINY)
    assert len(made) == 2


def test_few_plans_are_kept(made, monkeypatch, tmp_path):
    monkeypatch.setattr(remembered, "KEPT", 2)
    for _ in range(4):
        append(TINY, "\n")
        remembered_jobs(TINY)
    assert len(list((tmp_path / "cache" / "plans").glob("*"))) == 2
    remembered_jobs(TINY)
    assert len(made) == 4


def test_what_fails_is_checked_each_time(written, monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWSIM_CACHE", str(tmp_path / "cache"))
    broken = written("networks.grnn", {"model": "fern"})
    for _ in range(2):
        with pytest.raises(InputError, match="unknown network model 'fern'"):
            remembered_jobs(broken)
    assert not (tmp_path / "cache" / "plans").exists()


def test_the_command_gives_the_same_plan_without_torch(written, tmp_path):
    """The second time nothing heavy is imported: that is what the time was spent on."""
    file = str(written())
    script = (
        "import sys; from flowsim.__main__ import main; main(sys.argv[1:]); "
        "print([name for name in ('torch', 'numpy', 'xarray') if name in sys.modules], file=sys.stderr)"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", script, "plan", file],
            env={**os.environ, "FLOWSIM_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    ]
    assert json.loads(told[0].stdout) == json.loads(told[1].stdout) == jobs(file)
    assert "torch" in told[0].stderr
    assert told[1].stderr.strip() == "[]"
