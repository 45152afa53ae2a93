"""Training descends, is deterministic, and an interrupted one ends like an undisturbed one."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowsim import InputError, build, ideas
from flowsim.commands.train import partial
from flowsim.models.fernn import FusedFERNN
from flowsim.scenes.sequences import Sequences
from flowsim.splits import SEEDS
from flowsim.training.batches import Shuffled, Stream, random_state
from flowsim.training.devices import pick_device
from flowsim.training.objective import Batch, evaluate, losses
from flowsim.training.settings import BudgetBlock, TrainBlock
from flowsim.training.train import SplitBatch, _rate, train
from flowsim.training.weights import load, load_network, save
from stimuli import digit_world, moving_digits

SETTINGS = TrainBlock(
    context=3, horizon=2, sequences=64, batch=8, learning_rate=1e-2, noise=0.1, warm_up=2, validate_every=16
)


@pytest.fixture(scope="module")
def data():
    def make(split):
        made = moving_digits.generate(split, np.random.default_rng(0), height=9, width=8, trials=24, frames=7)
        return Sequences.of(made)

    return make("train"), make("valid")


def network():
    torch.manual_seed(0)
    return build("fernn", (9, 8), max_speed=1, channels=4, decoder_layers=1)


def mean_error(net, settings, frames):
    return (evaluate(net, settings, frames, 10) / len(frames)).item()


def fit(net, settings, data, seed, **more):
    return train(net, settings, Shuffled(data[0], settings.batch, seed), data[1], seed, **more)


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_loss_falls_and_the_best_weights_are_kept(data):
    net, settings = network(), SETTINGS.model_copy(update={"sequences": 400})
    before = mean_error(net, settings, data[1])
    curve, best = fit(net, settings, data, seed=0)
    assert curve.valid_loss[-1] < 0.8 * before
    net.load_state_dict(best)
    assert mean_error(net, settings, data[1]) == pytest.approx(min(curve.valid_loss))
    assert curve.sequences[-1] == 400
    assert len(curve.sequences) == len(curve.train_loss) == len(curve.seconds) == 25


def test_evaluation_is_the_mean_squared_error_over_the_horizon(data):
    net = network()
    frames = data[1].frames
    error = net.rollout(frames[:, :3], 2) - frames[:, 3:5]
    assert mean_error(net, SETTINGS, data[1]) == pytest.approx(error.square().mean().item())


@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_resumed_training_equals_an_undisturbed_one(data, tmp_path, stop_after):
    undisturbed = network()
    curve, best = fit(undisturbed, SETTINGS, data, seed=3)
    reports = 0

    def killed(*_):
        nonlocal reports
        reports += 1
        if reports == stop_after:
            raise KeyboardInterrupt

    file = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit(network(), SETTINGS, data, seed=3, checkpoint=file, identity="a", report=killed)
    again = network()
    resumed, best_again = fit(again, SETTINGS, data, seed=3, checkpoint=file, identity="a")
    assert same(again.state_dict(), undisturbed.state_dict())
    assert same(best_again, best)
    assert resumed.valid_loss == curve.valid_loss
    assert resumed.train_loss == curve.train_loss


def test_a_checkpoint_of_another_training_is_not_resumed(data, tmp_path):
    file, fresh, other = tmp_path / "run.ckpt", network(), network()
    fit(network(), SETTINGS, data, seed=0, checkpoint=file, identity="a")
    fit(fresh, SETTINGS, data, seed=1)
    before = file.read_bytes()
    fit(other, SETTINGS, data, seed=1, checkpoint=file, identity="b")
    assert same(fresh.state_dict(), other.state_dict())
    assert (tmp_path / "run.ckpt.before").read_bytes() == before


@pytest.mark.parametrize("budget", [BudgetBlock(sequences=24), BudgetBlock(minutes=1e-9)])
def test_a_budget_stops_and_more_of_it_goes_on(data, tmp_path, budget):
    undisturbed, file = network(), tmp_path / "run.ckpt"
    _, best = fit(undisturbed, SETTINGS, data, seed=3)
    few, first = SETTINGS.model_copy(update={"budget": budget}), network()
    curve, _ = fit(first, few, data, seed=3, checkpoint=file, identity="a")
    assert curve.sequences[-1] == (budget.sequences or SETTINGS.batch)
    untouched = network()
    assert fit(untouched, few, data, seed=3, checkpoint=file, identity="a")[0].sequences == curve.sequences
    assert same(untouched.state_dict(), first.state_dict())
    again = network()
    whole, best_again = fit(again, SETTINGS, data, seed=3, checkpoint=file, identity="a")
    assert same(again.state_dict(), undisturbed.state_dict())
    assert same(best_again, best)
    assert whole.sequences[-1] == SETTINGS.sequences


def test_a_budget_beyond_the_end_changes_nothing(data):
    rich = SETTINGS.model_copy(update={"budget": BudgetBlock(sequences=10**6, minutes=1e6)})
    one, other = network(), network()
    curves = [fit(net, settings, data, seed=3)[0] for net, settings in ((one, SETTINGS), (other, rich))]
    assert same(one.state_dict(), other.state_dict())
    assert curves[0].sequences == curves[1].sequences


def test_what_is_said_of_a_partial_training():
    assert partial(12_800, 2_700_000) == "after 12,800 of 2,700,000 sequences"
    assert partial(2_700_000, 2_700_000) == partial(2_700_032, 2_700_000) == ""


def test_order_of_sequences():
    def order(trials, batch, batches, seed=0):
        shuffled = Shuffled(Sequences(torch.arange(trials)[:, None, None]), batch, seed)
        return torch.cat([shuffled[number].frames.flatten() for number in range(batches)]), shuffled

    epoch, _ = order(12, 4, 3)
    assert sorted(epoch.tolist()) == list(range(12))
    (first, shuffled), (other, _) = order(12, 5, 9), order(12, 5, 9, seed=1)
    assert not torch.equal(first, other)
    assert sorted(first[12:24].tolist()) == list(range(12))
    assert not torch.equal(first[:12], first[12:24])
    assert torch.equal(shuffled[2].frames.flatten(), first[10:15]), "a batch does not depend on those before"
    assert sorted(order(3, 8, 1)[0].tolist()) in (
        [0, 0, 0, 1, 1, 1, 2, 2],
        [0, 0, 1, 1, 1, 2, 2, 2],
        [0, 0, 0, 1, 1, 2, 2, 2],
    )


def test_learning_rate_rises_then_falls():
    rates = [_rate("cosine", step, 400) for step in range(400)]
    assert rates.index(max(rates)) == pytest.approx(9, abs=1)
    assert rates[0] < 0.2
    assert rates[-1] < 1e-3
    assert {_rate("constant", step, 400) for step in range(400)} == {1.0}


def test_damaged_weights(tmp_path):
    file = tmp_path / "run.pt"
    save({"x": torch.zeros(1000)}, file, "weights")
    assert load(file, "weights")["x"].shape == (1000,)
    with pytest.raises(InputError, match="run.pt: expected checkpoint; this is a file of weights"):
        load(file, "checkpoint")
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[:2000], bytes(flipped), b""):
        file.write_bytes(damaged)
        with pytest.raises(
            InputError, match=r"run.pt: expected weights, but it cannot be read .* delete run.pt"
        ):
            load(file, "weights")
    torch.save({"format": 99}, file)
    with pytest.raises(InputError, match="of format 2; this is another file, or of another version"):
        load(file, "weights")
    with pytest.raises(InputError, match="found no such file"):
        load(tmp_path / "none.pt", "weights")


def test_a_diverging_training_is_told(data):
    settings = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        InputError, match="the training diverged: loss nan after .* use a learning_rate below 1e"
    ):
        fit(network(), settings, data, seed=0)


def test_weights_of_a_changed_network_are_told(tmp_path):
    content = {
        "specification": '{"network": {"model": "fernn", "channels": 3}}',
        "frame_shape": [8, 9],
        "best": {},
    }
    save(content, tmp_path / "a.pt", "weights")
    with pytest.raises(
        InputError, match=r"a.pt: these weights do not fit the network as it is now \(.*Missing key"
    ):
        load_network(tmp_path / "a.pt")


def test_devices():
    assert pick_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(
            InputError, match="device 'cuda' is not on this machine; use auto or one of: .*cpu"
        ):
            pick_device("cuda")
    with pytest.raises(InputError, match="device 'tpu' is not on this machine"):
        pick_device("tpu")


def test_no_gradient_flows_through_the_warm_up(data):
    net, frames, settings = network(), data[0].frames[:4].clone().requires_grad_(), SETTINGS
    warmed = next(
        seed for seed in range(1, 99, 2) if Batch.drawn(Sequences(frames), settings, seed).warm == 2
    )
    loss, _ = losses(net, settings, Batch.drawn(Sequences(frames), settings, warmed))
    (through,) = torch.autograd.grad(loss, frames)
    assert not through[:, :2].any()
    assert through[:, 2].any()


def test_the_loss_compares_each_prediction_with_its_own_frame(data):
    """A network that knows the truth has no loss, whatever the warm-up."""
    settings = SETTINGS.model_copy(update={"noise": 0.0})
    for seed in range(8):
        net = network()
        frames = torch.arange(7.0).view(1, 7, 1, 1, 1).expand(2, 7, 1, 9, 8) / 10
        longest = 2 if seed % 2 else 0
        warm = int(torch.randint(longest + 1, (), generator=torch.Generator().manual_seed(seed)))
        first = 2 - warm
        shown = iter([frames[:, first + t] for t in range(warm + 1, warm + 5)])
        net.decode = lambda state, shown=shown: next(shown) + 0 * state[0].sum()
        total, ahead = losses(net, settings, Batch.drawn(Sequences(frames), settings, seed))
        assert total.item() == pytest.approx(0, abs=1e-12)
        assert ahead.item() == pytest.approx(0, abs=1e-12)


def test_predictions_within_the_context_count_as_much_as_asked(data):
    def loss(weight):
        settings = SETTINGS.model_copy(update={"context_weight": weight})
        return [x.item() for x in losses(network(), settings, Batch.drawn(data[0], settings, 0))]

    (none, ahead), (half, same_ahead), (whole, _) = loss(0.0), loss(0.5), loss(1.0)
    assert none == ahead == pytest.approx(same_ahead)
    assert whole - ahead == pytest.approx(2 * (half - ahead))
    assert half > ahead
    asked = []
    net, settings = network(), SETTINGS.model_copy(update={"context_weight": 0.0})
    net.decode = lambda state: asked.append(1) or FusedFERNN.decode(net, state)
    losses(net, settings, Batch.drawn(data[0], settings, 0))
    assert len(asked) == settings.horizon


def gradients(settings, data, net=None, pieces=None):
    """Of the loss over one batch, and the error over the horizon."""
    net = net or network().double()
    batch = Batch.drawn(Sequences(data[0].frames.to(next(net.parameters()).dtype)[:7]), settings, seed=5)
    ahead = (pieces or SplitBatch(settings.micro_batch or 7)).descend(net, settings, batch)
    return torch.cat([p.grad.flatten() for p in net.parameters()]), ahead


@pytest.mark.parametrize(
    "change", [{"micro_batch": 3}, {"micro_batch": 1}, {"recompute": 1}, {"recompute": 2}]
)
def test_memory_for_time(data, change):
    """The same gradient to rounding."""
    expected, error = gradients(SETTINGS, data)
    found, same_error = gradients(SETTINGS.model_copy(update=change), data)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(same_error, error, rtol=0, atol=1e-15)


def test_recomputing_stores_fewer_states(data):
    frames, stored = torch.rand(4, 30, 1, 9, 8), {}
    for recompute in (None, 4):
        settings = SETTINGS.model_copy(update={"context": 24, "horizon": 4, "recompute": recompute})
        sizes = {}

        def pack(tensor, sizes=sizes):
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        net = network()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            losses(net, settings, Batch.drawn(Sequences(frames), settings, 0))
        stored[recompute] = sum(sizes.values())
    assert stored[4] < stored[None] / 2.5


def test_bfloat16(data):
    """Weights stay as they are; the gradient is that of float32 to a few percent, and is not the same."""
    expected, error = gradients(SETTINGS, data, network())
    net = network()
    found, rough = gradients(SETTINGS.model_copy(update={"precision": "bfloat16"}), data, net)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert rough.item() == pytest.approx(error.item(), rel=0.02)
    assert 0 < (found - expected).norm() / expected.norm() < 0.05


def test_a_batch_that_does_not_fit_is_split(data, monkeypatch):
    """Down to what fits, once and for all; a network of which nothing fits is told."""
    expected, _ = gradients(SETTINGS, data)
    fits, asked = 2, []

    def cramped(net, settings, piece):
        asked.append(len(piece))
        if len(piece) > fits:
            raise torch.OutOfMemoryError
        return losses(net, settings, piece)

    monkeypatch.setattr("flowsim.training.train.losses", cramped)
    pieces = SplitBatch(100)
    found, _ = gradients(SETTINGS, data, pieces=pieces)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    assert asked == [7, 4, 2, 2, 2, 1]
    assert pieces.size == 2
    fits = 0
    with pytest.raises(InputError, match="not even one sequence fits into the memory of the GPU; shorten"):
        gradients(SETTINGS, data)


def test_two_processes_train_like_one(data, tmp_path):
    """By torchrun on the CPU (gloo); with a batch that splits unevenly, and float64 to see rounding only."""
    script = tmp_path / "together.py"
    script.write_text(
        "import sys, torch\n"
        "from flowsim import parallel, build\n"
        "from flowsim.experiment.schema import TrainBlock\n"
        "from flowsim.scenes.sequences import Sequences, Shuffled\n"
        "from flowsim.training.train import train\n"
        "data = torch.load(sys.argv[1])\n"
        "torch.manual_seed(0)\n"
        "net = build('fernn', (9, 8), max_speed=1, channels=4, decoder_layers=1).double()\n"
        "with parallel.processes(torch.device('cpu')):\n"
        "    source = Shuffled(Sequences(data['train']), data['settings']['batch'], 3)\n"
        "    curve, best = train(net, TrainBlock(**data['settings']), source, Sequences(data['valid']), seed=3)\n"
        "    if parallel.rank() == 0:\n"
        "        torch.save({'curve': vars(curve), 'best': best, 'count': parallel.count()}, sys.argv[2])\n"
    )
    settings = SETTINGS.model_copy(update={"batch": 7, "sequences": 28, "validate_every": 14})
    frames = {"train": data[0].frames.double(), "valid": data[1].frames.double()}
    torch.save({**frames, "settings": settings.model_dump()}, tmp_path / "data.pt")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    ran = subprocess.run(
        [*command, str(script), str(tmp_path / "data.pt"), str(tmp_path / "out.pt")],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    together, alone = torch.load(tmp_path / "out.pt"), network().double()
    curve, best = fit(alone, settings, (Sequences(frames["train"]), Sequences(frames["valid"])), seed=3)
    assert together["count"] == 2
    assert together["curve"]["valid_loss"] == pytest.approx(curve.valid_loss, rel=1e-12)
    for name, weight in best.items():
        torch.testing.assert_close(together["best"][name], weight, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in ideas.names("flowsim.models") if n != "conv3d"])
def test_every_weight_learns_in_bfloat16_too(data, name):
    """Warm-up included, which must not leave weights without gradient."""
    settings = SETTINGS.model_copy(update={"precision": "bfloat16"})
    seed = next(seed for seed in range(1, 99, 2) if Batch.drawn(data[0], settings, seed).warm == 2)
    torch.manual_seed(0)
    net = build(name, (9, 8), **({"patch": 1} if name == "attention" else {}))
    losses(net, settings, Batch.drawn(data[0][:3], settings, seed))[0].backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters() if p.requires_grad)


def test_nothing_to_evaluate(data):
    assert evaluate(network(), SETTINGS, data[1][:0], 4) == 0


def test_more_processes_than_sequences(data, monkeypatch):
    monkeypatch.setattr("flowsim.training.devices.count", lambda: 9)
    with pytest.raises(InputError, match="batch must be at least the 9 processes; got 8"):
        fit(network(), SETTINGS, data, seed=0)


def test_a_stream_is_a_file_that_goes_on():
    """Batches are those of a file of as many trials by the same random state; each can be asked for by
    itself.
    """
    spec = {"height": 9, "width": 8, "frames": 5}
    stream = Stream("moving_digits", spec, seed=7, batch=300, device=torch.device("cpu"))
    for pool, trials in ((0, 1800), (1, 1800)):
        file = moving_digits.generate(
            "train", np.random.default_rng(random_state(7, pool)), **spec, trials=trials
        )
        for within in range(6):
            batch, chosen = stream[6 * pool + within], slice(300 * within, 300 * within + 300)
            assert np.array_equal(batch.frames[:, :, 0], file.frames[chosen])
            assert np.array_equal(batch.label, file.label[chosen, 0])
    other = Stream("moving_digits", spec, seed=8, batch=300, device=torch.device("cpu"))
    assert not torch.equal(stream[7].frames, other[7].frames)
    assert torch.equal(stream[7].frames, Stream("moving_digits", spec, 7, 300, torch.device("cpu"))[7].frames)


def test_a_stream_never_repeats_a_file():
    """Whose random states are `flowsim.splits.SEEDS`."""
    files = [np.random.default_rng(seed).bytes(8) for seed in SEEDS.values()]
    streams = [
        np.random.default_rng(random_state(seed, pool)).bytes(8) for seed in range(9) for pool in range(9)
    ]
    assert len({*files, *streams}) == len(files) + len(streams)


def test_a_stream_of_a_stimulus_that_renders_itself(monkeypatch):
    def generate(split, rng, *, trials: int = 4):
        made = moving_digits.generate(split, rng, height=9, width=8, trials=trials, frames=5).load()
        return made.drop_attrs()

    spec = {"height": 9, "width": 8, "frames": 5}
    expected = Stream("moving_digits", spec, 1, 30, torch.device("cpu"))[3]
    monkeypatch.setattr("flowsim.ideas.load", lambda *_: SimpleNamespace(generate=generate))
    found = Stream("my_digits", {}, 1, 30, torch.device("cpu"))[3]
    assert torch.equal(found.frames, expected.frames)
    assert torch.equal(found.label, expected.label)


def test_training_on_a_stream_can_be_resumed(data, tmp_path):
    def stream():
        spec = {"height": 9, "width": 8, "frames": 7}
        return Stream("moving_digits", spec, seed=3, batch=SETTINGS.batch, device=torch.device("cpu"))

    def killed(done, *_):
        if done == 32:
            raise KeyboardInterrupt

    undisturbed, again, file = network(), network(), tmp_path / "run.ckpt"
    train(undisturbed, SETTINGS, stream(), data[1], 3)
    with pytest.raises(KeyboardInterrupt):
        train(network(), SETTINGS, stream(), data[1], 3, checkpoint=file, identity="a", report=killed)
    train(again, SETTINGS, stream(), data[1], 3, checkpoint=file, identity="a")
    assert same(again.state_dict(), undisturbed.state_dict())


CLASSIFY = SETTINGS.model_copy(update={"task": "classify", "context": 5, "noise": 0.0})


@pytest.mark.parametrize("model", ["fernn", "conv3d", "gru"])
def test_a_classifier_learns_labels(data, model):
    torch.manual_seed(0)
    net = build(model, (9, 8), classes=10)
    settings = CLASSIFY.model_copy(update={"sequences": 2400, "batch": 24, "learning_rate": 3e-2})
    label = data[0].label % 2
    easy = Sequences(data[0].frames * label.view(-1, 1, 1, 1, 1), label)  # those of label 0 are dark
    curve, best = fit(net, settings, (easy, easy), seed=0)
    assert curve.valid_loss[-1] < 0.3 < 0.6 < curve.valid_loss[0]
    net.load_state_dict(best)
    assert torch.equal(net.classify(easy.frames[:, :5]).argmax(1), easy.label)


@pytest.mark.parametrize("change", [{}, {"micro_batch": 3}, {"recompute": 2}])
def test_the_loss_of_a_classifier_is_its_cross_entropy(data, change):
    torch.manual_seed(0)
    net = build("fernn", (9, 8), max_speed=1, channels=4, classes=10).double()
    settings, sequences = (
        CLASSIFY.model_copy(update=change),
        Sequences(data[0].frames[:7].double(), data[0].label[:7]),
    )
    warmed = next(s for s in range(1, 99, 2) if Batch.drawn(sequences, settings, s).warm == 2)
    ahead = SplitBatch(settings.micro_batch or 7).descend(
        net, settings, Batch.drawn(sequences, settings, warmed)
    )
    expected = torch.nn.functional.cross_entropy(net.classify(sequences.frames), sequences.label)
    torch.testing.assert_close(ahead, expected.detach())
    total = evaluate(net, settings, sequences, 3) / 7
    own = torch.nn.functional.cross_entropy(net.classify(sequences.frames[:, :5]), sequences.label)
    torch.testing.assert_close(total, own.detach())


def test_no_labels_to_classify(data):
    with pytest.raises(InputError, match="to classify needs labels; the stimulus has no coordinate label"):
        losses(
            build("fernn", (9, 8), classes=2), CLASSIFY, Batch.drawn(Sequences(data[0].frames), CLASSIFY, 0)
        )


def test_actions_reach_a_network_that_observes():
    """It predicts a moving window better than one that is not told, by the same weights."""
    made = digit_world.generate(
        "train",
        np.random.default_rng(0),
        height=9,
        width=9,
        world_height=12,
        world_width=12,
        trials=6,
        frames=7,
    )
    told = Sequences.of(made)
    assert told.actions.shape == (6, 7, 2)
    torch.manual_seed(0)
    net = build("self_motion", (9, 9), world=(12, 12), max_speed=1, channels=4)
    batch, blind = Batch.drawn(told, SETTINGS, 0), Batch.drawn(Sequences(told.frames), SETTINGS, 0)
    assert losses(net, SETTINGS, batch)[0] != losses(net, SETTINGS, blind)[0]
    assert evaluate(net, SETTINGS, told, 4) != evaluate(net, SETTINGS, Sequences(told.frames), 4)
    plain = build("fernn", (9, 9), max_speed=1, channels=4)
    assert losses(plain, SETTINGS, batch)[0] == losses(plain, SETTINGS, blind)[0]
    expected = net.rollout(told.frames[:, 2:5], 2, told.actions[:, 2:7]) - told.frames[:, 5:7]
    unnoised = SETTINGS.model_copy(update={"noise": 0.0})
    torch.testing.assert_close(losses(net, unnoised, batch)[1], expected.square().mean())
