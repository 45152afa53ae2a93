"""A population has the units and trials of a recording in their order, and says what each is."""

import numpy as np

from flowsim import open_recording, record
from flowsim.exports.as_assembly import to_assembly
from flowsim.exports.as_rsatoolbox import to_rsatoolbox
from flowsim.exports.population import Population, columns


def test_a_population_keeps_order_and_chunks(recording):
    population = Population(recording, "state")
    values = population.at(None)
    assert values.dims == ("presentation", "unit", "time")
    expected = recording.state.transpose("flow", "trial", "velocity", "channel", "y", "x", "time")
    np.testing.assert_array_equal(values, expected.values.reshape(27, -1, 3))
    assert set(values.chunks[0]) <= set(recording.state.chunksizes["trial"])
    assert list(population.units) == ["velocity_vy", "velocity_vx", "channel", "y", "x"]
    assert population.model == "fernn-seed3"


def test_units_of_other_networks(hooked):
    """A subset says where its units were; names do not begin with that of the site."""
    population = Population(hooked, "hidden")
    assert list(population.units) == ["unit"]
    np.testing.assert_array_equal(population.units["unit"], hooked.hidden_unit_unit)
    assert population.at(0).shape == (2, 3)
    assert population.model == "network"


def test_columns_are_vectors(recording):
    vectors = columns(Population(recording, "state").presentations)
    assert all(values.ndim == 1 for values in vectors.values())
    assert {"object_velocity_vy_0", "object_velocity_vy_1", "kind", "flow", "trial"} <= set(vectors)


def test_states_that_are_units_are_exported_too(fernn, probe, tmp_path):
    """As those of a GRU, or a subset of any."""
    record(fernn, probe, tmp_path / "a.h5", sites=["state"], units={"count": 7})
    recording = open_recording(tmp_path / "a.h5")
    assembly = to_assembly(recording)
    assert assembly.sizes["neuroid"] == 7
    np.testing.assert_array_equal(np.sort(assembly.values.ravel()), np.sort(recording.state.values.ravel()))
    assert len(to_rsatoolbox(recording, time=2)["measurements"]) == 27
