"""What docs/architecture.md says of the tree is so."""

import re
import runpy
from pathlib import Path
from pydoc import locate

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
GENERATE = runpy.run_path(str(ROOT / "docs" / "generate.py"))
CHANGES = (
    *("cell", "law", "compression", "column in the report", "statistic", "stimulus with its own truth"),
    *("training resumes", "verb", "export", "readout task"),
)


def section(title):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def rows(title):
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_tree_and_the_table_are_those_of_the_code():
    assert GENERATE["page"]() == PAGE, "run `make docs`"


def test_every_file_is_named_and_no_other():
    listed, folders = [], []
    for line in re.search(r"```text\n(.*?)```", section("Every file"), re.DOTALL)[1].splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 4
        folders = [*folders[:depth], name.rstrip("/")]
        if name.endswith("/"):
            continue
        listed.append("/".join(folders))
        assert len(line.split()) > 1, f"no word about {listed[-1]}"
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in ("flowsim", "stimuli", "analysis", "benchmarks")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".j2", ".yaml") and path.name != "__init__.py"
    ]
    assert sorted(listed) == sorted(files)


def test_the_table_of_imports():
    table = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))
    stated = {cells[0].strip("`"): cells[1] for cells in rows("Who may import whom")}
    assert set(stated) == set(table["MAY_IMPORT"]) | table["EVERYTHING"]
    for name, others in table["MAY_IMPORT"].items():
        assert set(stated[name].split(", ")) == (others or {"nothing"})
    assert all(stated[name] == "everything" for name in table["EVERYTHING"])


def test_every_hop_of_a_frame_resolves():
    hops = rows("How a frame travels")
    assert [cells[0] for cells in hops] == [str(n) for n in range(1, 11)]
    names = re.findall(r"`((?:flowsim|stimuli|analysis)\.[\w.]+)`", section("How a frame travels"))
    assert len(names) >= 10
    assert [name for name in names if not callable(locate(name))] == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_request_names_the_files_to_open(change):
    """Files that are, or folders that files can be added to."""
    (cells,) = [cells for cells in rows("Which file do I open?") if change in cells[0]]
    paths = re.findall(r"`([\w/<>.]+/[\w<>.]+)`", " ".join(cells))
    assert paths
    for path in paths:
        assert (ROOT / path).parent.is_dir() if "<name>" in path else (ROOT / path).is_file(), path


def test_names_in_the_answers_are_in_those_files():
    """`Cell` is in flowsim/layers/cells.py, and so on."""
    for cells in rows("Which file do I open?"):
        files = [ROOT / path for path in re.findall(r"`(flowsim/[\w/.]+\.py)`", " ".join(cells))]
        text = "".join(path.read_text() for path in files)
        for name in re.findall(r"`([A-Z]\w+)`", cells[2]):
            assert re.search(rf"\b{name}\b", text), f"{name} in {cells[0]}"
