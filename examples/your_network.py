"""Record a network of your own, here a GRU that predicts frames: by which law does its state move, and does
it predict velocities that were never trained? Any torch module is recorded in the same way.
"""

import numpy as np
import torch

from analysis import equivariance_error, velocity_generalisation
from flowsim import Site, open_recording, record
from stimuli import moving_digits


class Predictor(torch.nn.Module):
    def __init__(self, recurrent: torch.nn.Module, units: int, pixels: int) -> None:
        super().__init__()
        self.recurrent, self.readout = recurrent, torch.nn.Linear(units, pixels)

    def forward(self, frames: torch.Tensor, horizon: int) -> torch.Tensor:
        states, memory = self.recurrent(frames.flatten(2))
        predicted = [self.readout(states)]
        for _ in range(horizon - 1):
            states, memory = self.recurrent(predicted[-1][:, -1:], memory)
            predicted.append(self.readout(states))
        return torch.cat(predicted, 1)[:, : frames.shape[1] + horizon - 1]  # of frames 1, 2, ...


torch.manual_seed(0)
network = Predictor(torch.nn.GRU(256, 64, batch_first=True), 64, 256)  # or torch.nn.LSTM

state = Site("recurrent", axes=("trial", "time", "unit"), index=(0,))
prediction = Site("", axes=("trial", "time", "unit"), start=1)
probe = moving_digits.generate("probe", np.random.default_rng(0), trials=4)
sweep = moving_digits.generate("sweep", np.random.default_rng(1), trials=2)
record(network, probe, "probe.h5", sites={"state": state, "prediction": prediction})
record(network, sweep, "sweep.h5", sites={"prediction": prediction}, context=6)
print(equivariance_error.analyse(open_recording("probe.h5")).error.sel(law="invariant").max("time").values)
print(velocity_generalisation.analyse(open_recording("sweep.h5"))[["mse_trained", "mse_novel"]])
