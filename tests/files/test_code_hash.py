"""The hash of code changes when code changes in meaning, and only then."""

import importlib
import re
from pathlib import Path

import pytest

from flowsim.files.code_hash import _closure, code_hash, imports
from flowsim.ideas import names

FOLDERS = ("flowsim", "stimuli", "analysis", "benchmarks", "examples", "docs", "tests", "experiments")
SOURCE = '''"""A module."""

from flowsim import dataset

READS = "probe"


def analyse(recording):
    """Answer."""
    return recording * 2
'''


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    """Hash of a user's own analysis with this source text."""
    folder = tmp_path / "analysis"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)

    def of(source):
        (folder / "mine_for_test.py").write_text(source)
        return code_hash("analysis.mine_for_test")

    return of


def test_comments_layout_and_docstrings_do_not_count(hash_of):
    before = hash_of(SOURCE)
    assert hash_of(SOURCE.replace('READS = "probe"', "READS = 'probe'  # which recording")) == before
    assert hash_of(SOURCE.replace("Answer.", "Answer the question.")) == before
    assert hash_of(SOURCE.replace("A module.", "Another.")) == before
    assert hash_of(SOURCE.replace('READS = "probe"', 'READS = "probe"\n"""Which recording."""')) == before
    assert hash_of(SOURCE.replace("\n\n\ndef", "\n\n\n\ndef")) == before


def test_meaning_counts(hash_of):
    before = hash_of(SOURCE)
    assert hash_of(SOURCE.replace("* 2", "* 3")) != before
    assert hash_of(SOURCE.replace('"probe"', '"test"')) != before
    assert hash_of(SOURCE.replace("from flowsim import dataset\n", "")) != before


def test_c_sources_beside_modules_count(tmp_path, monkeypatch):
    """Those of the same name, and no others."""
    module = tmp_path / "kernels.py"
    module.write_text("", encoding="utf-8")
    monkeypatch.setattr("flowsim.files.code_hash._closure", lambda _: {"kernels": module})
    monkeypatch.setattr("flowsim.ideas.source", lambda _: module)
    alone = code_hash("kernels")
    (tmp_path / "others.c").write_text("int x;", encoding="utf-8")
    assert code_hash("kernels") == alone
    (tmp_path / "kernels.c").write_text("int x;", encoding="utf-8")
    with_c = code_hash("kernels")
    (tmp_path / "kernels.c").write_text("int y;", encoding="utf-8")
    assert len({alone, with_c, code_hash("kernels")}) == 3


def test_the_kernels_of_a_network_count():
    assert _closure(["flowsim.models.fernn"])["flowsim.layers.winograd"].with_suffix(".c").exists()


def test_imported_modules_count():
    assert code_hash("flowsim.layers.velocity_channels") != code_hash(
        "flowsim.layers.velocity_channels", without=["flowsim.flows.group"]
    )
    assert code_hash("flowsim.layers.velocity_channels") == code_hash(
        "flowsim.layers.velocity_channels", without=["flowsim.training.train"]
    )


def test_a_package_is_left_out_with_all_that_is_in_it():
    """And no other whose name begins in the same way."""
    without_wing = code_hash("analysis.equivariance_error", without=["flowsim.figures"])
    figures = ["flowsim.figures", *(f"flowsim.figures.{name}" for name in names("flowsim.figures"))]
    assert without_wing == code_hash("analysis.equivariance_error", without=figures)
    assert without_wing != code_hash("analysis.equivariance_error")
    model = code_hash("flowsim.models.gru")
    assert code_hash("flowsim.models.gru", without=["flowsim.models"]) != model
    assert code_hash("flowsim.models.gru", without=["flowsim.models.fernn"]) == model


def test_imports_are_found_wherever_they_are():
    source = "import flowsim.flows.group\ndef f():\n    from flowsim.flows import velocity_grid\n    import numpy\n"
    assert imports(source, "analysis.mine") == [
        "flowsim.flows.group",
        "flowsim.flows",
        "flowsim.flows.velocity_grid",
    ]
    assert imports("from .grid import Law\nfrom . import flow", "analysis.mine") == [
        "analysis.grid",
        "analysis.grid.Law",
        "analysis.flow",
    ]


def test_relative_imports_of_a_package_start_at_itself():
    assert imports("from . import flow\nfrom .grid import Law", "analysis.wing", is_package=True) == [
        "analysis.wing",
        "analysis.wing.flow",
        "analysis.wing.grid",
        "analysis.wing.grid.Law",
    ]


@pytest.mark.parametrize(
    "missing", ["flowsim.no_such_module", "no_such_package.module", "analysis.no_such_analysis"]
)
def test_code_of_a_module_that_does_not_exist_has_no_hash(missing):
    with pytest.raises(
        ModuleNotFoundError, match=rf"cannot hash the code of '{missing}': there is no such module"
    ):
        code_hash(missing)
    with pytest.raises(ModuleNotFoundError, match="there is no such module"):
        code_hash("flowsim.layers.velocity_channels", without=[missing])


def resolves(name):
    """Whether a dotted name is a module, or something that a module holds."""
    for parts in range(len(name.split(".")), 0, -1):
        module = ".".join(name.split(".")[:parts])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:
            continue
        try:
            for part in name.split(".")[parts:]:
                found = getattr(found, part)
        except AttributeError:
            return False
        return True
    return False


def test_every_module_that_is_named_by_a_string_exists():
    """In code, documentation and tests: a renamed module must not leave its old name anywhere."""
    root = Path(__file__).resolve().parents[2]
    suffixes = {".py", ".md", ".toml", ".yaml", ".j2", ".css", ""}
    files = [
        *(
            f
            for folder in FOLDERS
            for f in (root / folder).rglob("*")
            if f.is_file() and f.suffix in suffixes
        ),
        *(f for f in root.iterdir() if f.is_file() and f.suffix in suffixes and not f.name.startswith(".")),
    ]
    assert len(files) > 200
    named = {}
    for file in files:
        text = file.read_text(encoding="utf-8")
        for name in re.findall(r"[\"'`](flowsim(?:\.[A-Za-z_]\w*)+)(?=[\"'`: (])", text):
            named.setdefault(name, file.relative_to(root))
    del named["flowsim.no_such_module"]  # of the test above
    assert not {name: str(file) for name, file in named.items() if not resolves(name)}
    assert len(named) > 50


def test_names_taken_from_the_package_lead_to_their_modules():
    assert "flowsim.flows.velocity_grid" in imports("from flowsim import VelocityGrid", "analysis.mine")
    assert code_hash("flowsim.layers.velocity_channels") != code_hash(
        "flowsim.layers.velocity_channels", without=["flowsim.flows.velocity_grid"]
    )
