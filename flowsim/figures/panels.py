"""What figures are put together from."""

from __future__ import annotations

import xarray as xr


def thinned(results: xr.Dataset) -> str:
    """What a figure is to say of the channels that were left out; nothing if none were."""
    kept = float(results.kept.min())
    return "" if kept == 1 else f", a random {kept:.2g} of channels"
