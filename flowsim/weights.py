"""Files of weights: tensors and plain values only, so that loading one never runs code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from flowsim.errors import InputError
from flowsim.files import existing, whole
from flowsim.network import Network, build

FORMAT = 1


def save(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values; the file appears whole or not at all."""
    with whole(path) as temporary:
        torch.save(dict(content), temporary)
        load(temporary, "a file of weights")


def load(path: str | Path, what: str = "trained weights (.pt)") -> dict[str, Any]:
    """Read a file that `save` wrote.

    Raises
    ------
    InputError
        If it is missing, damaged or of another format.
    """
    path = existing(path, what)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: expected {what}, but it cannot be read ({reason[:120]}); delete it and train again"
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: expected {what} of format {FORMAT}; this is another file, or of another version")
    return content


def load_checkpoint(path: Path | None, identity: str) -> dict[str, Any] | None:
    """What `save` left at ``path`` for a training of this identity; None where there is no such checkpoint.

    Raises
    ------
    InputError
        If the checkpoint is damaged.
    """
    if path is None or not path.exists():
        return None
    saved = load(path, "a training checkpoint (.ckpt)")
    return saved if saved["identity"] == identity else None


def load_network(path: str | Path) -> tuple[Network, dict[str, Any]]:
    """The network of a ``models/<run>.pt``, with its best weights, and the rest of the file."""
    content = load(path)
    spec = json.loads(content["specification"])
    settings = dict(spec["network"])
    network = build(settings.pop("model"), tuple(content["frame_shape"]), **settings)
    network.load_state_dict(content["best"])
    return network.eval().requires_grad_(False), content
