"""Where the time of a training step goes: convolutions, copies, the maximum over velocity, and what is
between them.

Convolutions are what the arithmetic costs; beside them stands the time that as much arithmetic takes in the
recurrence's convolution alone, by torch, over and over. Without code in C that is this machine's limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.time_and_memory import Row, seconds_of
from benchmarks.speed.training_steps import Size, flowsim
from flowsim.layers.fused_recurrence import grouped
from flowsim.layers.padded_gather import convolved, outward, weight_gradient

IN_C = "recurrence in C"
PARTS = {
    IN_C: ("_Recurrence", "_RecurrenceBackward"),
    "convolutions": ("mkldnn_convolution", "cudnn_convolution", "convolution_backward"),
    "copies that move and pad": ("index_select",),
    "maximum over velocity": ("gt", "maximum", "mul_", "hardtanh_backward", "sub"),
}
"""By names of torch's operations, of which a step has few elsewhere; every other is elementwise, a sum or a
copy. On a CPU with a compiler the recurrence is one operation, moves, activation and maximum included; the
convolutions are then those of frames and of the decoder.
"""
REST = "elementwise and sums"
BETWEEN = "between operations"
DIRECTLY = "for comparison: all convolutions, done directly"


def part(operation: str) -> str:
    """The part of a step that an operation of torch belongs to."""
    name = operation.removeprefix("aten::")
    return next((label for label, names in PARTS.items() if name in names), REST)


def shares(size: Size, device: torch.device, repeats: int) -> list[Row]:
    """A row for each part of a step of flowsim, that of median length; the last is what its
    convolutions would take if torch did nothing else.
    """
    step = flowsim(size, device)
    alone, flop_alone = one_convolution(size, device)
    with FlopCounterMode(display=False) as counter:
        step()
    steps: list[tuple[float, dict[str, float]]] = []
    for _ in range(repeats):
        whole, parts = profiled(step, device)
        seconds_alone = sum(seconds_of(run, device) for run in alone)
        parts[DIRECTLY] = counter.get_total_flops() / flop_alone * seconds_alone
        steps.append((whole, parts))
    whole, parts = sorted(steps, key=lambda measured: measured[0])[repeats // 2]
    about = {**asdict(size), "velocities": size.velocities}
    return [{**about, "part": name, "seconds": s, "share": s / whole} for name, s in parts.items()]


def profiled(step: Callable[[], None], device: torch.device) -> tuple[float, dict[str, float]]:
    """Seconds that a step takes, and those of each of its parts."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        whole = seconds_of(step, device)
    parts = dict.fromkeys([*PARTS, REST, BETWEEN], 0.0)
    for event in profiler.key_averages():
        if event.device_type == DeviceType.CPU and event.key.startswith(("aten::", *PARTS[IN_C])):
            microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            parts[part(event.key)] += microseconds / 1e6
    parts[BETWEEN] = max(0.0, whole - sum(parts.values()))
    return whole, parts


def one_convolution(size: Size, device: torch.device) -> tuple[list[Callable[[], None]], int]:
    """The convolution of one group of velocities: what runs it forward, backward and for its kernel, each
    several times, and the FLOP of all three together.
    """
    times = 20
    state = torch.rand(size.batch, size.velocities, size.channels, size.pixels, size.pixels, device=device)
    images = outward(grouped(state)[0]).flatten(0, 1)
    side = size.pixels + 2
    padded = torch.rand(len(images), side, side, size.channels, device=device).permute(0, 3, 1, 2)
    weight = torch.rand(size.channels, size.channels, 3, 3, device=device)

    def through() -> None:
        for _ in range(times):
            convolved(padded, weight)

    def kernel() -> None:
        for _ in range(times):
            weight_gradient(padded, images, weight)

    return [through, through, kernel], 3 * times * 2 * images.numel() * size.channels * 9
