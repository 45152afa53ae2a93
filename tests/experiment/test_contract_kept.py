"""What a user's own ideas make is held to the contract of their kind before the first job, in a line that
names the file.
"""

from pathlib import Path

import pytest

from flowsim import InputError
from flowsim.experiment.check import checked

STIMULUS = """
import numpy as np
import xarray as xr


def generate(split, rng, trials=4):
    frames = rng.random((trials, 6, 5, 6)).astype("float32")
    if split != "probe":
        return xr.Dataset({"frames": (("trial", "time", "y", "x"), frames)})
    flows = [(0, 0), (0, 1)]
    moved = [np.stack([np.roll(frames[:, t], (vy * t, vx * t), (-2, -1)) for t in range(6)], 1) for vy, vx in flows]
    coords = {"flow_vy": ("flow", [0, 0]), "flow_vx": ("flow", [0, 1])}
    return xr.Dataset({"frames": (("flow", "trial", "time", "y", "x"), np.stack(moved))}, coords)
"""
NETWORK = """
import torch
from flowsim import Network


def build(frame_shape, units=3):
    return Mine(frame_shape[0] * frame_shape[1], units)


class Mine(Network):
    def __init__(self, pixels, units):
        super().__init__()
        self.cell, self.out = torch.nn.GRUCell(pixels, units), torch.nn.Linear(units, pixels)

    def start(self, trials):
        return (self.out.weight.new_zeros(trials, 1, self.cell.hidden_size, 1, 1),)

    def decode(self, state):
        return self.out(state[0].flatten(1)).unflatten(1, (1, *self.frame_shape))

    def update(self, state, frame):
        return (self.cell(frame.flatten(1), state[0].flatten(1))[:, None, :, None, None],)
"""
ANALYSIS = '''"""How large is the state?"""
READS = "probe"


def analyse(recording, power=1):
    return (abs(recording.state) ** power).mean(["flow", "trial", "unit"]).to_dataset(name="size")


def answers(results):
    return {"size": results["size"].mean("time")}


def figure(results):
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    ax.plot(results["size"].T)
    return fig
'''
EXPERIMENT = """
title: All of one's own
stimulus: {family: kept_stimulus, all: {trials: 3}}
networks:
  mine: {model: kept_network, units: 4}
seeds: 1
train: {context: 3, horizon: 3, sequences: 8, batch: 4, validate_every: 4}
record: {probe: {}}
analyse:
  kept_analysis: {power: 2}
"""
FILES = {
    "stimulus": ("stimuli/kept_stimulus.py", STIMULUS),
    "network": ("models/kept_network.py", NETWORK),
    "analysis": ("analysis/kept_analysis.py", ANALYSIS),
}


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """An experiment in which everything is the user's, with as little as possible in each file; one text of
    one file is replaced.
    """
    monkeypatch.chdir(tmp_path)

    def write(kind=None, old="", new=""):
        for name, (file, text) in FILES.items():
            assert name != kind or old in text
            Path(file).parent.mkdir(exist_ok=True)
            Path(file).write_text(text.replace(old, new) if name == kind else text)
        Path("mine.yaml").write_text(EXPERIMENT)
        return checked("mine.yaml")

    return write


def test_what_is_not_said_has_a_default(experiment):
    """Neither annotations, nor a grid, a law, logits, a question, a time or units of coordinates."""
    assert experiment().seeds == 1


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        ("stimulus", "return xr.Dataset({", "return dict({", "split train: expected generate to return an .*; got dict"),
        ("stimulus", '{"frames": (("trial"', '{"frame": (("trial"', r"split train: .* with frames; got Dataset with \['frame'\]"),
        ("stimulus", '("trial", "time", "y", "x"), frames', '("time", "trial", "y", "x"), frames',
         r"split train: expected frames \(trial, time, y, x\); got \(time, trial, y, x\)"),
        ("stimulus", "rng.random(", "255 * rng.random(", "split train: expected frames from 0 .black. to 1 .white.; got"),
        ("stimulus", "rng.random(", "np.nan * rng.random(", "split train: expected frames from 0 to 1; .* not finite"),
        ("stimulus", "[(0, 0), (0, 1)]", "[(0, 0), (0, 2)]",
         r"split probe: expected flow 1, \(0.*, 1.*\), to be the exact transport of flow 0; luminance differs by"),
        ("stimulus", '("flow", [0, 1])', '("flow", [1, 0])', "split probe: expected flow 0 to be the reference, which"),
        ("stimulus", '"flow_vy": ("flow", [0, 0]), ', "", "split probe: expected the attribute flow_group"),
        ("stimulus", "rng.random(", "rng.rendom(", "line 7: AttributeError: .*rendom"),
        ("network", "(Network)", "(torch.nn.Module)", "expected build to return a flowsim.Network; got Mine"),
        ("network", "def decode", "def encode", "line 7: TypeError: Can't instantiate abstract class Mine"),
        ("network", "return (self.out.weight.new_zeros(trials, 1, self.cell.hidden_size, 1, 1),)",
         "return self.out.weight.new_zeros(trials, 1, self.cell.hidden_size, 1, 1)",
         r"expected start\(trials\) to return a tuple of tensors; got Tensor"),
        ("network", "[:, None, :, None, None]", "", r"expected a state \(trial 2, velocity 1, channel, y, x\) .* got \(2, 4\)"),
        ("network", "(1, *self.frame_shape)", "self.frame_shape", r"expected decode\(state\) to return a frame"),
        ("network", "GRUCell(pixels", "GRUCell(7", "line 22: RuntimeError: input has inconsistent input_size"),
        ("analysis", ".to_dataset(name=\"size\")", "", "expected analyse to return an xarray.Dataset; got DataArray"),
        ("analysis", "recording.state", "recording.stat", "line 6: AttributeError: 'Dataset' object has no attribute"),
        ("analysis", '.mean("time")}', "}", r"expected answers\(results\) to return numbers over run, and .*'time': 6"),
        ("analysis", '.mean("time")}', '.mean("time").assign_attrs(better="up")}', "better is 'lower' or 'higher'.*'up'"),
        ("analysis", "return fig", "return ax", r"expected figure\(results\) to return a Figure of matplotlib; got Axes"),
    ],
)  # fmt: skip
def test_what_breaks_a_contract_is_said_before_the_first_job(experiment, kind, old, new, message):
    with pytest.raises(InputError, match=f"^mine.yaml: .*{message}") as error:
        experiment(kind, old, new)
    assert "\n" not in str(error.value)
    assert FILES[kind][0] in str(error.value)


def test_what_more_trials_may_mend_is_no_mistake_of_the_experiment(experiment):
    few = 'if recording.sizes["trial"] < 3: raise ValueError("too few trials")\n    return (abs'
    assert experiment("analysis", "return (abs", few)
