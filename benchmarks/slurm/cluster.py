"""A Slurm of two nodes on one machine, in a folder, for as long as a block lasts.

Debian's packages ``slurm-wlm`` and ``munge`` are all that it needs, and root. It uses a key, ports and files
of its own, so that nothing of the system is changed and a Slurm that runs already is left alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "sinfo")
NODES = ("node1", "node2")
PATIENCE = 60.0
"""Seconds within which daemons start, or a node changes its state."""
CONFIGURATION = """\
ClusterName=flowsim
SlurmctldHost=localhost
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MinJobAge=3600
KillWait={grace}
SlurmdTimeout=10
SchedulerParameters=sched_interval=2,batch_sched_delay=1
"""


def missing() -> list[str]:
    """What this machine lacks for a Slurm of its own; nothing if it can have one."""
    lacking = [name for name in NEEDED if shutil.which(name, path=_path()) is None]
    return lacking if os.geteuid() == 0 else [*lacking, "root"]


def install() -> None:
    """Install Debian's packages, as root."""
    command = ["apt-get", "install", "--yes", "--quiet", "slurm-wlm", "munge"]
    subprocess.run(command, check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


@dataclass(frozen=True)
class Cluster:
    """A Slurm that runs.

    Attributes
    ----------
    folder : path
        Its configuration, logs and state.
    environment : mapping
        Variables for processes that are to use it.
    """

    folder: Path
    environment: Mapping[str, str]

    def run(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()}")
        return done.stdout

    def states(self) -> dict[str, str]:
        """The state of each node."""
        rows = self.run("sinfo", "--noheader", "--Node", "--format", "%N %T").splitlines()
        return dict(row.split() for row in rows)

    def wait_until(self, node: str, *states: str) -> None:
        """Wait until a node is in one of these states.

        Raises
        ------
        TimeoutError
            If it is not within `PATIENCE`.
        """
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                found = self.states().get(node, "")
            except RuntimeError:  # the controller has not started yet
                found = "unknown"
            if found.rstrip("*") in states:
                return
            time.sleep(0.2)
        logs = "\n".join(file.read_text()[-2000:] for file in sorted(self.folder.glob("*.log")))
        raise TimeoutError(f"{node} is {found}, not {' or '.join(states)}:\n{logs}")

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        subprocess.run(["slurmd", "-N", node], env=self.environment, check=True, timeout=PATIENCE)

    def kill_node(self, node: str) -> None:
        """Kill the daemon of a node and all jobs on it, as a power cut does."""
        kill(int((self.folder / f"{node}.pid").read_text()))
        for process in Path("/proc").glob("[0-9]*"):
            try:
                variables = (process / "environ").read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
            if f"SLURMD_NODENAME={node}".encode() in variables:
                kill(int(process.name))


def kill(process: int) -> None:
    """End a process at once, if it is there."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


@contextmanager
def two_nodes(folder: Path, cores: int = 1, memory_mb: int = 8000, grace: int = 20) -> Iterator[Cluster]:
    """Start a Slurm in a folder, and end it with all its jobs.

    Parameters
    ----------
    folder : path
    cores, memory_mb : int
        Of each node. They are what Slurm hands out; nothing holds jobs to it.
    grace : int
        Seconds between SIGTERM and SIGKILL for a job that is to end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "state").mkdir(exist_ok=True)
    ports = free_ports(1 + len(NODES))
    lines = [CONFIGURATION.format(folder=folder, controller=ports[0], grace=grace)]
    for node, port in zip(NODES, ports[1:], strict=True):
        address = f"NodeHostname=localhost NodeAddr=127.0.0.1 Port={port}"
        lines.append(f"NodeName={node} {address} CPUs={cores} RealMemory={memory_mb}\n")
    lines.append(f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP\n")
    (folder / "slurm.conf").write_text("".join(lines), encoding="utf-8")
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(srun_that_finds_the_configuration(folder)), _path()]),
        "SLURM_CONF": str(folder / "slurm.conf"),
    }
    cluster = Cluster(folder, environment)
    munge = [f"--{name}={folder / file}" for name, file in MUNGE_FILES.items()]
    with ExitStack() as stack:
        stack.callback(_end, cluster)
        for daemon in (["munged", "--force", *munge], ["slurmctld", "-i"]):
            subprocess.run(daemon, env=environment, check=True, timeout=PATIENCE)
        for node in NODES:
            cluster.start_node(node)
        for node in NODES:
            cluster.wait_until(node, "idle")
        yield cluster


def srun_that_finds_the_configuration(folder: Path) -> Path:
    """A folder with an ``srun`` for this Slurm: Snakemake's plugin calls it without variables of Slurm."""
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    srun = commands / "srun"
    real = shutil.which("srun", path=_path())
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {real} "$@"\n', encoding="utf-8")
    srun.chmod(0o755)
    return commands


MUNGE_FILES = {
    "key-file": "munge.key",
    "socket": "munge.socket",
    "pid-file": "munged.pid",
    "log-file": "munged.log",
    "seed-file": "munged.seed",
}


def _end(cluster: Cluster) -> None:
    """End all jobs and daemons."""
    subprocess.run(["scancel", "--user", "root"], env=cluster.environment, capture_output=True)
    for name in (*NODES, "slurmctld", "munged"):
        with suppress(OSError, ValueError):
            kill(int((cluster.folder / f"{name}.pid").read_text()))


def _path() -> str:
    """Where programs are looked for: daemons are not on every user's path."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens to."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
