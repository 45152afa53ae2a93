"""Flows, grids and variables are read from a file's coordinates and attributes."""

import pytest

from flowsim import InputError
from flowsim.files import coordinates


def test_flows_need_their_coordinates(probe):
    with pytest.raises(
        InputError, match=r"expected the coordinate\(s\) flow_vx over flow; the file has none"
    ):
        coordinates.flows(probe.drop_vars("flow_vx"))
    assert coordinates.group(probe.drop_attrs(), "flow").name == "translation"
    with pytest.raises(InputError, match="flow_group to be one of rotation, spiral, translation; got None"):
        coordinates.flows(probe.drop_attrs().drop_vars(["flow_vx", "velocity_vx"]))
    with pytest.raises(
        InputError, match="flow_group to be one of rotation, spiral, translation; got 'shear'"
    ):
        coordinates.flows(probe.assign_attrs(flow_group="shear"))
