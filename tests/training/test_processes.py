"""Several processes train like one, on one machine and on two; if one ends, the others do not wait for ever."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from benchmarks.slurm.cluster import free_ports
from flowsim import InputError
from flowsim.__main__ import main
from flowsim.scenes.sequences import Sequences
from flowsim.training import processes

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
STIMULUS = {"height": 8, "width": 9, "trials": 4, "frames": 6}
TRAIN = {
    "name": "fernn",
    "network": {"model": "fernn", "max_speed": 1, "channels": 3, "decoder_layers": 1},
    "train": {"context": 3, "horizon": 2, "sequences": 240, "batch": 4, "validate_every": 16},
}
"""Long enough to be disturbed after its first checkpoint."""
LOST = "expected 2 processes to train together; one has ended, or cannot be reached"
PATIENCE = 100
"""Seconds within which everything ends; it takes less than twenty, mostly starts of Python."""


def test_two_processes_train_like_one(data, tmp_path, network, fit, small):
    """By torchrun on the CPU (gloo); with a batch that splits unevenly, and float64 to see rounding only."""
    script = tmp_path / "together.py"
    script.write_text(
        "import sys, torch\n"
        "from flowsim import build\n"
        "from flowsim.scenes.sequences import Sequences\n"
        "from flowsim.training import processes\n"
        "from flowsim.training.batches import Shuffled\n"
        "from flowsim.training.settings import TrainBlock\n"
        "from flowsim.training.train import train\n"
        "data = torch.load(sys.argv[1])\n"
        "torch.manual_seed(0)\n"
        "net = build('fernn', (9, 8), max_speed=1, channels=4, decoder_layers=1).double()\n"
        "with processes.joined(torch.device('cpu')):\n"
        "    source = Shuffled(Sequences(data['train']), data['settings']['batch'], 3)\n"
        "    curve, best = train(net, TrainBlock(**data['settings']), source, Sequences(data['valid']), seed=3)\n"
        "    if processes.rank() == 0:\n"
        "        torch.save({'curve': vars(curve), 'best': best, 'count': processes.count()}, sys.argv[2])\n"
    )
    settings = small.model_copy(update={"batch": 7, "sequences": 28, "validate_every": 14})
    frames = {"train": data[0].frames.double(), "valid": data[1].frames.double()}
    torch.save({**frames, "settings": settings.model_dump()}, tmp_path / "data.pt")
    ran = subprocess.run(
        [*on_one_machine(2), str(script), str(tmp_path / "data.pt"), str(tmp_path / "out.pt")],
        capture_output=True, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    together, alone = torch.load(tmp_path / "out.pt"), network().double()
    curve, best = fit(alone, settings, (Sequences(frames["train"]), Sequences(frames["valid"])), seed=3)
    assert together["count"] == 2
    assert together["curve"]["valid_loss"] == pytest.approx(curve.valid_loss, rel=1e-12)
    for name, weight in best.items():
        torch.testing.assert_close(together["best"][name], weight, rtol=0, atol=1e-12)


def on_one_machine(count):
    """torchrun, but for what it is to run."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    return [*command, "--nproc-per-node", str(count)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with stimuli, and the weights of one process."""
    at = tmp_path_factory.mktemp("together")
    for split in ("train", "valid"):
        spec = json.dumps(STIMULUS)
        assert (
            main(["stimulus", "moving_digits", split, "--spec", spec, "--into", str(at / f"{split}.h5")]) == 0
        )
    assert main(flowsim_train(at, "alone.pt")) == 0
    return at


def flowsim_train(at, name, train=TRAIN):
    data = ("--train", str(at / "train.h5"), "--valid", str(at / "valid.h5"), "--device", "cpu")
    return ["train", "--spec", json.dumps(train), *data, "--into", str(at / name)]


class TwoNodes:
    """Two agents of torchrun, each with one process, which know each other by their addresses alone."""

    def __init__(self, at, name, backend, restarts=0):
        self.into, self.logs = at / name, [at / f"{name}.{node}.log" for node in (0, 1)]
        port = free_ports(1)[0]
        meet = {
            "static": ["--master-addr", "127.0.0.1", "--master-port", str(port)],
            "c10d": ["--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", name],
        }
        self.agents = []
        for node, address in enumerate(("127.0.0.1", "127.0.0.2")):
            command = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--nnodes",
                "2",
                "--nproc-per-node",
                "1",
            ]
            command += ["--node-rank", str(node), "--local-addr", address, "--max-restarts", str(restarts)]
            command += ["--rdzv-backend", backend, *meet[backend], "-m", "flowsim", *flowsim_train(at, name)]
            with self.logs[node].open("w") as log:
                agent = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=ENVIRONMENT)
            self.agents.append(agent)

    def process(self, number):
        """The process of this number, once there is a checkpoint, so that training is under way; and its node."""
        until = time.monotonic() + PATIENCE
        while not self.into.with_suffix(".ckpt").is_file() and time.monotonic() < until:
            time.sleep(0.05)
        for node, agent in enumerate(self.agents):
            with open(f"/proc/{agent.pid}/task/{agent.pid}/children") as file:
                pid = int(file.read().split()[0])
            with open(f"/proc/{pid}/environ") as file:
                if f"RANK={number}" in file.read().split("\0"):
                    return pid, node
        raise AssertionError(f"there is no process {number}")

    def ended(self):
        """The exit status of each agent, and what flowsim, not torchrun, said on each node."""
        try:
            status = [agent.wait(PATIENCE) for agent in self.agents]
        finally:
            for agent in self.agents:
                agent.kill()
        texts = [log.read_text() for log in self.logs]
        assert "[rank" not in "".join(texts), "no process has left a traceback"
        said = [
            [line for line in text.splitlines() if re.match(r"flowsim train: |\$ python", line)]
            for text in texts
        ]
        return status, said


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


def weights(path):
    return torch.load(path, weights_only=True)["last"]


@pytest.fixture(scope="module")
def undisturbed(trained):
    """Two nodes that nobody disturbs, once they have ended."""
    nodes = TwoNodes(trained, "undisturbed.pt", "c10d")
    status, said = nodes.ended()
    assert status == [0, 0], said
    return nodes


@pytest.mark.slow
def test_two_machines_train_like_one_process(trained, undisturbed):
    """And only the first process tells what it does, and writes."""
    text = "".join(log.read_text() for log in undisturbed.logs)
    for once in ("$ python", "on cpu in 2 processes", " 240/240 sequences", f"wrote {undisturbed.into}"):
        assert text.count(once) == 1, text
    alone = weights(trained / "alone.pt")
    for name, weight in weights(undisturbed.into).items():
        torch.testing.assert_close(weight, alone[name], rtol=0, atol=1e-5)


def assert_same(one, other):
    """The weights are the same to the bit."""
    for name, weight in weights(one.into).items():
        assert torch.equal(weight, weights(other.into)[name]), name


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize(("number", "backend"), [(0, "c10d"), (1, "static")])
def test_a_killed_process_is_started_again_and_training_goes_on(trained, undisturbed, number, backend):
    """What the first attempt left in torchrun's store does no harm."""
    nodes = TwoNodes(trained, f"killed-{number}.pt", backend, restarts=1)
    pid, _ = nodes.process(number)
    os.kill(pid, signal.SIGKILL)
    status, said = nodes.ended()
    assert status == [0, 0], said
    assert_same(nodes, undisturbed)
    text = "".join(log.read_text() for log in nodes.logs)
    assert text.count("-seed0: 16/240 sequences") == 1  # it did not begin anew
    assert text.count(f"wrote {nodes.into}") == 1


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize(("number", "how"), [(0, "SIGKILL"), (1, "SIGTERM")])
def test_all_end_if_one_does_and_the_same_command_goes_on(trained, undisturbed, number, how):
    """SIGKILL to a process; SIGTERM to the torchrun of its node, as a queue does it."""
    name = f"{how}.pt"
    nodes = TwoNodes(trained, name, "static")
    pid, node = nodes.process(number)
    os.kill(pid if how == "SIGKILL" else nodes.agents[node].pid, getattr(signal, how))
    status, said = nodes.ended()
    assert status == [1, 1]
    reasons = [[line for line in lines if not line.startswith("$")] for lines in said]
    stopped = ["flowsim train: stopped by SIGTERM; run the same command to continue"]
    assert reasons[node] == ([] if how == "SIGKILL" else stopped)
    assert len(reasons[1 - node]) == 1, reasons
    assert re.match(rf"flowsim train: error: {LOST} \(.*\)\. Run the same command", reasons[1 - node][0])
    assert not nodes.into.exists()
    assert nodes.into.with_suffix(".ckpt").is_file()
    again = TwoNodes(trained, name, "static")
    status, said = again.ended()
    assert status == [0, 0], said
    assert_same(again, undisturbed)
    assert not list(trained.glob(f".{name}*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--device", "tpu"), "device 'tpu' is not on this machine"),
        (("--train", "none.h5"), "none.h5: expected "),
    ],
)
def test_a_mistake_is_told_once(trained, change, message):
    """And not by each process: one line, no traceback but torchrun's."""
    arguments = [*flowsim_train(trained, "bad.pt"), *change]
    ran = subprocess.run(
        [*on_one_machine(2), "-m", "flowsim", *arguments],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=PATIENCE,
    )  # fmt: skip
    assert ran.returncode == 1
    lines = [line for line in ran.stderr.splitlines() if line.startswith("flowsim train: ")]
    assert len(lines) == 1, ran.stderr
    assert re.search(message, lines[0])
    assert "[rank" not in ran.stderr
    assert "exitcode  : 2" in ran.stderr


def test_processes_of_one_attempt_find_each_other(tmp_path):
    """Three threads with one store, twice; in it lies what an attempt before left that was killed."""
    store = dist.HashStore()
    for number in (1, 2):
        store.set(f"flowsim/calls/{number}", "dead")
    names = []
    for _ in range(2):
        found = {}

        def meet(number, found=found):
            found[number] = processes.attempt_of(store, number, 3, timedelta(seconds=20))

        threads = [threading.Thread(target=meet, args=(number,)) for number in (2, 0, 1)]
        for thread in threads:
            thread.start()
            time.sleep(0.2)
        for thread in threads:
            thread.join()
        assert len(set(found.values())) == 1
        names.append(found[0])
    assert names[0] != names[1]


@pytest.mark.parametrize("number", [0, 1])
def test_who_does_not_come_is_not_waited_for_for_ever(number):
    with pytest.raises(TimeoutError, match="not all have started within 0 s"):
        processes.attempt_of(dist.HashStore(), number, 2, timedelta(seconds=0.3))


def test_what_torch_says_of_a_lost_process_is_one_line(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    place = (
        "[/a/b/pair.cc:553] Connection closed by peer [127.0.0.1]:33. This is typically caused by\na crash."
    )
    with (
        pytest.raises(
            processes.ProcessLost, match=re.escape(f"{LOST} (Connection closed by peer [127.0.0.1]:33). Run")
        ),
        processes._none_lost(),
    ):
        raise RuntimeError(place)
    with pytest.raises(torch.OutOfMemoryError), processes._none_lost():
        raise torch.OutOfMemoryError("full")


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert processes._gpu_of_this_process(torch.device("cuda")) == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")  # so that all say it, whichever speaks
    with pytest.raises(InputError, match=r"a GPU of its own, of 2; .* got cuda for 3 processes"):
        processes._gpu_of_this_process(torch.device("cuda"))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="got cuda:0 for 2 processes"):
        processes._gpu_of_this_process(torch.device("cuda:0"))


def test_alone_there_is_nothing_to_agree_on():
    assert processes.count() == 1
    assert processes.from_the_first(lambda: 3) == processes.in_each(lambda: 3) == 3
