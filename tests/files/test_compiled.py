"""C sources are compiled once; without a compiler one line says so, and nothing fails."""

import warnings

import pytest

from flowsim.files import compiled

SOURCE = "int answer(void) { return ANSWER; }\n"


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWSIM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small.c"
    path.write_text(SOURCE, encoding="utf-8")
    compiled._library.cache_clear()
    yield path
    compiled._library.cache_clear()


def made(tmp_path):
    return sorted((tmp_path / "cache" / "compiled").glob("*"))


def test_once_for_each_set_of_options_and_source(source, tmp_path):
    for _ in range(2):
        assert compiled.library(source, "-DANSWER=42").answer() == 42
        compiled._library.cache_clear()
    (file,) = made(tmp_path)
    written = file.stat().st_mtime_ns
    assert compiled.library(source, "-DANSWER=43").answer() == 43
    source.write_text(SOURCE.replace("ANSWER;", "ANSWER + 1;"), encoding="utf-8")
    compiled._library.cache_clear()
    assert compiled.library(source, "-DANSWER=42").answer() == 43
    assert len(made(tmp_path)) == 3
    assert file.stat().st_mtime_ns == written


def test_another_processor_gets_its_own(source, tmp_path, monkeypatch):
    compiled.library(source, "-DANSWER=42")
    compiled._library.cache_clear()
    monkeypatch.setattr(compiled, "_processor", lambda: "another")
    compiled.library(source, "-DANSWER=42")
    assert len(made(tmp_path)) == 2


def test_what_is_damaged_is_made_again(source, tmp_path):
    compiled.library(source, "-DANSWER=42")
    (file,) = made(tmp_path)
    file.unlink()  # the one that is loaded is left as it is
    file.write_bytes(b"cut off")
    compiled._library.cache_clear()
    assert compiled.library(source, "-DANSWER=42").answer() == 42
    assert made(tmp_path) == [file]


def test_it_can_be_switched_off(source, monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWSIM_COMPILE", "0")
    assert compiled.library(source, "-DANSWER=42") is None
    assert not made(tmp_path)


@pytest.mark.parametrize("fault", ["no compiler", "no C", "no folder", "no library"])
def test_what_cannot_be_compiled_is_said_once(fault, source, monkeypatch, tmp_path):
    says = {
        "no compiler": "No such file",
        "no C": "error",
        "no folder": "cannot write",
        "no library": "small-",
    }
    if fault == "no compiler":
        monkeypatch.setattr(compiled, "COMPILER", ("no-such-compiler",))
    elif fault == "no C":
        source.write_text("int answer(", encoding="utf-8")
    elif fault == "no folder":
        (tmp_path / "cache").write_text("a file", encoding="utf-8")
    else:
        monkeypatch.setattr(compiled, "LINKER", ("sh", "-c", 'echo broken > "$2"'))
    with pytest.warns(UserWarning, match=r"small\.c is not used.*FLOWSIM_COMPILE=0") as said:
        assert compiled.library(source, "-DANSWER=42") is None
    assert says[fault] in str(said[0].message)
    assert "\n" not in str(said[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled.library(source, "-DANSWER=42") is None
    assert all(file.suffix == ".so" for file in made(tmp_path))  # nothing half made is left
