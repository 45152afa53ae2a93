"""The contract of flow groups, for every one that is found, and for new ones that are written as one file."""

import sys

import numpy as np
import pytest
import torch
import xarray as xr

import flowsim.flows
from flowsim import Flow, InputError, Rotation, Spiral, Translation, VelocityGrid
from flowsim.files import coordinates
from flowsim.files.code_hash import code_hash
from flowsim.flows.find_groups import flow_groups
from flowsim.flows.group import FlowGroup

SIZE = (31, 31)
INTERPOLATION = {"rotation": 0.02, "spiral": 0.02}
"""Relative error with which a group that interpolates moves a smooth blob; all others are exact to rounding."""

DIAGONAL = '''
"""Translation along the diagonal."""

from dataclasses import dataclass
from typing import final

from flowsim.flows.group import FlowGroup
from flowsim.flows.translation import Translation


@final
@dataclass(frozen=True)
class Diagonal(FlowGroup):
    name = "diagonal"
    components = ("v_diagonal",)
    units = ("px/frame",)

    def act(self, x, element):
        return Translation().act(x, self.displacement(element))

    def period(self, frame_shape):
        height, width = frame_shape
        return (height * width,)

    def displacement(self, element):
        (v,) = element
        return v, v
'''
SHEAR = '''
"""Horizontal shear: rows slide by as much as they lie above the centre."""

from dataclasses import dataclass
from typing import final

import torch

from flowsim.flows.group import FlowGroup
from flowsim.flows.resampling import shift


@final
@dataclass(frozen=True)
class Shear(FlowGroup):
    name = "shear"
    components = ("shear",)
    units = ("1/frame",)

    def act(self, x, element):
        (rate,) = element
        height = x.shape[-2]
        above = (height - 1) / 2 - torch.arange(height, dtype=torch.float64)
        return shift(x.unsqueeze(-2), 0, rate * above).squeeze(-2)

    def period(self, frame_shape):
        return (frame_shape[1],)
'''
NEW = {"diagonal": DIAGONAL, "shear": SHEAR}


@pytest.fixture
def group(request, tmp_path, monkeypatch):
    """A group by its name; a new one is written as one file first, in a folder that adds to flowsim/flows."""
    name = request.param
    if name in NEW:
        (tmp_path / f"{name}.py").write_text(NEW[name])
        monkeypatch.setattr(flowsim.flows, "__path__", [*flowsim.flows.__path__, str(tmp_path)])
    yield flow_groups()[name]
    sys.modules.pop(f"flowsim.flows.{name}", None) if name in NEW else None


every_group = pytest.mark.parametrize("group", [*flow_groups(), *NEW], indirect=True)


def blob():
    """Smooth and off the centre, (trial, y, x)."""
    y, x = torch.meshgrid(*(torch.linspace(-3, 3, size, dtype=torch.float64) for size in SIZE), indexing="ij")
    return torch.stack([torch.exp(-((y - 0.5) ** 2) - x**2), torch.exp(-(y**2) - (x + 0.6) ** 2)])


def velocities(group):
    """Small velocities of a group, along each component and along all."""
    small = {"px/frame": 1.5, "deg/frame": 12, "1/frame": 0.1}
    steps = [small[unit] for unit in group.units]
    alone = [tuple(step * (i == j) for j, step in enumerate(steps)) for i in range(len(steps))]
    each = (*alone, tuple(steps), tuple(-step for step in steps))
    return list(dict.fromkeys(group.velocity(v) for v in each))


def tolerance(group):
    return INTERPOLATION.get(group.name, 1e-12)


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


def test_groups_are_found_by_their_place():
    assert flow_groups() == {"rotation": Rotation(), "spiral": Spiral(), "translation": Translation()}


@every_group
def test_components_have_units(group):
    assert isinstance(group, FlowGroup)
    assert len(group.components) == len(group.units) == len(set(group.components)) > 0
    assert all(component.isidentifier() for component in group.components)
    period = group.period(SIZE)
    assert len(period) == len(group.components)
    assert all(p > 0 for p in period)


@every_group
def test_no_motion_is_the_identity(group):
    x = blob()
    for v in velocities(group):
        torch.testing.assert_close(Flow(group, v).act(x, 0), x, rtol=0, atol=1e-14)
    at_rest = (0,) * len(group.components)
    torch.testing.assert_close(Flow(group, at_rest).act(x, 5), x, rtol=0, atol=1e-14)


@every_group
def test_motions_compose_and_can_be_undone(group):
    x = blob()
    for v in velocities(group):
        flow = Flow(group, v)
        assert far(flow.act(x, 2), x) > 0.05
        assert far(flow.act(flow.act(x, 1), 2), flow.act(x, 3)) < tolerance(group)
        assert far(flow.act(flow.act(x, 2), -2), x) < tolerance(group)


@every_group
def test_components_commute(group):
    x = blob()
    together = velocities(group)[-1]
    moved = x
    for place, component in enumerate(together):
        moved = group.act(moved, tuple(component * (i == place) for i in range(len(together))))
    assert far(moved, group.act(x, together)) < tolerance(group)


@every_group
def test_a_period_moves_nothing(group):
    x = blob()
    for place, period in enumerate(group.period(SIZE)):
        if np.isfinite(period):
            element = tuple(period * (place == i) for i in range(len(group.components)))
            assert far(group.act(x, element), x) < 1e-10


@every_group
def test_a_sequence_is_transported_frame_by_frame(group):
    frames = blob()[:, None, None].expand(-1, 4, -1, -1, -1)
    flow = Flow(group, velocities(group)[0])
    moved = flow.transport(frames)
    for t in range(4):
        torch.testing.assert_close(moved[:, t, 0], flow.act(blob(), t), rtol=0, atol=1e-14)


@every_group
def test_orientations_move_with_the_frame(group):
    """All orientations are moved alike, and those that differ are exchanged at most."""
    x = blob()[:, None].expand(-1, 4, -1, -1)
    for v in velocities(group):
        assert far(group.act_oriented(x, v), group.act(x, v)) < 1e-12


@every_group
def test_displacements_are_those_of_the_action(group):
    x = blob()
    for v in velocities(group):
        if not group.translates:
            assert group.displacement(v) is None
            with pytest.raises(InputError, match=f"expected a group that translates, .*; got {group.name}"):
                group.act_each(x, [torch.tensor(c) for c in v])
            continue
        dy, dx = group.displacement(v)
        torch.testing.assert_close(Translation().act(x, (dy, dx)), group.act(x, v))
        torch.testing.assert_close(group.act_each(x, [torch.tensor(float(c)) for c in v]), group.act(x, v))
        by_trial = [torch.tensor([0.0, c], dtype=x.dtype) for c in v]
        torch.testing.assert_close(group.act_each(x, by_trial)[0], x[0])
        torch.testing.assert_close(group.act_each(x, by_trial)[1], group.act(x[1], v))


@every_group
def test_velocities_print_and_parse(group):
    for v in (*velocities(group), tuple(-1 / 3 for _ in group.components)):
        text = group.write(v)
        assert group.parse(text) == group.velocity(v)
        assert all(
            f"{c} = " in text and u in text for c, u in zip(group.components, group.units, strict=True)
        )
    for wrong in ("", "nothing", group.write(velocities(group)[0]).replace(group.units[0], "m/s")):
        with pytest.raises(InputError, match=f"expected a velocity of {group.name} written as '.*'; got"):
            group.parse(wrong)


@every_group
def test_velocities_lie_in_a_plane(group):
    assert len(group.plane) == len(set(group.plane)) == len(group.components)
    assert all(abs(direction) == 1 for direction in group.plane)
    assert ("→" in group.plane_label) == (group.shares_unit and len(group.components) > 1)


@every_group
def test_flows_and_grids_are_read_as_they_were_written(group, tmp_path):
    each = velocities(group)
    dataset = xr.Dataset(
        {"frame": (("y", "x"), np.zeros(SIZE))},
        coords=coordinates.velocity_coords("flow", group, each)
        | coordinates.velocity_coords("velocity", group, each),
        attrs={"flow_group": group.name, "velocity_group": group.name},
    )
    dataset.to_netcdf(tmp_path / "a.h5", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as opened:
        for recording in (opened, opened.drop_attrs(deep=False)):  # without names, by the components
            assert coordinates.group(recording, "flow") == group
            assert coordinates.flows(recording) == [Flow(group, v) for v in each]
            grid = coordinates.grid(recording)
            assert grid == VelocityGrid(group, tuple(each), group.period(SIZE))
        for component, unit in zip(group.components, group.units, strict=True):
            assert opened[f"flow_{component}"].attrs["units"] == unit
            assert coordinates.component_unit(opened, component) == unit


@every_group
def test_velocities_of_objects_are_those_of_the_flows(group):
    of_objects = {f"object_velocity_{c}": (("trial", "object"), np.zeros((2, 1))) for c in group.components}
    assert coordinates.object_components(xr.Dataset(coords=of_objects)) == group.components
    more = {
        f"object_velocity_{component}": (("trial", "object"), np.zeros((2, 1)))
        for other in flow_groups().values()
        for component in other.components
    }
    recording = xr.Dataset(coords=more, attrs={"flow_group": group.name})
    assert coordinates.object_components(recording) == group.components


@every_group
def test_a_component_is_the_same_motion_in_every_group(group):
    x = blob()
    for other in flow_groups().values():
        assert group.counterpart(other, (0,) * len(other.components)) == (0,) * len(group.components)
        for v in velocities(other):
            same = group.counterpart(other, v)
            moving = {c for c, value in zip(other.components, v, strict=True) if value}
            assert (same is None) == (not moving <= set(group.components))
            if same is not None:
                torch.testing.assert_close(group.act(x, same), other.act(x, v), rtol=0, atol=1e-12)


@every_group
def test_grids_shift(group):
    grid = VelocityGrid.box(group, 1)
    u = (1,) * len(group.components)
    state = torch.arange(len(grid), dtype=torch.float64).view(1, 1, -1, 1, 1, 1)
    shifted = grid.shift(state, grid.velocity_of(Flow(group, u))).flatten()
    assert shifted[-1] == grid.velocities.index((0,) * len(group.components))
    assert grid.coverage(u) == (2 / 3) ** len(group.components)


def test_units_are_read_from_the_file_first():
    results = xr.Dataset(coords={"vy": ("vy", [0, 1], {"units": "deg/s"}), "speed": ("speed", [1, 2])})
    assert coordinates.component_unit(results, "vy") == "deg/s"
    assert coordinates.component_unit(results, "omega") == "deg/frame"
    with pytest.raises(InputError, match="expected the attribute units on speed; there is none"):
        coordinates.component_unit(results, "speed")


@pytest.mark.parametrize("other", ['name = "translation"', 'components = ("vx", "vy")'])
def test_groups_are_told_apart(other, tmp_path, monkeypatch):
    own = {"name": 'name = "mine"', "components": 'components = ("w", "z")'}
    own[other.split()[0]] = other
    (tmp_path / "mine.py").write_text(
        "from flowsim.flows.translation import Translation\n"
        "from flowsim.flows.group import FlowGroup\n\n\n"
        f"class Mine(FlowGroup):\n    {own['name']}\n    {own['components']}\n    units = ('px/frame',) * 2\n"
        "    act = Translation.act\n    period = Translation.period\n"
    )
    monkeypatch.setattr(flowsim.flows, "__path__", [*flowsim.flows.__path__, str(tmp_path)])
    with pytest.raises(
        InputError, match="flow groups need different names and components; got .* Rename one"
    ):
        flow_groups()
    del sys.modules[f"{flowsim.flows.__name__}.mine"]


@pytest.mark.parametrize("name", ["translation", "rotation", "spiral"])
def test_what_reads_flows_from_files_depends_on_every_group(name):
    module = f"flowsim.flows.{name}"
    assert code_hash("flowsim.measures.tuning", "flowsim.files.coordinates") != code_hash(
        "flowsim.measures.tuning", "flowsim.files.coordinates", without=[module]
    )
