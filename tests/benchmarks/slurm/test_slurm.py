"""The pipeline on a Slurm of two nodes: the results of this machine, and only what a node did is done again."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.slurm.__main__ import HASTE, asked, content, same, table
from benchmarks.slurm.cluster import NODES, free_ports, missing, two_nodes
from tests.known.small_project import ROOT, project, snakemake

lacking = missing()
needs_slurm = pytest.mark.skipif(bool(lacking), reason=f"needs Slurm: {', '.join(lacking)}")
ON_CLUSTER = [
    *("--workflow-profile", "profiles/slurm", "--slurm-no-account"),
    *(word for name, value in HASTE.items() for word in (f"--{name}", value)),
]


def test_files_are_compared_by_what_they_say(tmp_path):
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("x\n1\n")
    assert not same(one, other)
    other.write_text("x\n1\n")
    assert same(one, other)
    other.write_text("x\n2\n")
    assert not same(one, other)
    assert content(one)["table"] == np.array("x\n1\n")


def test_what_jobs_asked_for_is_read_from_the_log(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text(
        "rule train:\n    jobid: 3\n    log: results/x/logs/train/a-seed0.log\n"
        "    reason: Missing\n    resources: gpu=0, mem_mb=3000, runtime=240, tmpdir=<TBD>\n"
    )
    found = {"results/x/logs/train/a-seed0.log": {"gpu": 0, "mem_mb": 3000, "runtime": 240}}
    assert asked(log) == found


def test_ports_differ():
    assert len(set(free_ports(3))) == 3


@needs_slurm
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_results_are_those_of_this_machine(tmp_path):
    for name in ("local", "cluster"):
        (tmp_path / name).mkdir()
    here, there = project(tmp_path / "local"), project(tmp_path / "cluster")
    status, text = snakemake(here)
    assert status == 0, text
    command = [sys.executable, "-m", "snakemake", *ON_CLUSTER, "results/tiny/report.html"]
    log = there / "snakemake.log"
    with two_nodes(tmp_path / "nodes", cores=2) as cluster, log.open("w") as file:
        done = subprocess.run(
            command, cwd=there, env=dict(cluster.environment), stdout=file, stderr=file, timeout=1500
        )
    assert done.returncode == 0, log.read_text()
    jobs = table(here / "results/tiny", there / "results/tiny", log)
    assert len(jobs) == 16
    assert jobs.same.all()
    trained = jobs[jobs.rule == "train"]
    assert (trained.mb_cluster < trained.mb_asked).all()
    assert (there / "results/tiny/report.html").is_file()


@needs_slurm
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_takes_a_user_from_a_laptop_to_slurm(tmp_path):
    """Its commands as they stand, but for the installation, in an empty folder."""
    page = (ROOT / "docs/guides/cluster.md").read_text()
    section = re.search(r"^## In five minutes.*?^## ", page, re.MULTILINE | re.DOTALL)[0]
    commands = re.findall(r"^\$ (.*)$", section, re.MULTILINE)
    install, *others = commands
    assert install.startswith("pip install")
    assert len(others) == 7
    of_the_lab = tmp_path / "lab"
    of_the_lab.mkdir()
    (of_the_lab / "config.yaml").write_text(
        "slurm-no-account: true\n" + "".join(f"{name}: {value}\n" for name, value in HASTE.items())
    )
    work = tmp_path / "work"
    work.mkdir()
    said = {}
    with two_nodes(tmp_path / "nodes", cores=2) as cluster:
        path = os.pathsep.join([str(Path(sys.executable).parent), cluster.environment["PATH"]])
        environment = {**cluster.environment, "PATH": path, "PYTHONPATH": str(ROOT)}
        environment["SNAKEMAKE_PROFILE"] = str(of_the_lab)
        for line in others:
            here = "slurm" not in line
            done = subprocess.run(
                line,
                shell=True,
                cwd=work,
                env={
                    name: v for name, v in environment.items() if not (here and name == "SNAKEMAKE_PROFILE")
                },
                capture_output=True,
                text=True,
                timeout=900,
            )
            assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
            said[line] = done.stdout + done.stderr
        submitted = cluster.run("scontrol", "--oneliner", "show", "jobs").count("JobId=")
    dry, real = (line for line in others if "slurm" in line)
    # The second seed: two trainings, each recorded twice and analysed twice; two figures and the report anew.
    assert "13 jobs to do" in said[dry]
    assert "13 jobs" in said[real]
    assert 2 <= submitted < 13  # small jobs are grouped
    assert (work / "results/my_motion/models/fernn-seed1.pt").is_file()


@needs_slurm
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_training_goes_on_from_its_checkpoint_after_its_node_was_lost(tmp_path):
    """And after it was put back into the queue to make room."""
    (tmp_path / "project").mkdir()
    folder = project(tmp_path / "project")
    file = folder / "experiments" / "tiny.yaml"
    file.write_text(file.read_text().replace("sequences: 64,", "sequences: 40000,"))
    target = "results/tiny/models/fernn-seed0.pt"
    log, checkpoint = (
        folder / "results/tiny/logs/train/fernn-seed0.log",
        (folder / target).with_suffix(".ckpt"),
    )
    command = [sys.executable, "-m", "snakemake", *ON_CLUSTER, target]
    with two_nodes(tmp_path / "nodes", cores=2) as cluster:
        run = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(cluster.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        wait_for(checkpoint.is_file)
        before = seen(checkpoint)
        job, _ = running(cluster)
        log.unlink()
        cluster.run("scontrol", "requeue", job)
        wait_for(lambda: log.is_file() and SHOWN.search(log.read_text()))
        assert int(SHOWN.search(log.read_text())[1]) > before  # it did not begin anew
        _, node = running(cluster)
        assert node in NODES
        cluster.kill_node(node)
        output, _ = run.communicate(timeout=1500)
    assert run.returncode == 0, output.decode()
    assert seen(folder / target) == 40000


SHOWN = re.compile(r"fernn-seed0: (\d+)/40000 sequences")


def seen(weights):
    """Sequences that a file of weights, or a checkpoint, has seen."""
    return torch.load(weights, weights_only=True)["curve"]["sequences"][-1]


def running(cluster):
    """The job that runs, and its node."""
    wait_for(lambda: cluster.run("squeue", "--noheader", "--states", "running"))
    return cluster.run("squeue", "--noheader", "--states", "running", "--format", "%i %N").split()


def wait_for(condition, patience=600):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.5)
    raise TimeoutError
