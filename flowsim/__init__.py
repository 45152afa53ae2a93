"""flowsim: how does a recurrent network's inner state move when the world moves?

The names below are loaded when first used, so that importing flowsim does nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

HOMES = {
    "Flow": "flows.flow",
    "Rotation": "flows.rotation",
    "Spiral": "flows.spiral",
    "Translation": "flows.translation",
    "Law": "flows.law",
    "VelocityGrid": "flows.velocity_grid",
    "Network": "network",
    "build": "network",
    "from_frames": "scenes.from_frames",
    "record": "recording.record",
    "open_recording": "recording.open",
    "Site": "recording.sites",
    "Units": "recording.thinning",
    "InputError": "errors",
}
__all__ = [*HOMES]


def __getattr__(name):  # type: ignore[no-untyped-def]  # of any type
    if name not in HOMES:
        raise AttributeError(f"module 'flowsim' has no attribute {name!r}")
    return getattr(import_module(f"flowsim.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
