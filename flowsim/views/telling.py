"""What `flowsim.views.inspection` says of a file, line by line: where it comes from, and what it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.files.checksums import PREFIX
from flowsim.files.provenance import checksum

Lines = list[tuple[str, str]]
"""A heading and a text; headings that come twice in a row are shown once."""
SHORT = 16
"""Characters of a checksum that are shown."""
LONG = 400
"""Characters of a specification that are shown."""
FEW = 5
"""Velocities that are shown one by one."""
ELSEWHERE = {
    *(
        "stage",
        "specification",
        "inputs",
        "versions",
        "commit",
        "seed",
        "recording",
        "network",
        "law",
        "scene",
        "format",
    ),
    *("flow_group", "velocity_group", "velocity_period", "stimulus_set_identifier", "model", "site"),
}
"""Attributes that are told in lines of their own."""


def origin(attrs: Mapping[str, Any], check: bool) -> Lines:
    """From what a file was made, and by which versions; with ``check``, whether its inputs are still the same."""
    lines: Lines = [("network", str(attrs.get("network", "")))]
    lines.append(("made with", brief(_loaded(attrs.get("specification")))))
    for name, value in _loaded(attrs.get("inputs")).items():
        lines.append(("from", f"{name}, sha256 {value[:SHORT]}{_fate(Path(name), value) if check else ''}"))
    before = _loaded(attrs.get("recording"))
    if before:
        lines.append(("recorded", brief(before.get("specification", {}))))
        lines += [("from", f"{name}, sha256 {value[:SHORT]}") for name, value in before.get("inputs", {}).items()]
    lines.append(("seed", str(attrs.get("seed", ""))))
    versions = ", ".join(f"{name} {version}" for name, version in _loaded(attrs.get("versions")).items())
    lines.append(
        ("by", ", ".join(filter(None, [versions, f"commit {attrs['commit']}" if attrs.get("commit") else ""])))
    )
    if not any(text for heading, text in lines if heading in ("made with", "from", "by")):
        return [*lines, ("made with", "not said in this file")]
    return lines


def _loaded(text: Any) -> dict[str, Any]:
    return json.loads(text) if isinstance(text, str) and text else {}


def _fate(path: Path, recorded: str) -> str:
    if not path.is_file():
        return ", not there now"
    return ", unchanged" if checksum(path) == recorded else ", changed since"


def brief(spec: Any) -> str:
    """A specification in short: what is not given is left out."""
    text = _brief(spec)
    return f"{text[:LONG]} ..." if len(text) > LONG else text


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        parts = ((name, _brief(entry)) for name, entry in value.items() if entry is not None)
        return ", ".join(f"{n} ({t})" if isinstance(value[n], Mapping) else f"{n} {t}" for n, t in parts)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_brief, value))}]"
    return str(value)


def held(opened: xr.Dataset, file: h5py.File) -> Lines:
    """What a file of ours holds: flows, velocities, law, dimensions, variables and coordinates."""
    laws = [f"{v.attrs['law']} ({name})" for name, v in opened.data_vars.items() if "law" in v.attrs]
    promised = "state" in opened and opened.attrs.get("stage", "recording") == "recording"
    others = {n: v for n, v in opened.attrs.items() if n not in ELSEWHERE and not n.startswith(PREFIX)}
    others = {name: value for name, value in others.items() if value != ""}
    lines: Lines = [
        ("law", ", ".join(laws) or ("none is promised" if promised else "")),
        ("flows", velocities(opened, "flow")),
        ("velocities", velocities(opened, "velocity")),
        ("also", _brief({name: np.asarray(value).tolist() for name, value in others.items()})),
        ("dimensions", ", ".join(f"{name} {size}" for name, size in opened.sizes.items())),
    ]
    for name, values in opened.data_vars.items():
        lines.append(("variables", f"{name} ({', '.join(map(str, values.dims))}): {array(file[str(name)])}"))
    for name, values in opened.coords.items():
        lines.append(("coordinates", f"{name} ({', '.join(map(str, values.dims))}): {_values(values)}"))
    return lines


def velocities(opened: xr.Dataset, dim: str) -> str:
    """Velocities along "flow" or "velocity" in short; "" where there are none."""
    try:
        group = netcdf.group(opened, dim)
    except InputError:
        return ""
    names = [f"{dim}_{component}" for component in group.components]
    if any(name not in opened.coords or opened[name].dims != (dim,) for name in names):
        return ""
    each = list(zip(*(opened[name].values.tolist() for name in names), strict=True))
    most = int(max(abs(v) for velocity in each for v in velocity))
    box = sorted(product(range(-most, most + 1), repeat=len(names)))
    if sorted(each) == box and len(each) > 1:
        which = f"in {{{-most}..{most}}}{f'^{len(names)}' if len(names) > 1 else ''}"
    else:
        shown = [f"({', '.join(f'{v:g}' for v in velocity)})" for velocity in each]
        which = ", ".join(shown if len(each) <= FEW else [*shown[: FEW - 2], "...", shown[-1]])
    return (
        f"{len(each)} of {group.name}, ({', '.join(group.components)}) {which} {', '.join(dict.fromkeys(group.units))}"
    )


def array(stored: h5py.Dataset) -> str:
    """Type, chunks, filters and sizes of an array."""
    text = "text" if h5py.check_string_dtype(stored.dtype) else str(stored.dtype)
    chunks = f"chunks {'x'.join(map(str, stored.chunks))}" if stored.chunks else ""
    codec = f"{stored.compression} {stored.compression_opts or ''}".strip() if stored.compression else ""
    size = size_of(stored.nbytes)
    if stored.chunks:
        size += f", {size_of(stored.id.get_storage_size())} on disk"
    return ", ".join(filter(None, [text, chunks, f"{codec}{' and shuffle' * bool(stored.shuffle)}", size]))


def _values(values: xr.DataArray) -> str:
    """Range and unit of a coordinate."""
    unit, meaning = values.attrs.get("units", ""), values.attrs.get("long_name", "")
    meaning = f" ({meaning})" if meaning else ""
    if values.dtype.kind not in "iuf" or not values.size:
        few = dict.fromkeys(map(str, values.values.ravel()[:1000]))
        return f"text, {', '.join(list(few)[:3])}{', ...' if len(few) > 3 else ''}{meaning}"
    low, high = values.values.min(), values.values.max()
    return f"{values.dtype}, {f'{low:g}' if low == high else f'{low:g} to {high:g}'} {unit}".rstrip() + meaning


def size_of(count: float) -> str:
    """Bytes, readably."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.0f} GB" if count >= 1000 else f"{count:.3g} GB"
