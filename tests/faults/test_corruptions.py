"""Damage anywhere in a file of any kind is told, or harmless; `tests.faults.corruptions` has the long form."""

import random

import pytest

from tests.faults.corruptions import content, make, outcome, places, tries


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make(tmp_path_factory.mktemp("corruptions"))


@pytest.mark.parametrize("kind", ["stimulus", "recording", "analysis", "weights", "checkpoint"])
def test_damage_is_told_or_harmless(kind, files):
    ends = [(place, how, judged()) for _, _, place, how, judged in tries({kind: files[kind]}, 24, seed=1)]
    assert [found for found in ends if found[2] not in ("detected", "harmless")] == []
    assert sum(end == "detected" for _, _, end in ends) > 0.7 * len(ends)


def test_without_sums_damage_is_silent(files, monkeypatch):
    """The tries find what sums are for."""
    path = files["recording"].with_name("flipped.h5")
    whole, expected = files["recording"].read_bytes(), content(files["recording"], "recording")
    chance, spans = random.Random(2), places(files["recording"])["coordinates"]
    changes = [flipped(whole, chance.choice(spans)[0]) for _ in range(4)]
    for module in ("flowsim.files.watched.sealed", "flowsim.files.netcdf.whole_hdf5"):
        monkeypatch.setattr(module, lambda path: None)
    monkeypatch.setattr("flowsim.files.netcdf.require_seal", lambda path, file: None)
    ends = set()
    for changed in changes:
        path.write_bytes(changed)
        ends.add(outcome(path, "recording", expected))
    assert "silent" in ends


def flipped(whole, at):
    """The content with the lowest bit of one byte flipped."""
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
