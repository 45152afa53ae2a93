"""Shared by all tests: small worlds and small brains, in float64 where exactness is asked for.

Fixtures that several test files use are here. Plain functions and constants that several of them use are in
the package `tests.known`, and imported as ``from tests.known.states import lawful``; the setting ``pythonpath`` of
pytest in pyproject.toml puts the root of the repository on the path, for ``pytest`` and ``python -m pytest``.
"""

import sys

import numpy as np
import pytest
import torch
import xarray as xr
from filelock import FileLock
from hypothesis import settings

from flowsim import Translation, build, open_recording, record
from flowsim.files import coordinates
from flowsim.scenes.control import drawn
from stimuli import motion_panel, moving_digits
from tests.known.calibration import Calibration
from tests.known.results import results_of as results_of_runs

torch.set_num_threads(1)
settings.register_profile("flowsim", deadline=None, derandomize=True)
settings.load_profile("flowsim")
INTERVENE = {
    "law": {"law": (0, 1)},
    "transport": {"law": (0, 1), "part": "transport"},
    "shift": {"law": (0, 1), "part": "shift"},
    "trial": {"trial": 1},
}
SMALL = {"height": 9, "width": 8, "trials": 3, "frames": 6}
WORKED_OUT = {
    "probe": {"fixed_points": {"flows": 2, "multipliers": 2}},
    "test": {"exponents": {"number": 2, "rollout": 4}},
}
"""What is worked out of the networks of `runs` for recordings of a split."""


@pytest.fixture(autouse=True)
def nothing_is_left_by_other_tests():
    torch.manual_seed(0)
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def calibration(record_property):
    """Judges what simulations count, and hands it to the report: see `Calibration`."""
    return Calibration(record_property)


@pytest.fixture
def probe(rng):
    return moving_digits.generate("probe", rng, **SMALL)


@pytest.fixture
def fernn():
    torch.manual_seed(0)
    return build("fernn", (9, 8), max_speed=1, channels=3, decoder_layers=1)


@pytest.fixture
def grnn():
    torch.manual_seed(0)
    return build("fernn", (9, 8), max_speed=0, channels=3, decoder_layers=1)


@pytest.fixture
def recording():
    """A factory of recordings whose content is chosen: see `_recording`."""
    return _recording


def _recording(
    state=None, flows=((0, 0),), velocities=((0, 0),), frames=None, prediction=None, times=None, **attrs
):
    """A recording as `flowsim.record` writes it, from a state (flow, trial, time, velocity, channel, y, x)."""
    frame = ("flow", "trial", "time", "y", "x")
    variables = {}
    if state is not None:
        variables["state"] = (("flow", "trial", "time", "velocity", "channel", "y", "x"), np.asarray(state))
    if frames is not None:
        variables |= {"frames": (frame, frames), "prediction": (frame, prediction)}
    made = xr.Dataset(variables, attrs={"flow_group": "translation", **attrs})
    coords = coordinates.velocity_coords("flow", Translation(), flows)
    coords |= coordinates.velocity_coords("velocity", Translation(), velocities)
    coords["time"] = np.arange(made.sizes["time"]) if times is None else times
    return made.assign_coords(coords)


@pytest.fixture
def predicted(recording, rng):
    """A factory of recordings whose prediction of frame t is wrong by ``error(ahead)`` everywhere."""

    def make(error, context=3, time=11, trials=4, **attrs):
        frames = rng.random((1, trials, time, 4, 5))
        ahead = np.arange(time) - context + 1
        wrong = np.where(ahead > 0, [error(max(a, 0)) for a in ahead], 0)
        prediction = frames + wrong[:, None, None]
        prediction[:, :, 0] = np.nan
        return recording(frames=frames, prediction=prediction, context=context, **attrs)

    return make


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    """Recordings of four small runs: {run: {"test", "sweep", "probe", "control": lazily opened recording}}, and
    "motion_tuning", the sweep of another stimulus, for the analysis of that name.

    They are made once, also where several processes share the tests.
    """
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent
    with FileLock(folder / "runs.lock"):
        if not (folder / "runs").exists():
            (folder / "runs.part").mkdir()
            _record_runs(folder / "runs.part")
            (folder / "runs.part").rename(folder / "runs")
    made = {}
    for file in sorted((folder / "runs").glob("*.h5")):
        run, split = file.stem.split("@")
        made.setdefault(run, {})[split] = open_recording(file)
    return made


def _record_runs(folder):
    """Write RUN@SPLIT.h5 for every run and split of `runs`."""
    size = {"height": 8, "width": 9}
    few = {"directions": 6, "grid_directions": [0.0]}
    few |= {name: [0.0625, 0.125, 0.25] for name in ("grid_spatial", "grid_temporal")}
    stimuli = {
        "test": moving_digits.generate("test", np.random.default_rng(0), trials=4, frames=12, **size),
        "sweep": moving_digits.generate("sweep", np.random.default_rng(1), trials=1, frames=6, **size),
        "probe": moving_digits.generate("probe", np.random.default_rng(2), trials=2, frames=6, **size),
        "control": drawn(
            moving_digits.generate, "control", np.random.default_rng(3), trials=8, frames=6, **size
        ),
        "motion_tuning": motion_panel.generate(
            "sweep", np.random.default_rng(4), trials=3, frames=4, **few, **size
        ),
    }
    for name, max_speed in (("fernn", 1), ("grnn", 0)):
        for seed in (0, 1):
            torch.manual_seed(seed)
            network = build("fernn", (8, 9), max_speed=max_speed, channels=3, decoder_layers=1, classes=10)
            curve = {"sequences": [8, 16, 24], "valid_loss": [0.3, 0.2 + 0.01 * seed, 0.1]}
            for split, stimulus in stimuli.items():
                other = {name: 0.5 * tensor for name, tensor in network.state_dict().items()}
                record(
                    *(network, stimulus, folder / f"{name}-seed{seed}@{split}.h5"),
                    context=3 if split in ("test", "sweep") else None,
                    sites=("state",) if split == "motion_tuning" else ("state", "prediction", "logits"),
                    channels=1 if split == "motion_tuning" else None,
                    blank={"at": 3} if split == "probe" else None,
                    checkpoints={0: other, 24: network.state_dict()} if split == "probe" else None,
                    intervene=INTERVENE if split == "test" else None,
                    curve=curve,
                    attrs={"network": name, "seed": str(seed), "horizon": 3},
                    **WORKED_OUT.get(split, {}),
                )


@pytest.fixture(scope="session")
def results_of(runs, tmp_path_factory):
    """Results of an analysis for the four small runs, computed once."""
    known = {}

    def results(analysis):
        if analysis not in known:
            known[analysis] = results_of_runs(analysis, runs, tmp_path_factory.mktemp("results"))
        return known[analysis].copy(deep=True)

    return results


@pytest.fixture(scope="session")
def kth_videos():
    """A factory of folders like that of the KTH actions: see `_kth_videos`."""
    pytest.importorskip("av", reason="PyAV is not installed")
    return _kth_videos


def _kth_videos(folder, videos, size=(120, 160)):
    """Write videos {name: (number of frames, annotation or None)}; frame n (from 1) is of grey 50 + 4n, and
    darker left.
    """
    import av

    folder.mkdir(parents=True, exist_ok=True)
    lines = ["Training:   person11, 12\r", "\r"]
    for name, (frames, annotation) in videos.items():
        if annotation is not None:
            lines.append(f"{name}\t\t{annotation}\r")
        if not frames:
            continue
        with av.open(str(folder / f"{name}_uncomp.avi"), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.height, stream.width, stream.pix_fmt, stream.bit_rate = *size, "yuv420p", 10**7
            stream.codec_context.thread_count = 1  # the same bytes on any number of cores
            for n in range(1, frames + 1):
                picture = np.full((*size, 3), 50 + 4 * n, np.uint8)
                picture[:, : size[1] // 4] -= 40
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode(None))
    (folder / "00sequences.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def kth_folder(kth_videos, tmp_path_factory):
    """A complete folder of small videos, with persons of every split and two actions; its cache is beside it."""
    names = [
        f"person{person:02}_{action}_d1" for person in (11, 19, 22, 2) for action in ("boxing", "walking")
    ]
    return kth_videos(
        tmp_path_factory.mktemp("kth") / "kth", dict.fromkeys(names, (40, "frames\t1-17, 20-40"))
    )


@pytest.fixture(autouse=True)
def outside_data(request, monkeypatch):
    """Stimuli made from data that do not come with flowsim find small ones of the same form, or are skipped
    by name.
    """
    if getattr(request.node, "callspec", None) and request.node.callspec.params.get("family") == "moving_kth":
        folder = request.getfixturevalue("kth_folder")
        monkeypatch.setenv("FLOWSIM_DATA", str(folder))
        monkeypatch.setenv("FLOWSIM_CACHE", str(folder.parent / "cache"))
