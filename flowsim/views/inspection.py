"""What is this file? In a few lines: from what it was made, what it holds, how large it is, and its law.

Of weights and checkpoints every tensor is read; of arrays, only with ``check``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files import checksums, coordinates, netcdf
from flowsim.files.atomic import existing
from flowsim.files.checksums import PREFIX, sealed
from flowsim.files.pieces import pieces
from flowsim.files.provenance import checksum
from flowsim.files.watched import whole_hdf5
from flowsim.training import weights

Lines = list[tuple[str, str]]
"""A heading and a text each; a heading that comes twice in a row is shown once, an empty text not at all."""
READS = (
    "a stimulus, weights, a checkpoint, a recording, results of an analysis, an export, a figure or a page"
)
PICTURES = {
    b"\x89png": "figure (PNG)",
    b"gif8": "animation (GIF)",
    b"<?xml": "figure (SVG)",
    b"<!doctype html": "page (HTML)",
}
"""Kinds of files without attributes, by how they begin (in lower case)."""
HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK"
PACKAGES = ("nwb", "rsatoolbox")
"""Packages whose HDF5 files have an attribute <package>_version."""
FITS = "the file fits its checksums"
UNCHECKED = "no checksums of data in this file; all of it can be read"
SHORT = 16
"""Characters of a checksum that are shown."""
LONG = 400
"""Characters of a specification that are shown."""
FEW = 5
"""Velocities that are shown one by one."""
ELSEWHERE = {
    *("stage", "specification", "inputs", "versions", "commit", "seed", "recording", "network", "format"),
    *("law", "scene", "flow_group", "velocity_group", "velocity_period"),
    *("stimulus_set_identifier", "model", "site"),
}
"""Attributes that have lines of their own, or none."""


def describe(path: str | Path, check: bool = False) -> str:
    """Say what a file is.

    Parameters
    ----------
    path : path
        Any file that flowsim writes.
    check : bool
        Read all of it, compare it with its checksums, and its inputs with theirs.

    Raises
    ------
    InputError
        If the file is missing, damaged, or none that flowsim writes.
    """
    path = existing(path, READS)
    with path.open("rb") as file:
        start = file.read(16)
    picture = next((kind for mark, kind in PICTURES.items() if start.lower().startswith(mark)), None)
    lines: Lines
    if picture is not None:
        kind, lines = picture, [("made from", "not said in files of this kind")]
    elif start.startswith(HDF5):
        kind, lines = _hdf5(path, check)
    elif start.startswith(ZIP) and path.suffix == ".npz":
        kind, lines = _arrays(path, check)
    elif start.startswith(ZIP):
        kind, lines = _torch(path, check)
    else:
        raise InputError(f"{path}: expected {READS}; this file is {'something else' if start else 'empty'}")
    return "\n".join([f"{path}: {kind}, {size_of(path.stat().st_size)}", *_laid_out(lines)])


def _laid_out(lines: Lines) -> list[str]:
    """Headings in one column, texts in another."""
    lines = [(heading, text) for heading, text in lines if text]
    width = max(len(heading) for heading, _ in lines)
    rows, heading_above = [], ""
    for heading, text in lines:
        rows.append(f"  {'' if heading == heading_above else heading:{width}}  {text}")
        heading_above = heading
    return rows


def _hdf5(path: Path, check: bool) -> tuple[str, Lines]:
    """A stimulus, a recording, results, or an export in HDF5."""
    try:
        whole_hdf5(path)
        with h5py.File(path) as file:
            package = next((name for name in PACKAGES if f"{name}_version" in file.attrs), None)
            if package is not None:
                kind = f"export ({package} {file.attrs[f'{package}_version']})"
                return kind, _foreign_lines(file, _recording_attributes(path, file, package), check)
            stage = _stage(path, file)
        with netcdf.read(path, stage) as dataset, h5py.File(path) as file:
            attrs = dataset.attrs
            lines = [*origin(attrs, check), *content_lines(dataset, file)]
            if check:
                lines.append(("check", _check_values(path, dataset, file)))
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise netcdf.damaged(path, error) from None
    settings = json.loads(attrs.get("specification") or "{}")
    name = settings.get("family") or settings.get("analysis") or settings.get("as") or attrs.get("network")
    kind = "results of an analysis" if stage == "analysis" else stage
    return f"{kind} ({name})" if name else kind, lines


def _stage(path: Path, file: h5py.File) -> str:
    """Which stage made a file; it is guessed for a file that was written from Python and does not say."""
    stage = file.attrs.get("stage")
    if stage is None and "frames" in file:
        if "context" in file.attrs:
            stage = "recording"
        elif "scene" in file.attrs or "flow_group" in file.attrs:
            stage = "stimulus"
    if stage is None:
        raise InputError(
            f"{path}: expected {READS}; this HDF5 file does not say that flowsim wrote it. See h5dump -n"
        )
    return str(stage)


def _check_values(path: Path, dataset: xr.Dataset, file: h5py.File) -> str:
    """Read everything, and compare what has a checksum with it."""
    if sealed(path) is not None:
        checksums.verify(dataset, path)
        return f"{FITS}: attributes, coordinates and variables"
    named = [name for name in dataset.variables if f"{PREFIX}{name}" in dataset.attrs]
    if named:
        checksums.verify(dataset, path)
    for name, stored in file.items():
        if name not in named and isinstance(stored, h5py.Dataset):
            _read_all(stored)
    if not named:
        return UNCHECKED
    return f"{', '.join(map(str, named))} are what was written; all else can be read"


def _read_all(stored: h5py.Dataset) -> None:
    """Read an array piece by piece: its codec raises an error if it is damaged."""
    for _ in pieces(stored):
        pass


def _recording_attributes(path: Path, file: h5py.File, package: str) -> dict[str, Any]:
    """Attributes of the recording from which a file of another package was exported."""
    try:
        if package == "nwb":
            attrs = json.loads(file["general/notes"].asstr()[()])
        else:
            attrs = dict(file["descriptors"].attrs)
    except (KeyError, ValueError):
        attrs = None
    if not isinstance(attrs, dict) or "flow_group" not in attrs:
        raise InputError(f"{path}: expected an export of flowsim; this file of {package} is by somebody else")
    return attrs


def _foreign_lines(file: h5py.File, attrs: Mapping[str, Any], check: bool) -> Lines:
    """Provenance and every array of a file of another package."""
    lines: Lines = [*origin(attrs, check), ("law", str(attrs.get("law", "")))]

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape and not name.startswith("specifications"):
            lines.append(("holds", f"{name} {'x'.join(map(str, item.shape))}: {storage(item)}"))
            if check:
                _read_all(item)

    file.visititems(visit)
    return [*lines, ("check", UNCHECKED if check else "")]


def _arrays(path: Path, check: bool) -> tuple[str, Lines]:
    """A file that `flowsim.exports.as_numpy.to_numpy` wrote."""
    try:
        with np.load(path) as arrays, zipfile.ZipFile(path) as archive:
            attributes = json.loads(str(arrays["attributes"]))
            dimensions = json.loads(str(arrays["dimensions"]))
            sizes = {name: size_of(archive.getinfo(f"{name}.npy").file_size) for name in dimensions}
            damaged = archive.testzip() if check else None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: expected arrays that flowsim exported, but they cannot be read ({error}); "
            "export them again"
        ) from None
    if damaged:
        raise InputError(f"{path}: {damaged} is damaged; export it again")
    laws = [f"{attrs['law']} ({name})" for name, attrs in attributes.items() if "law" in attrs]
    lines: Lines = [*origin(attributes[""], check), ("law", ", ".join(laws))]
    lines += [("holds", f"{name} ({', '.join(dims)}): {sizes[name]}") for name, dims in dimensions.items()]
    lines.append(("check", "every array fits its checksum" if check else ""))
    return "export (numpy)", lines


def _torch(path: Path, check: bool) -> tuple[str, Lines]:
    """Weights or a checkpoint; reading them compares them with the checksums within."""
    content = _content(path)
    name, tensors, lines = (
        _checkpoint(content, check) if content["kind"] == "checkpoint" else _weights(path, content, check)
    )
    values = sum(tensor.numel() for tensor in tensors.values())
    lines.append(("holds", f"{values} values in {len(tensors)} tensors"))
    for tensor_name, tensor in tensors.items():
        shape = "x".join(map(str, tensor.shape))
        lines.append(("tensors", f"{tensor_name} {shape} {str(tensor.dtype).removeprefix('torch.')}"))
    lines.append(("check", FITS if check else ""))
    return f"{content['kind']} ({name})", lines


def _checkpoint(content: dict[str, Any], check: bool) -> tuple[str, dict[str, Any], Lines]:
    """Name, tensors and first lines of a checkpoint."""
    identity = weights.Identity.from_json(content["identity"])
    specification = identity.specification
    attrs = {"specification": json.dumps(specification), "seed": identity.seed, "inputs": "{}"}
    sequences, best = _progress(content)
    lines: Lines = [*origin(attrs, check), ("code", f"hash {identity.code}")]
    lines += [("from", f"a file of sha256 {checksum[:SHORT]}") for checksum in identity.inputs]
    wanted = specification["train"]["sequences"]
    lines.append(
        ("trained", f"{sequences} of {wanted} sequences, {best}; the same train command goes on from here")
    )
    lines.append(("law", ""))
    return specification.get("name") or specification["network"]["model"], content["network"], lines


def _weights(path: Path, content: dict[str, Any], check: bool) -> tuple[str, dict[str, Any], Lines]:
    """Name, tensors and first lines of trained weights."""
    sequences, best = _progress(content)
    seen = f"partial, {content['partial']}" if content["partial"] else f"{sequences} sequences"
    size = "x".join(map(str, content["frame_shape"]))
    lines: Lines = [*origin(content, check)]
    lines.append(("trained", f"{seen} on {content['hardware']}, {best}; frames {size} px"))
    lines.append(("kept at", ", ".join(f"{seen:,}" for seen in content.get("checkpoints", {}))))
    lines.append(("law", _law(path)))
    return content["name"], content["best"], lines


def _progress(content: dict[str, Any]) -> tuple[int, str]:
    """Sequences seen so far, and the best validation loss in words."""
    curve = content["curve"]
    return curve["sequences"][-1], f"best validation loss {min(curve['valid_loss']):.3g}"


def _content(path: Path) -> dict[str, Any]:
    """The content of a file of weights or a checkpoint; its ending says which of them to expect."""
    try:
        try:
            return weights.load(path, "checkpoint" if path.suffix == ".ckpt" else "weights")
        except weights.WrongKind as error:
            return weights.load(path, error.kind)
    except KeyError:
        raise InputError(
            f"{path}: expected weights or a checkpoint; this is of another version; train again"
        ) from None


def _law(path: Path) -> str:
    try:
        law = weights.load_network(path)[0].law
    except InputError:
        return "not known: the network is no longer what it was"
    return "none is promised" if law is None else str(law)


def origin(attrs: Mapping[str, Any], check: bool) -> Lines:
    """From what a file was made, and by which versions.

    With ``check`` also whether its inputs are still the same.
    """
    made_with = brief(_from_json(attrs.get("specification")))
    inputs: Lines = [
        ("from", f"{name}, sha256 {value[:SHORT]}{_input_state(Path(name), value) if check else ''}")
        for name, value in _from_json(attrs.get("inputs")).items()
    ]
    by = [f"{name} {version}" for name, version in _from_json(attrs.get("versions")).items()]
    if attrs.get("commit"):
        by.append(f"commit {attrs['commit']}")
    lines: Lines = [
        ("network", str(attrs.get("network", ""))),
        ("made with", made_with),
        *inputs,
        *_recorded_lines(_from_json(attrs.get("recording"))),
        ("seed", str(attrs.get("seed", ""))),
        ("by", ", ".join(by)),
    ]
    if not any(text for heading, text in lines if heading in ("made with", "from", "by")):
        lines.append(("made with", "not said in this file"))
    return lines


def _recorded_lines(recording: Mapping[str, Any]) -> Lines:
    """From what the recording was made that was exported."""
    if not recording:
        return []
    inputs = recording.get("inputs", {}).items()
    return [
        ("recorded", brief(recording.get("specification", {}))),
        *(("from", f"{name}, sha256 {value[:SHORT]}") for name, value in inputs),
    ]


def _from_json(text: Any) -> dict[str, Any]:
    """The content of an attribute; nothing where there is no such attribute."""
    return json.loads(text) if isinstance(text, str) and text else {}


def _input_state(path: Path, recorded_checksum: str) -> str:
    """Whether an input is still the file that was read."""
    if not path.is_file():
        return ", not there now"
    return ", unchanged" if checksum(path) == recorded_checksum else ", changed since"


def brief(spec: Any) -> str:
    """A specification in short: what is not given is left out."""
    text = _brief(spec)
    return f"{text[:LONG]} ..." if len(text) > LONG else text


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        entries = [(name, entry) for name, entry in value.items() if entry is not None]
        return ", ".join(
            f"{name} ({_brief(entry)})" if isinstance(entry, Mapping) else f"{name} {_brief(entry)}"
            for name, entry in entries
        )
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_brief, value))}]"
    return str(value)


def content_lines(dataset: xr.Dataset, file: h5py.File) -> Lines:
    """What a netCDF file holds: flows, velocities, law, dimensions, variables and coordinates."""
    others = {
        name: np.asarray(value).tolist()
        for name, value in dataset.attrs.items()
        if name not in ELSEWHERE and not name.startswith(PREFIX) and value != ""
    }
    lines: Lines = [
        ("law", _laws(dataset)),
        ("flows", velocities_in_words(dataset, "flow")),
        ("velocities", velocities_in_words(dataset, "velocity")),
        ("also", _brief(others)),
        ("dimensions", ", ".join(f"{name} {size}" for name, size in dataset.sizes.items())),
    ]
    for name, values in dataset.data_vars.items():
        lines.append(("variables", f"{_with_dims(values)}: {storage(file[str(name)])}"))
    for values in dataset.coords.values():
        lines.append(("coordinates", f"{_with_dims(values)}: {_range(values)}"))
    return lines


def _laws(dataset: xr.Dataset) -> str:
    laws = [f"{v.attrs['law']} ({name})" for name, v in dataset.data_vars.items() if "law" in v.attrs]
    is_recording = "state" in dataset and dataset.attrs.get("stage", "recording") == "recording"
    if not laws and is_recording:
        return "none is promised"
    return ", ".join(laws)


def _with_dims(values: xr.DataArray) -> str:
    return f"{values.name} ({', '.join(map(str, values.dims))})"


def velocities_in_words(dataset: xr.Dataset, dim: str) -> str:
    """Velocities along "flow" or "velocity" in short; "" where there are none."""
    try:
        group = coordinates.group(dataset, dim)
    except InputError:
        return ""
    names = [f"{dim}_{component}" for component in group.components]
    if any(name not in dataset.coords or dataset[name].dims != (dim,) for name in names):
        return ""
    each = list(zip(*(dataset[name].values.tolist() for name in names), strict=True))
    components, units = ", ".join(group.components), ", ".join(dict.fromkeys(group.units))
    return f"{len(each)} of {group.name}, ({components}) {_box_or_list(each)} {units}"


def _box_or_list(each: list[tuple[float, ...]]) -> str:
    """Velocities as the box {-2..2}^2 if they fill one, otherwise one by one."""
    largest = int(max(abs(component) for velocity in each for component in velocity))
    dimensions = len(each[0])
    box = sorted(product(range(-largest, largest + 1), repeat=dimensions))
    if sorted(each) == box and len(each) > 1:
        interval = f"{{{-largest}..{largest}}}"
        return f"in {interval}^{dimensions}" if dimensions > 1 else f"in {interval}"
    texts = [f"({', '.join(f'{component:g}' for component in velocity)})" for velocity in each]
    if len(texts) > FEW:
        texts = [*texts[: FEW - 2], "...", texts[-1]]
    return ", ".join(texts)


def storage(stored: h5py.Dataset) -> str:
    """Type, chunks, filters and sizes of an array in a file."""
    parts = ["text" if h5py.check_string_dtype(stored.dtype) else str(stored.dtype)]
    if stored.chunks:
        parts.append(f"chunks {'x'.join(map(str, stored.chunks))}")
    if stored.compression:
        codec = f"{stored.compression} {stored.compression_opts or ''}".strip()
        parts.append(f"{codec} and shuffle" if stored.shuffle else codec)
    parts.append(size_of(stored.nbytes))
    if stored.chunks:
        parts.append(f"{size_of(stored.id.get_storage_size())} on disk")
    return ", ".join(parts)


def _range(values: xr.DataArray) -> str:
    """Type, range and unit of a coordinate."""
    meaning = f" ({values.attrs['long_name']})" if values.attrs.get("long_name") else ""
    if values.dtype.kind not in "iuf" or not values.size:
        different = list(dict.fromkeys(map(str, values.values.ravel()[:1000])))
        few = different[:3] + ["..."] * (len(different) > 3)
        return f"text, {', '.join(few)}{meaning}"
    low, high = values.values.min(), values.values.max()
    interval = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    unit = values.attrs.get("units", "")
    return f"{values.dtype}, {interval} {unit}".rstrip() + meaning


def size_of(count: float) -> str:
    """Bytes, readably."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.0f} GB" if count >= 1000 else f"{count:.3g} GB"
