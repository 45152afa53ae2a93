"""Files of weights and checkpoints: tensors and plain values only, so that loading one never runs code."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from flowsim.errors import Damaged, InputError
from flowsim.files.atomic import existing, whole
from flowsim.files.checksums import seal, sealed
from flowsim.files.identify import described
from flowsim.network import Network, build_from_settings
from flowsim.training.contents import check_content

FORMAT = 2
Kind = Literal["weights", "checkpoint"]


@dataclass(frozen=True)
class Identity:
    """Which training a checkpoint belongs to: everything that decides the weights at its end.

    Attributes
    ----------
    specification : dict
        `flowsim.training.settings.RunBlock.decisive`.
    seed : int
    code : str
        `flowsim.files.code_hash.training_code`.
    inputs : tuple of str
        Checksums (sha256) of the stimulus files.
    """

    specification: dict[str, Any]
    seed: int
    code: str
    inputs: tuple[str, ...]

    def to_json(self) -> str:
        """As a text that is the same for the same training."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Identity:
        """From what `to_json` returned.

        Raises
        ------
        InputError
            If it is something else.
        """
        try:
            fields = json.loads(text)
            return cls(**{**fields, "inputs": tuple(fields["inputs"])})
        except (ValueError, TypeError, KeyError):
            raise InputError(
                "expected the identity of a training; this one is of another version; train again"
            ) from None


def save(content: Mapping[str, Any], path: Path, kind: Kind) -> None:
    """Write tensors and plain values to a file that appears whole or not at all."""
    buffer = io.BytesIO()  # torch crashes where it writes to a full disk itself
    torch.save({"format": FORMAT, "kind": kind, **content}, buffer)
    with whole(path, buffer.getbuffer().nbytes) as temporary:
        temporary.write_bytes(buffer.getbuffer())
        seal(temporary)
        load(temporary, kind)


def load(path: str | Path, kind: Kind) -> dict[str, Any]:
    """Read a file that `save` wrote, and compare it with the checksums within it.

    Raises
    ------
    InputError
        If it is missing, damaged, of another format or of another kind.
    """
    path = existing(path, f"{kind} of a network")
    if not zipfile.is_zipfile(path) and not _begins_as_zip(path):
        raise InputError(f"{path}: expected {kind} by flowsim; this is {described(path)}. Check the path")
    again = f"if flowsim made it, move {path.name} away and train again"
    try:
        sealed(path)  # raises where it is not what was written
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        content = torch.load(path, map_location="cpu", weights_only=True) if damaged is None else None
    except Damaged:
        raise Damaged(
            f"{path}: expected {kind}, but it cannot be read (not what was written); {again}"
        ) from None
    except Exception as error:  # torch and zipfile raise many kinds for damaged files
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: expected {kind}, but it cannot be read ({reason}); {again}") from None
    if content is None:
        raise InputError(f"{path}: expected {kind}, but it cannot be read ({damaged} is damaged); {again}")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f"{path}: expected {kind} of format {FORMAT}; this is another file, or of another version"
        )
    if content.get("kind") not in get_args(Kind):
        raise InputError(f"{path}: expected {kind} by flowsim; this is another file. Check the path")
    if content["kind"] != kind:
        raise WrongKind(f"{path}: expected {kind}; this is a file of {content['kind']}", content["kind"])
    try:
        check_content(content, kind)
    except InputError as error:
        raise InputError(
            f"{path}: expected {kind} by flowsim, with all that belongs to them; {error}; {again}"
        ) from None
    for name in _not_finite(content):
        raise InputError(
            f"{path}: expected {kind} of finite numbers; {name} contains NaN or infinity: the training "
            "diverged, or the file is not by flowsim. Train again"
        )
    return content


def _not_finite(content: Any, name: str = "") -> Iterator[str]:
    """Names of tensors, in mappings and lists, that contain NaN or infinity."""
    if isinstance(content, torch.Tensor):
        if (content.is_floating_point() or content.is_complex()) and not content.isfinite().all():
            yield name
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _not_finite(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for key, value in enumerate(content):
            yield from _not_finite(value, f"{name}.{key}")


def _begins_as_zip(path: Path) -> bool:
    """Whether a file begins as those of torch do, and may have lost its end."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


class WrongKind(InputError):
    """A checkpoint where weights are expected, or the other way round; ``kind`` is that of the file."""

    def __init__(self, message: str, kind: Kind) -> None:
        super().__init__(message)
        self.kind: Kind = kind


def load_checkpoint(path: Path | None, identity: str) -> dict[str, Any] | None:
    """The checkpoint of a training of this identity; None where there is none at ``path``.

    A checkpoint of another training (settings, code or stimuli have changed) may have cost hours: it is not
    overwritten, but set aside under a name of its own (`aside`), where who goes back to that training finds
    it.

    Raises
    ------
    InputError
        If the checkpoint is damaged.
    """
    if path is None:
        return None
    if path.exists():
        saved = load(path, "checkpoint")
        if saved["identity"] == identity:
            return saved
        path.replace(aside(path, saved["identity"]))
    if not aside(path, identity).exists():
        return None
    aside(path, identity).replace(path)
    return load_checkpoint(path, identity)  # it is believed for what it holds, not for its name


def aside(path: Path, identity: str) -> Path:
    """Where the checkpoint of a training of this identity lies while another one has its place."""
    return path.with_suffix(f".{hashlib.sha256(identity.encode()).hexdigest()[:16]}{path.suffix}")


def load_network(path: str | Path) -> tuple[Network, dict[str, Any]]:
    """The network of a ``models/<run>.pt``, with its best weights, and the rest of the file.

    Raises
    ------
    InputError
        If the file cannot be used, or the model of that name has changed since.
    """
    content = load(path, "weights")
    settings = json.loads(content["specification"])["network"]
    height, width = content["frame_shape"]
    try:
        network = build_from_settings(settings, (height, width))
        network.load_state_dict(content["last"])
        network.load_state_dict(content["best"])
    except (InputError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: these weights do not fit the network as it is now ({reason}); train again"
        ) from None
    return network.eval().requires_grad_(False), content
