"""The methods paragraph says how networks were trained, each of them."""

from pathlib import Path

from flowsim.experiment.read import read
from flowsim.views.methods import methods
from flowsim.views.networks import NetworkRow

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
PROVENANCE = {"versions": [{"flowsim": "1", "torch": "2", "python": "3"}], "commits": ["abc"]}
ROW = NetworkRow("fernn", "fernn", "{-2..2}^2", 25, "transport+shift", 11_808, 4800, 9.0, "1 CPU thread", 3)


def training_of(name):
    paragraphs = methods(read(EXPERIMENTS / f"{name}.yaml"), [ROW], PROVENANCE).paragraphs
    (training,) = [text for text in paragraphs if "is trained on" in text]
    return training


def test_what_networks_set_for_their_own_training_is_said():
    words = training_of("flowing_mnist_small")
    assert "up to 20 frames watched" in words
    assert "Set apart: warm_up 70 for fernn_gru and grnn_gru; " in words
    assert "learning_rate 0.001 for grnn_compute and grnn_plus." in words
    assert "own_predictions 24 for fernn, fernn_part and grnn." in training_of("digits_long")


def test_nothing_is_set_apart_where_all_are_trained_alike():
    assert "Set apart" not in training_of("rotating_mnist_small")
    assert "Set apart" not in training_of("digits")
