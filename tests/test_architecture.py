"""Who may import whom: `MAY_IMPORT` is the whole table. docs/architecture.md tells it in words."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("flowsim", "stimuli", "analysis")
MAY_IMPORT = {
    "errors": set(),
    "torchrun": set(),
    "output": {"errors", "torchrun"},
    "stopping": {"torchrun"},
    "progress": set(),
    "memory": set(),
    "specification": {"errors"},
    "ideas": {"errors", "splits"},
    "splits": {"errors"},
    "docstrings": set(),
    "effects": {"errors"},
    "flows": {"errors"},
    "files": {"errors", "flows", "ideas", "stopping", "HOMES", "__version__"},
    "layers": {"errors", "files", "flows"},
    "network": {"errors", "flows", "ideas", "layers", "specification"},
    "models": {"errors", "flows", "layers", "network", "specification"},
    "scenes": {"errors", "flows", "files", "splits", "progress"},
    "training": {"errors", "files", "network", "scenes", "ideas", "specification", "stopping", "torchrun"},
    "recording": {"errors", "flows", "files", "network", "scenes", "specification"},
    "measures": {"errors", "flows", "files", "progress", "__version__"},
    "figures": {"files"},
    "exports": {"errors", "files"},
    "testing": {"errors", "flows", "measures", "network"},
    "experiment": {
        *("errors", "ideas", "specification", "splits", "files", "scenes"),
        *("network", "training", "recording", "flows", "docstrings"),
    },
    "views": {
        *("errors", "ideas", "specification", "effects", "files", "figures", "flows"),
        *("network", "training", "experiment", "scenes", "docstrings", "layers", "usage", "__version__"),
    },
    "pipeline": {
        *("errors", "ideas", "specification", "experiment", "files", "scenes"),
        *("network", "training", "recording", "stopping", "progress", "usage"),
    },
    "skeletons": {"errors", "experiment", "files", "ideas"},
    "stimuli": {"errors", "flows", "scenes", "specification", "splits"},
    "analysis": {"errors", "flows", "files", "measures", "figures", "progress", "specification"},
    "usage": set(),
    "fork_client": {"stopping"},
    "fork_server": {"__main__", "commands", "files", "fork_client", "recording"},
    "__main__": {"commands", "fork_client", "stopping"},
}
"""What each wing, or file beside the wings, may import; within itself a wing imports freely. `commands`
imports what it likes; an analysis never another, and no network.
"""
EVERYTHING = {"commands"}
STANDARD = {
    *("__future__", "abc", "collections", "contextlib", "dataclasses", "functools", "importlib", "inspect"),
    *("itertools", "math", "pkgutil", "re", "types", "typing", "warnings"),
}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    """The dotted name of a source file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def wing_of(module: str) -> str:
    """The wing that a module lies in, or the module itself where it lies beside the wings."""
    first, *rest = module.split(".")
    return (rest[0] if rest else "flowsim") if first == "flowsim" else first


def imported(source: str) -> list[str]:
    """Dotted names of what a source imports from this project, wherever in it."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] in PACKAGES]


def faults(module: str, source: str) -> list[str]:
    """What a module imports and must not."""
    wing = wing_of(module)
    if wing in EVERYTHING:
        return []
    allowed = MAY_IMPORT[wing] | ({wing} if module.startswith("flowsim") else set())
    return [name for name in imported(source) if wing_of(name) not in allowed]


@pytest.mark.parametrize("path", [p for p in SOURCES if module_of(p) != "flowsim.__init__"], ids=module_of)
def test_imports_respect_the_table(path):
    assert faults(module_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("flowsim.flows.path", "from flowsim.files import netcdf"),
        ("flowsim.layers.cells", "from flowsim.models.fernn import FERNN"),
        ("flowsim.measures.orbit", "def f():\n    from flowsim.figures import plot"),
        ("flowsim.training.train", "import flowsim.experiment.read"),
        ("flowsim.views.report", "from flowsim.commands import parser"),
        ("flowsim.errors", "from flowsim import ideas"),
        ("analysis.stability", "from flowsim import build"),
        ("analysis.stability", "from flowsim.network import Network"),
        ("analysis.stability", "from analysis import orbit_geometry"),
        ("stimuli.moving_digits", "from stimuli import random_dots"),
    ],
)
def test_an_import_upwards_is_seen(module, source):
    assert len(faults(module, source)) == 1


def test_every_wing_has_its_row():
    wings = {
        wing_of(module_of(path))
        for path in SOURCES
        if path.name != "__init__.py" or path.parent.name != "flowsim"
    }
    assert wings - {"flowsim"} == set(MAY_IMPORT) | EVERYTHING


def test_wings_import_without_a_circle():
    TopologicalSorter(
        {wing: others - {"HOMES", "__version__"} for wing, others in MAY_IMPORT.items()}
    ).prepare()


def test_files_import_without_a_circle():
    modules = {module_of(path): path.read_text(encoding="utf-8") for path in SOURCES}
    graph = {
        module: {m for name in imported(source) for m in (name, name.rpartition(".")[0]) if m in modules}
        - {module}
        for module, source in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_flows_need_only_torch():
    for path in (ROOT / "flowsim" / "flows").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        sources = {
            name.split(".")[0]
            for node in ast.walk(tree)
            for name in (
                [node.module]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        }
        assert sources <= {"flowsim", "torch", *STANDARD}, path


def test_figures_need_no_torch():
    """Groups, analyses and drawing do without it until frames are moved: to import it takes seconds, for every
    figure of a report.
    """
    analyses = ", ".join(f"analysis.{path.stem}" for path in sorted((ROOT / "analysis").glob("*.py")))
    code = f"""
import sys, flowsim.views.drawing, {analyses}
from flowsim.flows.find_groups import flow_groups
assert "translation" in flow_groups()
assert "torch" not in sys.modules
import flowsim.layers.cells
assert "torch" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_wing_says_what_is_in_it_and_nothing_else():
    """Its ``__init__`` is a docstring with a line for each of its files: no re-exports, which would tie them
    all.
    """
    for face in (ROOT / "flowsim").rglob("*/__init__.py"):
        tree = ast.parse(face.read_text(encoding="utf-8"))
        assert len(tree.body) == 1, face
        text = ast.get_docstring(tree) or ""
        if face.parent.name == "models":
            continue
        rooms = {line.split()[0] for line in text.splitlines()[2:] if line.strip()}
        inside = {path.stem for path in face.parent.glob("*.py")} - {"__init__"}
        inside |= {path.parent.name for path in face.parent.glob("*/__init__.py")}
        if face.parent.name == "commands":
            continue  # a verb a file
        assert rooms == inside, face


def test_no_wing_has_the_name_of_a_public_name():
    import flowsim

    wings = {path.parent.name for path in (ROOT / "flowsim").glob("*/__init__.py")}
    assert not wings & set(flowsim.HOMES)
    assert {getattr(flowsim, name).__name__ for name in flowsim.HOMES} == set(flowsim.HOMES)


def test_namespace_packages_have_no_init():
    assert not (ROOT / "stimuli" / "__init__.py").exists()
    assert not (ROOT / "analysis" / "__init__.py").exists()
