"""Training descends, is deterministic, and an interrupted one ends like an undisturbed one."""

import os
import signal
import time

import pytest
import torch

from flowsim import InputError, build, stopping
from flowsim.scenes.sequences import Sequences
from flowsim.training import train, weights
from flowsim.training.objective import losses
from flowsim.training.settings import BudgetBlock
from flowsim.training.train import SplitBatch, relative_learning_rate


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def assert_equal_trainings(one, other):
    """Two trainings (network, curve, best weights) are the same to the bit."""
    assert same(one[0].state_dict(), other[0].state_dict())
    assert same(one[2], other[2])
    assert one[1].valid_loss == other[1].valid_loss
    assert one[1].train_loss == other[1].train_loss


def test_loss_falls_and_the_best_weights_are_kept(data, network, fit, small, mean_error):
    net, settings = network(), small.model_copy(update={"sequences": 400})
    before = mean_error(net, settings, data[1])
    curve, best = fit(net, settings, data, seed=0)
    assert curve.valid_loss[-1] < 0.8 * before
    net.load_state_dict(best)
    assert mean_error(net, settings, data[1]) == pytest.approx(min(curve.valid_loss))
    assert curve.sequences[-1] == 400
    assert len(curve.sequences) == len(curve.train_loss) == len(curve.seconds) == 25


@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_resumed_training_equals_an_undisturbed_one(data, tmp_path, stop_after, network, fit, small):
    undisturbed = network()
    curve, best = fit(undisturbed, small, data, seed=3)
    reports = 0

    def killed(*_):
        nonlocal reports
        reports += 1
        if reports == stop_after:
            raise KeyboardInterrupt

    file = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit(network(), small, data, seed=3, checkpoint=file, identity="a", report=killed)
    again = network()
    resumed = fit(again, small, data, seed=3, checkpoint=file, identity="a")
    assert_equal_trainings((again, *resumed), (undisturbed, curve, best))


@pytest.fixture
def listening():
    """Signals are listened to as in a process of its own."""
    numbers = [getattr(signal, name) for name in stopping.SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    stopping.listen()
    yield
    stopping.leave()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("where", ["losses", "optimiser", "validation", "report", "checkpoint"])
def test_a_signal_leaves_a_checkpoint_of_the_moment(
    data, tmp_path, monkeypatch, network, fit, small, listening, where
):
    """Wherever it comes, the same training goes on from the last whole step and ends as if undisturbed."""
    undisturbed = network()
    curve, best = fit(undisturbed, small, data, seed=3)
    file, calls = tmp_path / "run.ckpt", 0

    def signalling(function):
        def call(*arguments, **named):
            nonlocal calls
            calls += 1
            if calls == 6:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.05)
            return function(*arguments, **named)

        return call

    named = {}
    with monkeypatch.context() as patch:
        if where == "losses":
            patch.setattr(train.SplitBatch, "descend", signalling(train.SplitBatch.descend))
        elif where == "optimiser":
            patch.setattr(torch.optim.Adam, "step", signalling(torch.optim.Adam.step))
        elif where == "validation":
            calls = 4
            patch.setattr(train, "evaluate", signalling(train.evaluate))
        elif where == "report":
            named = {"report": signalling(lambda *_: None)}
        else:
            calls = 4
            patch.setattr(train, "save", signalling(train.save))
        with pytest.raises(stopping.Stopped):
            fit(network(), small, data, seed=3, checkpoint=file, identity="a", **named)
    assert weights.load(file, "checkpoint")["step"] >= 4
    again = network()
    resumed = fit(again, small, data, seed=3, checkpoint=file, identity="a")
    assert_equal_trainings((again, *resumed), (undisturbed, curve, best))


def test_a_checkpoint_of_another_training_is_set_aside_and_found_again(data, tmp_path, network, fit, small):
    file, fresh = tmp_path / "run.ckpt", network()
    fit(network(), small, data, seed=0, checkpoint=file, identity="a")
    fit(fresh, small, data, seed=1)
    first = file.read_bytes()
    for identity in "bc":
        other = network()
        fit(other, small, data, seed=1, checkpoint=file, identity=identity)
        assert same(fresh.state_dict(), other.state_dict())
    assert weights.aside(file, "a").read_bytes() == first
    assert len([*tmp_path.glob("run.*.ckpt")]) == 2
    again = weights.load_checkpoint(file, "a")
    assert again["identity"] == "a"
    assert file.read_bytes() == first
    assert not weights.aside(file, "a").exists()
    assert weights.aside(file, "c").exists()
    assert weights.load_checkpoint(file, "d") is None
    weights.aside(file, "c").rename(weights.aside(file, "e"))
    assert weights.load_checkpoint(file, "e") is None
    assert weights.aside(file, "c").exists()


@pytest.mark.parametrize("budget", [BudgetBlock(sequences=24), BudgetBlock(minutes=1e-9)])
def test_a_budget_stops_and_more_of_it_goes_on(data, tmp_path, budget, network, fit, small):
    undisturbed, file = network(), tmp_path / "run.ckpt"
    _, best = fit(undisturbed, small, data, seed=3)
    few, first = small.model_copy(update={"budget": budget}), network()
    curve, _ = fit(first, few, data, seed=3, checkpoint=file, identity="a")
    assert curve.sequences[-1] == (budget.sequences or small.batch)
    untouched = network()
    assert fit(untouched, few, data, seed=3, checkpoint=file, identity="a")[0].sequences == curve.sequences
    assert same(untouched.state_dict(), first.state_dict())
    again = network()
    whole, best_again = fit(again, small, data, seed=3, checkpoint=file, identity="a")
    assert same(again.state_dict(), undisturbed.state_dict())
    assert same(best_again, best)
    assert whole.sequences[-1] == small.sequences


def test_a_budget_beyond_the_end_changes_nothing(data, network, fit, small):
    rich = small.model_copy(update={"budget": BudgetBlock(sequences=10**6, minutes=1e6)})
    one, other = network(), network()
    curves = [fit(net, settings, data, seed=3)[0] for net, settings in ((one, small), (other, rich))]
    assert same(one.state_dict(), other.state_dict())
    assert curves[0].sequences == curves[1].sequences


def test_learning_rate_rises_then_falls():
    rates = [relative_learning_rate("cosine", step, 400) for step in range(400)]
    assert rates.index(max(rates)) == pytest.approx(9, abs=1)
    assert rates[0] < 0.2
    assert rates[-1] < 1e-3
    assert {relative_learning_rate("constant", step, 400) for step in range(400)} == {1.0}


def test_a_diverging_training_is_told(data, network, fit, small):
    settings = small.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        InputError, match="the training diverged: loss nan after .* use a learning_rate below 1e"
    ):
        fit(network(), settings, data, seed=0)


@pytest.mark.parametrize(
    "change", [{"micro_batch": 3}, {"micro_batch": 1}, {"recompute": 1}, {"recompute": 2}]
)
def test_memory_for_time(change, small, gradients):
    """The same gradient to rounding."""
    expected, error = gradients(small)
    found, same_error = gradients(small.model_copy(update=change))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(same_error, error, rtol=0, atol=1e-15)


def test_a_batch_that_does_not_fit_is_split(small, gradients):
    """Down to what fits, once and for all; a network of which nothing fits is told."""
    expected, _ = gradients(small)
    fits, asked = 2, []

    def cramped(net, settings, piece):
        asked.append(len(piece))
        if len(piece) > fits:
            raise torch.OutOfMemoryError
        return losses(net, settings, piece)

    pieces = SplitBatch(100, cramped)
    found, _ = gradients(small, pieces=pieces)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    assert asked == [7, 4, 2, 2, 2, 1]
    assert pieces.size == 2
    fits = 0
    with pytest.raises(InputError, match="not even one sequence fits into the memory of the GPU; shorten"):
        gradients(small, pieces=SplitBatch(100, cramped))


def test_more_processes_than_sequences(data, monkeypatch, network, fit, small):
    monkeypatch.setattr("flowsim.training.processes.count", lambda: 9)
    with pytest.raises(InputError, match="batch must be at least the 9 processes; got 8"):
        fit(network(), small, data, seed=0)


@pytest.mark.parametrize("model", [pytest.param("fernn", marks=pytest.mark.slow), "conv3d", "gru"])
def test_a_classifier_learns_labels(data, model, fit, classify):
    torch.manual_seed(0)
    net = build(model, (9, 8), classes=10)
    settings = classify.model_copy(update={"sequences": 2400, "batch": 24, "learning_rate": 3e-2})
    label = data[0].label % 2
    easy = Sequences(data[0].frames * label.view(-1, 1, 1, 1, 1), label)  # those of label 0 are dark
    curve, best = fit(net, settings, (easy, easy), seed=0)
    assert curve.valid_loss[-1] < 0.3 < 0.6 < curve.valid_loss[0]
    net.load_state_dict(best)
    assert torch.equal(net.classify(easy.frames[:, :5]).argmax(1), easy.label)
