"""Who may import whom: see the table. Small files, one idea each."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OWN = ("flowsim", "stimuli", "analysis")
TORCH_ONLY = {"flow", "grid", "lift", "sampling"}
BRICKS = {
    *("errors", "cells", "circular", "flattened", "flow", "grid", "lift", "network", "polar", "readout"),
    *("gather", "highest", "recurrence", "steerable"),
}
"""What networks are built of."""
MAY_IMPORT = {
    "flowsim.errors": set(),
    "flowsim.files": {"errors"},
    "flowsim.sampling": set(),
    "flowsim.motion": {"errors"},
    "flowsim.flow": {"errors", "sampling"},
    "flowsim.path": {"errors", "flow"},
    "flowsim.polar": {"errors"},
    "flowsim.steerable": set(),
    "flowsim.recurrence": {"circular", "flow", "gather", "highest"},
    "flowsim.highest": {"flow", "gather"},
    "flowsim.grid": {"errors", "flow"},
    "flowsim.lift": {"flow", "grid"},
    "flowsim.gather": {"flow"},
    "flowsim.circular": {"errors", "gather"},
    "flowsim.cells": {"circular"},
    "flowsim.ideas": {"errors"},
    "flowsim.network": {"errors", "ideas", "flow", "grid", "lift"},
    "flowsim.readout": {"errors", "circular", "lift"},
    "flowsim.flattened": {"errors", "flow", "grid", "network"},
    "flowsim.testing": {"errors", "flow", "grid", "network"},
    "flowsim.models": BRICKS | {"models"},
    "flowsim.dataset": {"errors", "files", "flow", "grid"},
    "flowsim.provenance": {"HOMES"},
    "flowsim.sources": {"errors", "folders", "mnist"},
    "flowsim.folders": {"errors"},
    "flowsim.mnist": {"errors", "files", "folders"},
    "flowsim.videos": {"errors", "dataset", "files", "folders", "progress"},
    "flowsim.kth": {"errors", "folders", "sources", "videos"},
    "flowsim.actions": set(),
    "flowsim.figures": {"actions"},
    "flowsim.strokes": set(),
    "flowsim.scene": {"dataset", "flow"},
    "flowsim.plot": {"files"},
    "flowsim.planes": {"plot"},
    "flowsim.preview": {"experiment", "files", "ideas", "plot"},
    "flowsim.gallery": {"errors", "files", "ideas", "preview"},
    "flowsim.results": {"errors", "dataset", "files"},
    "flowsim.progress": set(),
    "flowsim.weights": {"errors", "files", "network"},
    "flowsim.parallel": {"errors"},
    "flowsim.sequences": set(),
    "flowsim.stream": {"ideas", "scene", "sequences"},
    "flowsim.objective": {"errors", "network", "sequences"},
    "flowsim.training": {"errors", "gather", "network", "objective", "parallel", "sequences", "weights"},
    "flowsim.checksums": {"errors", "pieces"},
    "flowsim.chunked": {"checksums"},
    "flowsim.sites": {"errors"},
    "flowsim.thinning": {"errors"},
    "flowsim.watching": {"errors", "network", "sites"},
    "flowsim.stored": set(),
    "flowsim.blockwise": {"progress"},
    "flowsim.opening": {"checksums", "dataset", "errors", "stored"},
    "flowsim.layout": {"chunked", "dataset", "flow", "grid", "network", "thinning"},
    "flowsim.recording": {
        *("chunked", "dataset", "errors", "files", "layout", "network", "sequences", "sites"),
        *("thinning", "watching"),
    },
    "flowsim.pieces": set(),
    "flowsim.tuning": {"errors", "flow"},
    "flowsim.orbit": {"errors", "flow", "grid"},
    "flowsim.population": {"errors", "dataset"},
    "flowsim.probed": {"blockwise", "errors", "dataset", "flow", "grid"},
    "flowsim.decoding": set(),
    "flowsim.rdm": set(),
    "flowsim.exports": {"checksums", "dataset", "errors", "files", "pieces", "population"},
    "flowsim.nwb": {"dataset", "errors", "exports", "files", "pieces", "population"},
    "flowsim.exporting": {"dataset", "errors", "exports", "files", "nwb", "pieces", "population", "provenance"},
    "flowsim.telling": {"checksums", "dataset", "errors", "provenance"},
    "flowsim.inspection": {"checksums", "dataset", "errors", "files", "pieces", "telling", "weights"},
    "flowsim.nearest": set(),
    "flowsim.effects": {"errors"},
    "flowsim.lie": {"errors", "flow", "grid", "network", "sampling"},
    "flowsim.similarity": {"errors"},
    "flowsim.canvas": {"flow", "grid", "sampling", "scene"},
    "stimuli": {"canvas", "errors", "flow", "grid", "kth", "path", "sampling", "scene", "sources"}
    | {"actions", "figures", "strokes"},
    "flowsim.comoving": {"errors", "dataset", "flow"},
    "flowsim.operators": {"errors", "comoving", "flow"},
    "flowsim.eigenphases": set(),
    "analysis": {
        "errors",
        "flow",
        "grid",
        "dataset",
        "plot",
        "planes",
        "tuning",
        "orbit",
        "nearest",
        "similarity",
        "probed",
        "decoding",
        "rdm",
        "blockwise",
        "progress",
    }
    | {"comoving", "operators", "eigenphases"},
}
SOURCES = sorted(path for package in OWN for path in (ROOT / package).rglob("*.py"))


def module(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path):
    """(module, imported names) of every import statement."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module, tuple(alias.name for alias in node.names)


def layer(name):
    return next((key for key in (name, name.rpartition(".")[0]) if key in MAY_IMPORT), None)


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_imports_respect_the_layers(path):
    own = layer(module(path))
    if own is None or path.name == "__init__.py":
        return  # the command line and its stages may import everything
    for source, names in imported(path):
        if source == "flowsim":
            used = {f"flowsim.{name}" for name in names}
        elif source.split(".")[0] in OWN:
            used = {source}
        else:
            continue
        for name in used:
            allowed = {f"flowsim.{short}" for short in MAY_IMPORT[own]}
            assert name in allowed or layer(name) in allowed & {"flowsim.models"}, (
                f"{module(path)} must not import {name}"
            )


def test_flows_need_only_torch():
    for name in TORCH_ONLY:
        sources = {source.split(".")[0] for source, _ in imported(ROOT / "flowsim" / f"{name}.py")}
        standard = {"__future__", "abc", "collections", "dataclasses", "functools", "itertools", "math", "typing"}
        assert sources <= {"flowsim", "torch", *standard}


def test_the_measure_sees_what_it_must():
    assert dict(imported(ROOT / "flowsim" / "lift.py"))["flowsim.grid"] == ("VelocityGrid",)
    assert layer("analysis.equivariance_error") == "analysis"
    assert layer("flowsim.models.fernn") == "flowsim.models"


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_files_are_small(path):
    assert len(path.read_text().splitlines()) <= 250


def test_namespace_packages_have_no_init():
    assert not (ROOT / "stimuli" / "__init__.py").exists()
    assert not (ROOT / "analysis" / "__init__.py").exists()
