"""Files of weights: tensors and plain values only, so that loading one never runs code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from flowsim.errors import InputError
from flowsim.files.atomic import existing, whole
from flowsim.network import Network, build

FORMAT = 2
Kind = Literal["weights", "checkpoint"]


def save(content: Mapping[str, Any], path: Path, kind: Kind) -> None:
    """Write tensors and plain values; the file appears whole or not at all."""
    with whole(path) as temporary:
        torch.save({"format": FORMAT, "kind": kind, **content}, temporary)
        load(temporary, kind)


def load(path: str | Path, kind: Kind) -> dict[str, Any]:
    """Read a file that `save` wrote, checking the checksums within it.

    Raises
    ------
    InputError
        If it is missing, damaged, of another format or another kind.
    """
    path = existing(path, f"{kind} of a network")
    again = f"delete {path.name} and train again"
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        content = torch.load(path, map_location="cpu", weights_only=True) if damaged is None else None
    except Exception as error:  # torch and zipfile raise many kinds for damaged files
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: expected {kind}, but it cannot be read ({reason}); {again}") from None
    if content is None:
        raise InputError(f"{path}: expected {kind}, but it cannot be read ({damaged} is damaged); {again}")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f"{path}: expected {kind} of format {FORMAT}; this is another file, or of another version"
        )
    if content["kind"] != kind:
        raise WrongKind(f"{path}: expected {kind}; this is a file of {content['kind']}", content["kind"])
    return content


class WrongKind(InputError):
    """A checkpoint where weights are expected, or the other way round; ``kind`` is that of the file."""

    def __init__(self, message: str, kind: Kind) -> None:
        super().__init__(message)
        self.kind: Kind = kind


def load_checkpoint(path: Path | None, identity: str) -> dict[str, Any] | None:
    """What `save` left at ``path`` for a training of this identity; None where there is no such checkpoint.

    One of another training (settings, code or stimuli have changed) may have cost hours: it is kept, as
    ``.before``.

    Raises
    ------
    InputError
        If the checkpoint is damaged.
    """
    if path is None or not path.exists():
        return None
    saved = load(path, "checkpoint")
    if saved["identity"] == identity:
        return saved
    path.replace(path.with_name(f"{path.name}.before"))
    return None


def load_network(path: str | Path) -> tuple[Network, dict[str, Any]]:
    """The network of a ``models/<run>.pt``, with its best weights, and the rest of the file.

    Raises
    ------
    InputError
        If the file cannot be used, or the model of that name has changed since.
    """
    content = load(path, "weights")
    settings = json.loads(content["specification"])["network"]
    try:
        network = build(settings.pop("model"), tuple(content["frame_shape"]), **settings)
        network.load_state_dict(content["best"])
    except (InputError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: these weights do not fit the network as it is now ({reason}); train again"
        ) from None
    return network.eval().requires_grad_(False), content
