"""The experiment that a person means, and where Snakemake's files lie."""

from pathlib import Path

import pytest

from flowsim import InputError
from flowsim.pipeline import shipped


def test_a_path_or_a_name_that_comes_with_flowsim(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.experiment_file(Path("digits")) == shipped.home() / "experiments" / "digits.yaml"
    own = tmp_path / "mine.yaml"
    own.write_text("title: mine")
    assert shipped.experiment_file(own) == own


@pytest.mark.parametrize("given", ["digit", "digits.yaml", "folder/digits"])
def test_neither_is_one_line(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"{given}: expected an experiment file .* choose one of: .*digits"):
        shipped.experiment_file(Path(given))


def test_snakefile_and_profiles_are_there():
    assert (shipped.home() / "Snakefile").is_file()
    for name in ("default", "gpu", "slurm", "kubernetes"):
        assert (shipped.profile(name) / "config.yaml").is_file()
    assert shipped.profile() == shipped.home() / "profiles" / "default"


def test_a_profile_of_ones_own_is_a_folder(tmp_path):
    (tmp_path / "config.yaml").write_text("cores: 1\n")
    assert shipped.profile(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("given", ["slrum", "", "folder/none"])
def test_no_such_profile_is_one_line(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=f"--profile {given}: expected a folder .* one of: default, gpu, .*slurm"
    ):
        shipped.profile(given)
