"""Networks as released with the paper compute what they computed there."""

from pathlib import Path

import numpy as np
import pytest
import torch

from flowsim import Flow, InputError, Law, Translation, build
from flowsim.models.fernn_released import from_released

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "released_networks.npz"
needs_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason="shared/reference/released_networks.npz is absent"
)


@pytest.fixture
def reference():
    content = np.load(REFERENCE)
    networks: dict = {}
    for name in content.files:
        network, _, key = name.partition("/")
        networks.setdefault(network, {})[key] = torch.from_numpy(content[name])
    return networks


def weights(arrays):
    return {
        name: tensor
        for name, tensor in arrays.items()
        if name.startswith(("cell.", "decoder_conv.", "lstm.", "fc."))
    }


def same(a, b):
    return (a - b).abs().max().item() < 1e-12


@needs_reference
def test_translation_states_and_rollout(reference):
    arrays = reference["translation"]
    network = from_released(weights(arrays), 7, 6)
    assert [(vx, vy) for vy, vx in network.grid.velocities] == [
        tuple(v) for v in arrays["velocities_vx_vy"].tolist()
    ]
    with torch.no_grad():
        assert same(network.states(arrays["frames"]), arrays["states"])
        steps = list(network.steps(arrays["frames"], 4))
        assert same(torch.stack([s.prediction for s in steps[5:]], 1), arrays["rollout"])
        assert same(torch.stack([s.state for s in steps[5:]], 1), arrays["rollout_states"])


@needs_reference
@pytest.mark.parametrize("name", ["kth_fernn", "kth_grnn_plus"])
def test_action_classifier_states_and_logits(reference, name):
    arrays = reference[name]
    network = from_released(weights(arrays), 8, 8)
    with torch.no_grad():
        assert same(network.states(arrays["frames"]).movedim(2, 0), arrays["states"])
        assert same(network.classify(arrays["frames"]), arrays["logits"])
    assert [(-vy, -vx) for vy, vx in network.grid.velocities] == [
        tuple(v) for v in arrays["velocities_vy_vx"].tolist()
    ]


@pytest.mark.parametrize("spec", [{}, {"classes": 6}])
@pytest.mark.parametrize("max_speed", [0, 1, 2])
def test_round_trip_of_weights(spec, max_speed):
    torch.manual_seed(0)
    first = build("fernn_released", (9, 7), max_speed=max_speed, channels=5, **spec).double().eval()
    again = from_released(first.state_dict(), 9, 7, max_speed=max_speed)
    frames = torch.rand(2, 3, 1, 9, 7, dtype=torch.float64)
    assert torch.equal(first.states(frames), again.states(frames))


def test_channels_of_the_classifier_move_as_the_grid_says():
    network = build("fernn_released", (8, 9), max_speed=2, channels=2, classes=3)
    state = torch.rand(1, 25, 2, 8, 9)
    (moved,) = network.advance((state,))
    for i, v in enumerate(network.grid.velocities):
        assert torch.equal(moved[:, i], Flow(Translation(), v).act(state[:, i]))


def test_the_published_rollout_breaks_the_law_and_its_context_does_not():
    torch.manual_seed(0)
    network = build("fernn_released", (5, 5), max_speed=2, channels=3).double()
    frames, flow, law = torch.rand(2, 4, 1, 5, 5).double(), Flow(Translation(), (1, 2)), Law(True, True)
    with torch.no_grad():
        states, moved = (
            torch.stack([s.state for s in network.steps(f, 2)], 1) for f in (frames, flow.transport(frames))
        )
    predicted = law.predict(states, flow, network.grid)
    error = (moved - predicted).flatten(2).norm(dim=(0, 2)) / moved.flatten(2).norm(dim=(0, 2))
    assert error[:4].max() < 1e-12
    assert error[4] > 0.2
    assert network.law is None


def test_other_weights_are_refused():
    with pytest.raises(InputError, match=r"expected weights of a released network \(.*\); got encoder"):
        from_released({"encoder": torch.zeros(1)}, 7, 6)
    weights = build("fernn_released", (7, 6), channels=2).state_dict()
    del weights["cell.conv_u.weight"]
    with pytest.raises(InputError, match="expected weights of a released network; .*conv_u"):
        from_released(weights, 7, 6)
    with pytest.raises(InputError, match="build it with classes=n to classify"):
        build("fernn_released", (7, 6)).classify(torch.rand(1, 2, 1, 7, 6))
    with pytest.raises(InputError, match="it only classifies"):
        build("fernn_released", (7, 6), classes=3).rollout(torch.rand(1, 2, 1, 7, 6), 2)
