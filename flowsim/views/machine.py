"""What works on this machine: versions, hardware, room on the disk, packages that are not needed by all."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from flowsim import __version__
from flowsim.files.compiled import COMPILER, SWITCH
from flowsim.layers.winograd import processor

PARTS = ("torch", "numpy", "xarray", "h5netcdf", "scikit-learn", "matplotlib", "snakemake")
"""Packages whose versions are of interest."""
EXTRAS = {
    "av": "videos, such as KTH",
    "pynwb": "export as NWB",
    "rsatoolbox": "export for rsatoolbox",
    "ripser": "the topology of orbits",
    "dsa-metric": "dynamical similarity",
    "distributed": "analyses on a cluster of dask",
}
"""Packages that some work needs, and which; the extras of pyproject.toml have the same ones."""


def describe() -> str:
    """One line for each thing, each of which begins with what it is about."""
    return "\n".join(f"{name:10} {text}" for name, text in lines())


def lines() -> Iterator[tuple[str, str]]:
    """What the lines are about, and what they say."""
    yield "flowsim", f"{__version__}, from {Path(__file__).parents[1]}"
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for name in PARTS:
        yield name, version(name) or f"not installed; pip install {name}"
    yield "compiler", compiler()
    yield "cores", f"{os.cpu_count()}; torch computes in {torch.get_num_threads()} threads"
    yield "GPU", gpu()
    yield "disk", disk(Path.cwd())
    yield "data", data(os.environ.get("FLOWSIM_DATA"))
    for name, purpose in EXTRAS.items():
        found = version(name)
        yield name, f"{found or f'not installed; pip install {name}'} ({purpose})"


def version(name: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def compiler() -> str:
    """Whether the recurrence of a FERNN is computed in C, which needs GCC once."""
    slower = "networks train on the CPU all the same, a FERNN more slowly"
    if os.environ.get(SWITCH) == "0":
        return f"not used, since {SWITCH} is 0; {slower}"
    if processor() is None:
        return f"not used: the processor has neither AVX-512 nor AVX2; {slower}"
    found = shutil.which(COMPILER[0])
    return found or f"{COMPILER[0]} is not there; {slower}. Install gcc"


def gpu() -> str:
    """The GPU that trains, if there is one that computes."""
    if torch.cuda.is_available():
        device, name = "cuda", torch.cuda.get_device_name()
        name += f", {torch.cuda.get_device_properties(0).total_memory / 1e9:.0f} GB"
    elif torch.backends.mps.is_available():
        device, name = "mps", "Apple's GPU"
    else:
        build = "a build for CUDA" if torch.version.cuda else "the build for CPUs only"
        return f"none found; this torch is {build}. Networks train on the CPU"
    try:
        ones = torch.ones(64, 64, device=device)
        works = float((ones @ ones).sum()) == 64**3
    except RuntimeError as error:
        return f"{name} is there, but does not compute: {str(error).splitlines()[0]}. Use --device cpu"
    return name if works else f"{name} is there, but computes wrongly. Use --device cpu"


def disk(folder: Path) -> str:
    """Whether a folder can be written to, and how much room there is."""
    free = f"{shutil.disk_usage(folder).free / 1e9:.0f} GB free in {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return free
    except OSError as error:
        return f"{free}, which cannot be written to ({error.strerror}); work in another folder"


def data(folder: str | None) -> str:
    """Where data lie that do not come with flowsim."""
    if not folder:
        return "FLOWSIM_DATA is not set; only MNIST and KTH need it"
    if not Path(folder).expanduser().is_dir():
        return f"FLOWSIM_DATA is {folder}, which is no folder; set it to the folder of MNIST or KTH"
    return f"FLOWSIM_DATA is {folder}"
