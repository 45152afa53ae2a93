"""Folders are those that the environment names."""

from pathlib import Path

import pytest

from flowsim import InputError
from flowsim.files.user_cache import cache
from flowsim.scenes.sources.folders import candidates, data_and_cache


def test_no_folder_of_data_is_named():
    assert candidates("kth") == []


def test_a_sub_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path))
    assert candidates("kth") == [tmp_path / "kth", tmp_path]


def test_a_folder_that_does_not_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="FLOWSIM_DATA: expected the folder .* there is no folder .*nowhere"):
        candidates("kth")


def test_the_cache_is_where_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWSIM_CACHE", str(tmp_path / "downloads"))
    assert cache("mnist") == tmp_path / "downloads" / "mnist"
    monkeypatch.delenv("FLOWSIM_CACHE")
    assert cache("mnist").parts[-1] == "mnist"
    assert "flowsim" in str(cache("mnist"))


def test_names_are_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWSIM_DATA", "here")
    monkeypatch.setenv("FLOWSIM_CACHE", "")
    assert data_and_cache() == (str(Path.cwd() / "here"), "")
