"""Every block of the guides runs as it stands, section by section, in an empty folder of a user's own."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from flowsim.__main__ import main

GUIDES = sorted((Path(__file__).parents[2] / "docs" / "guides").glob("probe_*.md"))
SECTIONS = {
    (guide.stem, title): re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL)
    for guide in GUIDES
    for title, text in re.findall(
        r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", guide.read_text(), re.MULTILINE | re.DOTALL
    )
}
EXECUTED = {section: blocks for section, blocks in SECTIONS.items() if blocks}
FROM_PACKAGES = ("ncps", "conv_lstm")
"""Packages that a guide probes, which are not installed with flowsim."""
LEFT = {
    "Your own network": ("tuning.png", "tuning.csv"),
    "A network from a package": ("cfc_tuning.png", "cfc_trained.h5"),
    "A convolutional network from a package": ("conv_lstm.h5",),
    "Your own frames": ("films.h5", "labelled.h5"),
    "Is the state what the network uses?": ("intervened.h5",),
}


def test_no_section_is_forgotten():
    assert {title for _, title in EXECUTED} == set(LEFT)


@pytest.mark.slow
@pytest.mark.parametrize("section", EXECUTED, ids=" ".join)
def test_a_section_of_a_guide_runs(section, tmp_path, monkeypatch):
    blocks = EXECUTED[section]
    code = "".join(text for _, text in blocks)
    for package in FROM_PACKAGES:
        if re.search(rf"^from {package}\b", code, re.MULTILINE) and find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    names = {}
    for language, text in blocks:
        if language == "python":
            torch.manual_seed(0)
            exec(compile(text, section[1], "exec"), names)
            continue
        for line in text.splitlines():
            command = shlex.split(line)
            assert command[:3] == ["python", "-m", "flowsim"]
            assert main(command[3:]) == 0
    for name in LEFT[section[1]]:
        assert (tmp_path / name).stat().st_size > 1000


def test_probing_a_network_of_a_package_takes_less_than_30_lines():
    blocks = EXECUTED["probe_your_network", "A network from a package"]
    lines = [line for _, text in blocks for line in text.splitlines() if line.strip()]
    assert len(lines) < 30
