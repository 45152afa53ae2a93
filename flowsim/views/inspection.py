"""What is this file? In a few lines: from what it was made, what it holds, how large it is, and its law.

Of weights and checkpoints every tensor is read; of arrays, only with ``check``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files import checksums, coordinates, netcdf
from flowsim.files.atomic import existing
from flowsim.files.checksums import PREFIX
from flowsim.files.pieces import pieces
from flowsim.files.provenance import checksum
from flowsim.training import weights

READS = (
    "a stimulus, weights, a checkpoint, a recording, results of an analysis, an export, a figure or a page"
)
PICTURES = {
    b"\x89png": "figure (PNG)", b"gif8": "animation (GIF)", b"<?xml": "figure (SVG)", b"<!doctype html": "page (HTML)"
}  # fmt: skip
UNCHECKED = "no checksums of data in this file; all of it can be read"
HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK"


def describe(path: str | Path, check: bool = False) -> str:
    """Say what a file is.

    Parameters
    ----------
    path : path
        Of any file that flowsim writes.
    check : bool
        Read all of it, compare it with its checksums, and its inputs with theirs.

    Raises
    ------
    InputError
        If the file is missing or damaged, or no file of flowsim.
    """
    path = existing(path, READS)
    with path.open("rb") as file:
        begin = file.read(16)
    picture = next((what for start, what in PICTURES.items() if begin.lower().startswith(start)), None)
    if picture is not None:
        what, lines = picture, [("made from", "not said in files of this kind")]
    elif begin.startswith(HDF5):
        what, lines = _hdf5(path, check)
    elif begin.startswith(ZIP):
        what, lines = _arrays(path, check) if path.suffix == ".npz" else _torch(path, check)
    else:
        raise InputError(f"{path}: expected {READS}; this file is {'something else' if begin else 'empty'}")
    lines = [(heading, text) for heading, text in lines if text]
    width = max(len(heading) for heading, _ in lines)
    headings = ["", *(heading for heading, _ in lines)]
    once = [own if own != before else "" for before, own in pairwise(headings)]
    body = [f"  {heading:{width}}  {text}" for heading, (_, text) in zip(once, lines, strict=True)]
    return "\n".join([f"{path}: {what}, {size_of(path.stat().st_size)}", *body])


def _hdf5(path: Path, check: bool) -> tuple[str, Lines]:
    try:
        with h5py.File(path) as file:
            for package in ("nwb", "rsatoolbox"):
                if f"{package}_version" in file.attrs:
                    what = f"export ({package} {file.attrs[f'{package}_version']})"
                    return what, _foreign(file, _notes(path, file, package), check)
            stage = _stage(path, file)
        with netcdf.read(path, stage) as opened, h5py.File(path) as file:
            attrs = opened.attrs
            lines = [*origin(attrs, check), *held(opened, file)]
            if check:
                lines.append(("check", _checked(path, opened, file)))
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise netcdf.damaged(path, error) from None
    spec = json.loads(attrs.get("specification") or "{}")
    of = spec.get("family") or spec.get("analysis") or spec.get("as") or attrs.get("network")
    return f"{'results of an analysis' if stage == 'analysis' else stage}{f' ({of})' if of else ''}", lines


def _stage(path: Path, file: h5py.File) -> str:
    """Which stage made a file; one that was written from Python may not say so itself."""
    guessed = (
        "recording"
        if "context" in file.attrs
        else "stimulus"
        if {"scene", "flow_group"} & set(file.attrs)
        else None
    )
    stage = file.attrs.get("stage", guessed if "frames" in file else None)
    if stage is None:
        raise InputError(
            f"{path}: expected {READS}; this HDF5 file does not say that flowsim wrote it. See h5dump -n"
        )
    return str(stage)


def _checked(path: Path, opened: xr.Dataset, file: h5py.File) -> str:
    """Read everything; what has a checksum is compared with it."""
    named = [name for name in opened.variables if f"{checksums.PREFIX}{name}" in opened.attrs]
    if named:
        checksums.verify(opened, path)
    for name, stored in file.items():
        if name not in named and isinstance(stored, h5py.Dataset):
            for _ in pieces(stored):
                pass
    if not named:
        return UNCHECKED
    return f"{', '.join(map(str, named))} are what was written; all else can be read"


def _notes(path: Path, file: h5py.File, package: str) -> dict[str, Any]:
    """Attributes of a recording in a file of another package."""
    try:
        notes = file["general/notes"].asstr()[()] if package == "nwb" else None
        attrs = dict(file["descriptors"].attrs) if notes is None else json.loads(notes)
    except (KeyError, ValueError):
        attrs = None
    if not isinstance(attrs, dict) or "flow_group" not in attrs:
        raise InputError(f"{path}: expected an export of flowsim; this file of {package} is by somebody else")
    return attrs


def _foreign(file: h5py.File, attrs: Mapping[str, Any], check: bool) -> Lines:
    """A file of another package: provenance, and every array."""
    lines: Lines = [*origin(attrs, check), ("law", str(attrs.get("law", "")))]

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape and not name.startswith("specifications"):
            lines.append(("holds", f"{name} {'x'.join(map(str, item.shape))}: {array(item)}"))
            for _ in pieces(item) if check else ():
                pass

    file.visititems(visit)
    return [*lines, ("check", UNCHECKED if check else "")]


def _arrays(path: Path, check: bool) -> tuple[str, Lines]:
    """A file that `flowsim.exports.as_numpy.to_numpy` wrote."""
    try:
        with np.load(path) as arrays, zipfile.ZipFile(path) as archive:
            attrs, dims = (json.loads(str(arrays[name])) for name in ("attributes", "dimensions"))
            sizes = {name: size_of(archive.getinfo(f"{name}.npy").file_size) for name in dims}
            damaged = archive.testzip() if check else None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: expected arrays that flowsim exported, but they cannot be read ({error}); export them again"
        ) from None
    if damaged:
        raise InputError(f"{path}: {damaged} is damaged; export it again")
    laws = [f"{of['law']} ({name})" for name, of in attrs.items() if "law" in of]
    holds = [("holds", f"{name} ({', '.join(over)}): {sizes[name]}") for name, over in dims.items()]
    checked = "every array fits its checksum" if check else ""
    return "export (numpy)", [*origin(attrs[""], check), ("law", ", ".join(laws)), *holds, ("check", checked)]


def _torch(path: Path, check: bool) -> tuple[str, Lines]:
    """Weights or a checkpoint; reading them compares them with the checksums within."""
    content = _content(path)
    curve = content["curve"]
    done, best = curve["sequences"][-1], f"best validation loss {min(curve['valid_loss']):.3g}"
    if content["kind"] == "checkpoint":
        identity = weights.Identity.from_json(content["identity"])
        spec = identity.specification
        told = {"specification": json.dumps(spec), "seed": identity.seed, "inputs": "{}"}
        of, tensors, law = spec.get("name") or spec["network"]["model"], content["network"], ""
        trained = f"{done} of {spec['train']['sequences']} sequences, {best}; the same train command goes on from here"
        made: Lines = [*origin(told, check), ("code", f"hash {identity.code}")]
        made += [("from", f"a file of sha256 {value[:SHORT]}") for value in identity.inputs]
    else:
        told, of, tensors, law = content, content["name"], content["best"], _law(path)
        whole = f"partial, {content['partial']}" if content["partial"] else f"{done} sequences"
        size = "x".join(map(str, content["frame_shape"]))
        trained = f"{whole} on {content['hardware']}, {best}; frames {size} px"
        made = origin(told, check)
    count = sum(tensor.numel() for tensor in tensors.values())
    shapes = [
        f"{n} {'x'.join(map(str, t.shape))} {str(t.dtype).removeprefix('torch.')}" for n, t in tensors.items()
    ]
    lines = [*made, ("trained", trained), ("law", law), ("holds", f"{count} values in {len(shapes)} tensors")]
    lines += [("tensors", text) for text in shapes]
    return f"{content['kind']} ({of})", [*lines, ("check", "the file fits its checksums" if check else "")]


def _content(path: Path) -> dict[str, Any]:
    kinds: tuple[weights.Kind, ...] = (
        ("checkpoint", "weights") if path.suffix == ".ckpt" else ("weights", "checkpoint")
    )
    try:
        return weights.load(path, kinds[0])
    except KeyError:
        raise InputError(
            f"{path}: expected weights or a checkpoint; this is of another version; train again"
        ) from None
    except InputError as error:
        if f"this is a file of {kinds[1]}" in str(error):
            return weights.load(path, kinds[1])
        raise


def _law(path: Path) -> str:
    try:
        law = weights.load_network(path)[0].law
    except InputError:
        return "not known: the network is no longer what it was"
    return "none is promised" if law is None else str(law)


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
    """From what a file was made, and by which versions; with ``check``, whether its inputs are still the
    same.
    """
    lines: Lines = [("network", str(attrs.get("network", "")))]
    lines.append(("made with", brief(_loaded(attrs.get("specification")))))
    for name, value in _loaded(attrs.get("inputs")).items():
        lines.append(("from", f"{name}, sha256 {value[:SHORT]}{_fate(Path(name), value) if check else ''}"))
    before = _loaded(attrs.get("recording"))
    if before:
        lines.append(("recorded", brief(before.get("specification", {}))))
        lines += [
            ("from", f"{name}, sha256 {value[:SHORT]}") for name, value in before.get("inputs", {}).items()
        ]
    lines.append(("seed", str(attrs.get("seed", ""))))
    versions = ", ".join(f"{name} {version}" for name, version in _loaded(attrs.get("versions")).items())
    lines.append(
        (
            "by",
            ", ".join(filter(None, [versions, f"commit {attrs['commit']}" if attrs.get("commit") else ""])),
        )
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
        group = coordinates.group(opened, dim)
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
    return f"{len(each)} of {group.name}, ({', '.join(group.components)}) {which} {', '.join(dict.fromkeys(group.units))}"


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
    return (
        f"{values.dtype}, {f'{low:g}' if low == high else f'{low:g} to {high:g}'} {unit}".rstrip() + meaning
    )


def size_of(count: float) -> str:
    """Bytes, readably."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.0f} GB" if count >= 1000 else f"{count:.3g} GB"
