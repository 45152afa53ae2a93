"""Profiles: every option exists, jobs ask for what their rules say, and side by side they use different GPUs."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml

from benchmarks.slurm.__main__ import HASTE
from benchmarks.slurm.cluster import missing, two_nodes
from flowsim.pipeline.shipped import home
from tests.faults.kills import EXPERIMENT
from tests.known.fake_cloud import cloud
from tests.known.small_project import project

PROFILES = sorted(path.parent.name for path in home().glob("profiles/*/config.yaml"))
PLUGIN = {"slurm": ("snakemake_executor_plugin_slurm",)}
PLUGIN["kubernetes"] = ("snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_s3")


def options(name):
    return yaml.safe_load((home() / "profiles" / name / "config.yaml").read_text())


def needs(name):
    for plugin in PLUGIN.get(name, ()):
        if find_spec(plugin) is None:
            pytest.skip(f"needs the extra {name}")


def snakemake(folder, *arguments, environment=None):
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment or dict(os.environ), check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The small project, in git, as clones are."""
    folder = project(tmp_path_factory.mktemp("small"))
    git = ["git", "-c", "user.email=a@b", "-c", "user.name=a"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder


def test_the_profiles_that_there_are():
    assert PROFILES == ["default", "gpu", "kubernetes", "slurm"]


@pytest.mark.parametrize("name", PROFILES)
def test_every_option_of_a_profile_exists(name):
    needs(name)
    from snakemake.cli import get_argument_parser

    known = {
        flag.removeprefix("--") for action in get_argument_parser()._actions for flag in action.option_strings
    }
    assert set(options(name)) <= known


def commands_of(folder, *arguments):
    """The commands of trainings and recordings, as a dry run prints them."""
    status, text = snakemake(folder, "-n", "-p", *arguments, "--", "results/tiny/report.html")
    assert status == 0, text
    return re.findall(r"-m flowsim (?:train|record) .*", text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "device"),
    [
        (("default",), "auto"),
        (("gpu", "--resources", "gpu=2"), "auto:free"),
        (("gpu", "--resources", "gpu=2", "--config", "device=cuda"), "cuda:free"),
    ],
)
def test_jobs_side_by_side_take_different_gpus(small, given, device):
    """They are told to, where several run at a time; tests/training/test_free_gpu.py is about how they do."""
    name, *more = given
    commands = commands_of(small, "--workflow-profile", f"profiles/{name}", *more)
    assert len(commands) == 6
    assert all(f" --device {device} " in command for command in commands)


def on_kubernetes(folder, one, *arguments):
    environment = {
        **os.environ,
        "KUBECONFIG": str(one.kubeconfig(folder / "kubeconfig")),
        "SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "key",
        "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret",
    }
    return snakemake(
        folder,
        *("--workflow-profile", "profiles/kubernetes", "--default-storage-prefix", "s3://bucket"),
        *("--storage-s3-endpoint-url", one.address, "--config", "device=cuda"),
        *arguments,
        environment=environment,
    )


@pytest.mark.slow
def test_kubernetes_dry_run(small):
    needs("kubernetes")
    with cloud() as one:
        status, text = on_kubernetes(small, one, "--dry-run", "--", "results/tiny/report.html")
    assert status == 0, text
    assert "output: s3://bucket/results/tiny/models/fernn-seed0.pt (send to storage)" in text
    assert not one.jobs


@pytest.mark.slow
def test_pods_ask_for_what_their_rule_says(small):
    """Of a cluster that says that each job went well; it ran none, so that in the end files are missing."""
    needs("kubernetes")
    haste = ("--retries", "0", "--seconds-between-status-checks", "1", "--rerun-triggers", "mtime")
    with cloud() as one:
        for split in ("train", "valid"):
            one.objects[f"/bucket/results/tiny/stimuli/{split}.h5"] = b"x"
        targets = ("results/tiny/stimuli/test.h5", "results/tiny/models/fernn-seed0.pt")
        status, text = on_kubernetes(small, one, *haste, "--", *targets)
    assert status == 1
    assert "missing" in text.lower()
    asked = {}
    for job in one.jobs:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        rule = re.search(r"--allowed-rules '?(\w+)", container["args"][1])[1]
        asked[rule] = container
    assert set(asked) == {"stimulus", "train"}
    for rule, memory in (("stimulus", "1000M"), ("train", "3700M")):  # 3 GB of which are for the GPU
        resources = asked[rule]["resources"]
        assert resources["limits"]["memory"] == resources["requests"]["memory"] == memory
        assert resources["limits"]["cpu"] == "1000m"
        assert resources["limits"].get("nvidia.com/gpu") == ("1" if rule == "train" else None)
        assert asked[rule]["image"] == options("kubernetes")["container-image"]
    sources = [path for path in one.objects if "snakemake-workflow-sources" in path]
    assert len(sources) == 1  # with the experiment, which jobs read


@pytest.mark.skipif(bool(missing()), reason=f"needs Slurm: {', '.join(missing())}")
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_command_runs_an_experiment_on_slurm(tmp_path):
    """By a profile of one's own, a copy of ours; in a folder that is no clone."""
    needs("slurm")
    own = {**options("slurm"), "slurm-no-account": True, **HASTE}
    for folder in ("here", "own"):
        (tmp_path / folder).mkdir()
    (tmp_path / "own" / "config.yaml").write_text(yaml.safe_dump(own))
    (tmp_path / "here" / "tiny.yaml").write_text(EXPERIMENT)
    command = [sys.executable, "-m", "flowsim", "run", "tiny.yaml", "--profile", "../own"]
    with two_nodes(tmp_path / "nodes", cores=2) as cluster:
        done = subprocess.run(
            command, cwd=tmp_path / "here", env=dict(cluster.environment), capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d+ jobs at most 100 at a time, estimated", done.stderr, re.MULTILINE)
    assert (tmp_path / "here" / "results" / "tiny" / "report.html").is_file()
