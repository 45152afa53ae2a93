# From moving stimuli to figures: every rule is one `python -m flowsim ...`, which its log repeats.
# `flowsim run FILE` runs one experiment with this file from any folder. In a checkout:
#
#   snakemake                                  the default experiment, experiments/digits.yaml
#   snakemake results/<experiment>/report.html any other
#   snakemake all                              every experiment that needs no outside data and no days
#   snakemake ... --config data=FOLDER         with MNIST or KTH from a folder (or set FLOWSIM_DATA)
#   snakemake ... --config scheduler=ADDRESS   with analyses on a cluster of dask, such as tcp://node1:8786
#   snakemake ... --default-storage-provider s3 --default-storage-prefix s3://BUCKET    with results in a storage
#
# Where an experiment has a sweep, names of files say what differs at a point of it, such as
# models/fernn@max_speed=1-seed0.pt and recordings/fernn@max_speed=1-seed0/test@objects=2.h5 (see
# flowsim/experiment/sweep.py).
#
# (`flowsim run` names an experiment file of any folder as --config experiment=FILE, and the plan that it has made
# of it as --config plan=FILE, with what Snakemake could take for YAML written as in a web address: %3A for a colon.)
#
# An experiment is checked as a whole, and cut into jobs, by `python -m flowsim plan`, before its first job. Each
# job gets its own slice of the specification and the hash of its code as params, so that a change reruns what
# depends on it and a comment reruns nothing.

import atexit
import contextlib
import functools
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

import yaml

from flowsim.errors import InputError
from flowsim.files.atomic import exclusive
from flowsim.splits import SPLIT_OF

FLOWSIM = f"{shlex.quote(sys.executable)} -m flowsim"
DEVICE = str(config.get("device", "auto"))
cards = workflow.global_resources.get("gpu")  # as --resources gpu=N says
if DEVICE in ("auto", "cuda") and cards is not None and (cards.value or 0) > 1:
    DEVICE += ":free"  # trainings side by side: each takes a card that no other has
DEVICE = shlex.quote(DEVICE)
DATA = (  # where MNIST or KTH lie, for the jobs that read stimuli or the experiment
    f"--data {shlex.quote(str(Path(str(config['data'])).expanduser().absolute()))}"
    if "data" in config
    else ""
)
SCHEDULER = (  # of a cluster of dask, on which analyses read and compute
    f"--scheduler {shlex.quote(str(config['scheduler']))}"
    if "scheduler" in config
    else ""
)
IN_STORAGE = workflow.storage_settings.default_storage_provider is not None
"""Whether results lie in a storage such as S3: each job then has copies of its inputs, and of nothing else."""


def is_given(experiment):
    return Path(unquote(str(config.get("experiment", "")))).stem == experiment


def file_of(experiment):
    """The file of an experiment: the given one, or the one of this name in experiments/."""
    return (
        unquote(str(config["experiment"]))
        if is_given(experiment)
        else f"experiments/{experiment}.yaml"
    )


@functools.cache
def planned(experiment):
    """The jobs of an experiment as JSON, or None, and what is wrong with it."""
    if is_given(experiment) and "plan" in config:
        return Path(unquote(str(config["plan"]))).read_text(encoding="utf-8"), ""
    command = [
        *(sys.executable, "-m", "flowsim", "plan"),
        file_of(experiment),
        *shlex.split(DATA),
    ]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return None if done.returncode else done.stdout, done.stderr.strip()


held = contextlib.ExitStack()
atexit.register(held.close)


@functools.cache
def wait_for_other_runs(experiment):
    """Let one run at a time make files of an experiment; the next finds what it has made, and goes on from there.

    A run that only says what it would do waits for nobody, and `flowsim run` has waited already.
    """
    executes = workflow.executor_plugin is not None and not workflow.dryrun
    if workflow.is_main_process and executes and "plan" not in config:
        try:
            held.enter_context(exclusive(Path("results") / experiment))
        except InputError as error:
            sys.exit(str(error))  # one line, not Snakemake's traceback of this file


def once_others_end(w):
    """Nothing, as the input of the jobs that all others come from: it is asked for before files are looked at."""
    wait_for_other_runs(w.experiment)
    return []


@functools.cache
def plan(experiment):
    jobs, mistake = planned(experiment)
    if jobs is None:
        sys.exit(mistake)  # one line, not Snakemake's traceback of this file
    return json.loads(jobs)


WORTH_A_SERVER = 8
"""Jobs from which on it pays to import once what they need."""
STOPPED = ("processes on user request", "finishing currently running jobs")
"""What Snakemake writes to its log when it is told to end: at Ctrl-C, and at SIGTERM."""
reports = set()
"""Experiments whose report this run is to end in."""


def figures_of(w):
    reports.add(w.experiment)
    return [
        f"results/{w.experiment}/figures/{name}.svg"
        for name in plan(w.experiment)["analyses"]
    ]


def in_all():
    """Names of the experiments of `snakemake all`; one that is broken is named and left out."""
    names = []
    for path in sorted(Path("experiments").glob("*.yaml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("it is empty, or no mapping")
        except (yaml.YAMLError, ValueError) as error:
            reason = " ".join(str(error).split())
            print(f"{path}: left out: expected YAML; {reason}", file=sys.stderr)
            continue
        if not content.get("in_all", True):
            continue
        jobs, mistake = planned(path.stem)
        if jobs is None:
            print(f"{path}: left out: {mistake}", file=sys.stderr)
            continue
        names.append(path.stem)
    return names


def job(stage, wildcard=None):
    """One entry of the plan, chosen by a wildcard."""
    return lambda w: plan(w.experiment)[stage][getattr(w, wildcard)]


def field(stage, wildcard, name):
    return lambda w: job(stage, wildcard)(w)[name]


def stimulus_of(split):
    """The stimulus file that a run is trained on, or validated on."""
    return lambda w: f"results/{w.experiment}/stimuli/{job('runs', 'run')(w)[split]}.h5"


def of_recording(name):
    """What the plan says of recordings of a split, whichever stimulus of it is shown."""
    return lambda w: plan(w.experiment)["recordings"][w.split.partition("@")[0]][name]


def recording_of(experiment, analysis, result):
    """The recording that results are of: that of the run, and of the stimulus that is named after it."""
    run, at, shown = result.rpartition("-seed")
    seed, at_stimulus, differs = shown.partition("@")
    split = plan(experiment)["analyses"][analysis]["reads"]
    return f"results/{experiment}/recordings/{run}{at}{seed}/{split}{at_stimulus}{differs}.h5"


def results_of(w):
    """Results of an analysis of all runs."""
    folder = f"results/{w.experiment}/analyses/{w.analysis}"
    return [f"{folder}/{name}.h5" for name in job("analyses", "analysis")(w)["results"]]


def drawn_from(w, input, output):
    """Arguments of a figure: the files, or of a sweep the folder in which they are found."""
    if plan(w.experiment)["sweep"]:
        folder = Path(output.svg).parent.parent.as_posix()
        return [folder, "--sweep", file_of(w.experiment)]
    return list(input)


def folder_of(w, output):
    """The folder of an experiment in results/, or of its copies, in which a file is made."""
    return Path(output[0]).parent.as_posix()


def table_of(w):
    """The table of a sweep, which the report is of."""
    is_sweep = plan(w.experiment)["sweep"]
    return [f"results/{w.experiment}/sweep.csv"] if is_sweep else []


def read_by_report(w):
    """What a report reads besides figures, if that has to be fetched from a storage.

    In a folder it is there already, and what was removed from it is not to be made again.
    """
    if not IN_STORAGE:
        return []
    jobs, folder = plan(w.experiment), f"results/{w.experiment}"
    files = [f"{folder}/stimuli/{split}.h5" for split in jobs["stimuli"]]
    files += [f"{folder}/models/{run}.pt" for run in jobs["runs"]]
    for name, analysis in jobs["analyses"].items():
        files.append(f"{folder}/figures/{name}.csv")
        for result in analysis["results"]:
            files.append(f"{folder}/analyses/{name}/{result}.h5")
            files.append(recording_of(w.experiment, name, result))
    return list(dict.fromkeys(files))


def gpus(w):
    """How many GPUs a job takes: one, if the machine that plans has one, or `--config device=cuda` says so."""
    is_open = DEVICE.startswith("auto")
    return plan(w.experiment)["gpu"] if is_open else int("cuda" in DEVICE)


HOST_OF_GPU = 3000
"""Megabytes of memory that a process takes for the use of a GPU."""


def asks(amount, name):
    """What a job asks a cluster for, as the plan says: twice, three times as much when it is tried again."""

    def asked(w, attempt):
        return attempt * plan(w.experiment)["costs"][name.format(**w)][amount]

    return asked


def memory(name):
    """Megabytes that a job asks for; of jobs that use a GPU more, for its driver."""
    on_gpu = name.partition(" ")[0] in ("train", "record")
    asked = asks("mem_mb", name)
    return lambda w, attempt: asked(w, attempt) + HOST_OF_GPU * (on_gpu and gpus(w))


wildcard_constraints:
    experiment="[^/]+",
    run="[^/]+-seed[0-9]+",
    result="[^/]+-seed[0-9]+(@[^/]+)?",
    split=f"({'|'.join(SPLIT_OF)})(@[^/]+)?",
    analysis="[^/]+",


rule default:
    input:
        "results/digits/report.html",


rule all:
    input:
        lambda _: [f"results/{name}/report.html" for name in in_all()],


rule stimulus:
    input:
        once_others_end,
    output:
        "results/{experiment}/stimuli/{split}.h5",
    log:
        "results/{experiment}/logs/stimulus/{split}.log",
    resources:
        mem_mb=memory("stimulus {split}"),
        runtime=asks("runtime", "stimulus {split}"),
    params:
        family=field("stimuli", "split", "family"),
        split=field("stimuli", "split", "split"),
        spec=field("stimuli", "split", "spec"),
        seed=field("stimuli", "split", "seed"),
        code=field("stimuli", "split", "code"),
    shell:
        "{FLOWSIM} stimulus {params.family:q} {params.split:q} --spec {params.spec:q} --seed {params.seed} "
        "{DATA} --into {output:q} 2> {log:q}"


rule train:
    input:
        train=stimulus_of("train"),
        valid=stimulus_of("valid"),
    output:
        "results/{experiment}/models/{run}.pt",
    log:
        "results/{experiment}/logs/train/{run}.log",
    priority: 3  # the longest jobs first; then what is nearest to something to look at
    threads:
        lambda w: max(
            1,
            (workflow.resource_settings.cores or 1) // len(plan(w.experiment)["runs"]),
        )
    resources:
        gpu=gpus,
        mem_mb=memory("train {run}"),
        runtime=asks("runtime", "train {run}"),
    params:
        spec=field("runs", "run", "spec"),
        seed=field("runs", "run", "seed"),
        code=field("runs", "run", "code"),
    shell:
        "{FLOWSIM} train --spec {params.spec:q} --seed {params.seed} --train {input.train:q} --valid {input.valid:q} "
        "--device {DEVICE} {DATA} --into {output:q} 2> {log:q}"


rule record:
    input:
        model="results/{experiment}/models/{run}.pt",
        stimulus="results/{experiment}/stimuli/{split}.h5",
        others=of_recording("reads"),
    output:
        "results/{experiment}/recordings/{run}/{split}.h5",
    log:
        "results/{experiment}/logs/record/{run}-{split}.log",
    resources:
        gpu=gpus,
        mem_mb=memory("record {run} {split}"),
        runtime=asks("runtime", "record {run} {split}"),
    params:
        spec=of_recording("spec"),
        code=of_recording("code"),
    shell:
        "{FLOWSIM} record --spec {params.spec:q} --model {input.model:q} --stimulus {input.stimulus:q} "
        "--device {DEVICE} --into {output:q} 2> {log:q}"


rule analyse:
    input:
        lambda w: recording_of(w.experiment, w.analysis, w.result),
    output:
        "results/{experiment}/analyses/{analysis}/{result}.h5",
    log:
        "results/{experiment}/logs/analyse/{analysis}-{result}.log",
    priority: 1
    resources:
        mem_mb=memory("analyse {analysis} {result}"),
        runtime=asks("runtime", "analyse {analysis} {result}"),
    params:
        spec=field("analyses", "analysis", "spec"),
        code=field("analyses", "analysis", "code"),
    shell:
        "{FLOWSIM} analyse {wildcards.analysis:q} --spec {params.spec:q} --recording {input:q} "
        "{SCHEDULER} --into {output:q} 2> {log:q}"


rule figure:
    input:
        results_of,
    output:
        svg="results/{experiment}/figures/{analysis}.svg",
        png="results/{experiment}/figures/{analysis}.png",
        csv="results/{experiment}/figures/{analysis}.csv",
    log:
        "results/{experiment}/logs/figure/{analysis}.log",
    priority: 2
    resources:
        mem_mb=memory("figure {analysis}"),
        runtime=asks("runtime", "figure {analysis}"),
    params:
        drawn_from=drawn_from,
        points=lambda w: plan(w.experiment)["sweep"],
        code=field("analyses", "analysis", "figure_code"),
    shell:
        "{FLOWSIM} figure {wildcards.analysis:q} --results {params.drawn_from:q} --into {output.svg:q} 2> {log:q}"


rule sweep:
    input:
        lambda w: [
            Path(figure).with_suffix(".csv").as_posix() for figure in figures_of(w)
        ],
    output:
        "results/{experiment}/sweep.csv",
    log:
        "results/{experiment}/logs/sweep.log",
    resources:
        mem_mb=memory("sweep"),
        runtime=asks("runtime", "sweep"),
    params:
        file=lambda w: file_of(w.experiment),
        results=folder_of,
    shell:
        "{FLOWSIM} sweep {params.file:q} --results {params.results:q} --into {output:q} 2> {log:q}"


rule report:
    input:
        figures_of,
        table_of,
        read_by_report,
    output:
        "results/{experiment}/report.html",
    log:
        "results/{experiment}/logs/report.log",
    resources:
        mem_mb=memory("report"),
        runtime=asks("runtime", "report"),
    params:
        file=lambda w: file_of(w.experiment),
        results=folder_of,
        spec=lambda w: plan(w.experiment)["specification"],
        code=lambda w: plan(w.experiment)["report"],
    shell:
        "{FLOWSIM} report {params.file:q} --results {params.results:q} "
        "{DATA} --into {output:q} 2> {log:q}"


onstart:
    # Jobs on this machine are forks of a process that has imported what they need, if there are some. (Forks of a
    # process with libraries like these are safe on Linux only.)
    if (
        sys.platform == "linux"
        and workflow.local_exec
        and sum(1 for _ in workflow.dag.needrun_jobs()) >= WORTH_A_SERVER
    ):
        folder = held.enter_context(tempfile.TemporaryDirectory())
        os.environ["FLOWSIM_FORK_SERVER"] = f"{folder}/socket"
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "flowsim.fork_server", f"{folder}/socket"],
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        held.enter_context(server)  # it ends with its standard input


onerror:
    # A report of what there is: it names the runs that failed, and is written anew once they do not. Who stops
    # a run does not wait for one. In a storage there is none: its files are not here.
    logs = [log] if isinstance(log, str) else log or []
    said = "".join(Path(file).read_text(encoding="utf-8") for file in logs)
    stopped = any(words in said for words in STOPPED)
    for name in () if stopped or IN_STORAGE else sorted(reports):
        folder = f"results/{name}"
        command = [sys.executable, "-m", "flowsim", "report", file_of(name)]
        command += ["--results", folder, *shlex.split(DATA), "--incomplete"]
        command += ["--into", f"{folder}/report.html"]
        subprocess.run(command)
