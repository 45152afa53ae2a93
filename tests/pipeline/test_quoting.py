"""Nothing in a name is a command to the shell."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowsim import InputError
from flowsim.experiment.check import check_name_of_experiment, check_names_of_networks

SNAKEFILE = Path(__file__).parents[2] / "Snakefile"
PLAIN = {"{FLOWSIM}", "{DEVICE}", "{DATA}", "{SCHEDULER}", "{params.seed}"}
"""Constants that are quoted where they are made, and a number."""


def test_every_command_quotes_what_it_takes():
    commands = re.findall(r'^    shell:\n((?:        ".*"\n)+)', SNAKEFILE.read_text() + "\n", re.MULTILINE)
    taken = {part for command in commands for part in re.findall(r"\{[^}]+\}", command)}
    assert len(commands) == 7
    assert {part for part in taken if not part.endswith(":q}")} <= PLAIN


@pytest.mark.parametrize("name", ["a$(touch x)b", "a b", "a'b", 'a"b', "a;b", "-x", "..", "a\nb", "a{b}"])
def test_such_names_are_refused_when_they_are_read(name):
    with pytest.raises(InputError, match="expected a name of .*letters, digits"):
        check_name_of_experiment(f"{name}.yaml")
    with pytest.raises(InputError, match="a name must be .*letters, digits"):
        check_names_of_networks(type("Experiment", (), {"networks": {name: {}}}))


@pytest.mark.parametrize("module", ["flowsim", "flowsim.pipeline.events"])
def test_the_working_folder_is_searched_last(tmp_path, module):
    for name in ("csv", "json", "random", "logging", "argparse", "typing", "signal"):
        (tmp_path / f"{name}.py").write_text("print('hidden'); raise SystemExit(3)\n")
    command = [sys.executable, "-m", module, *(["events"] * module.endswith("events")), "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "hidden" in done.stdout) == (0, False), done.stderr
