"""A file in the place of another one is told: by the stage that reads it, or by the report.

Each row copies files over others and runs one command, which must end with one line that says what is wrong.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
import xarray as xr

from flowsim.__main__ import main
from flowsim.files import netcdf

EXPERIMENT = """
title: Tiny
stimulus:
  family: moving_digits
  all: {height: 8, width: 9, trials: 2, frames: 6}
  probe: {probe_speed: 1}
networks:
  fernn: {model: fernn, max_speed: 1, channels: 2, decoder_layers: 1}
  grnn: {model: fernn, max_speed: 0, channels: 2, decoder_layers: 1}
seeds: 2
train: {context: 3, horizon: 3, sequences: 2, batch: 2, validate_every: 2, learning_rate: 0.001}
record:
  test: {context: 3, sites: [prediction]}
  probe: {sites: [state]}
analyse:
  prediction_error: {}
  equivariance_error: {}
"""
SIZE = {"height": 8, "width": 9, "trials": 2, "frames": 6}
SEED = {"train": 1, "valid": 2, "test": 3, "probe": 5}
READS = {"prediction_error": "test", "equivariance_error": "probe"}
RECORD = {"test": {"context": 3, "sites": ["prediction"]}, "probe": {"sites": ["state"]}}
RUNS = [f"{network}-seed{seed}" for network in ("fernn", "grnn") for seed in (0, 1)]


def stimulus(split, into, seed=None, family="moving_digits", **spec):
    size = {**SIZE, **({"probe_speed": 1} if split == "probe" else {}), **spec}
    seed = SEED[split] if seed is None else seed
    return ["stimulus", family, split, "--spec", json.dumps(size), "--seed", seed, "--into", into]


def train(run, train="stimuli/train.h5", valid="stimuli/valid.h5", into=None, **settings):
    name, seed = run.split("-seed")
    network = {"model": "fernn", "max_speed": int(name == "fernn"), "channels": 2, "decoder_layers": 1}
    given = {"context": 3, "horizon": 3, "sequences": 2, "batch": 2, "validate_every": 2, **settings}
    spec = json.dumps({"name": name, "network": network, "train": given})
    files = ["--train", train, "--valid", valid, "--into", into or f"models/{run}.pt"]
    return ["train", "--spec", spec, "--seed", seed, "--device", "cpu", *files]


def record(run, split, into=None, stimulus=None):
    files = ["--model", f"models/{run}.pt", "--stimulus", stimulus or f"stimuli/{split}.h5"]
    files += ["--device", "cpu", "--into", into or f"recordings/{run}/{split}.h5"]
    return ["record", "--spec", json.dumps(RECORD[split]), *files]


def analyse(name, run, recording=None, into=None, **spec):
    files = ["--recording", recording or f"recordings/{run}/{READS[name]}.h5"]
    return [
        "analyse",
        name,
        "--spec",
        json.dumps(spec),
        *files,
        "--into",
        into or f"analyses/{name}/{run}.h5",
    ]


def figure(name, runs=RUNS, results=()):
    paths = [f"analyses/{name}/{run}.h5" for run in runs]
    return ["figure", name, "--results", *paths, *results, "--into", f"figures/{name}.svg"]


REPORT = ["report", "tiny.yaml", "--results", ".", "--into", "report.html"]


def run(command):
    return main([str(argument) for argument in command])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The results of an experiment; in ``other/``, files of others that are like them."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "tiny.yaml").write_text(EXPERIMENT)
        commands = [stimulus(split, f"stimuli/{split}.h5") for split in SEED]
        commands += [train(name) for name in RUNS]
        commands += [record(name, split) for name in RUNS for split in RECORD]
        commands += [analyse(name, of_run) for of_run in RUNS for name in READS]
        commands += [figure(name) for name in READS]
        commands += [stimulus(split, f"other/{split}.h5", 99) for split in ("train", "test")]
        commands += [stimulus("test", "other/larger.h5", trials=3)]
        commands += [stimulus(s, f"other/dots-{s}.h5", family="random_dots") for s in ("train", "valid")]
        commands += [train("fernn-seed0", "other/train.h5", into="other/fernn.pt")]
        commands += [train("fernn-seed0", into="other/fast.pt", learning_rate=0.01)]
        commands += [record("fernn-seed0", "test", "other/test-rec.h5", "other/test.h5")]
        commands += [analyse("prediction_error", "fernn-seed0", "other/test-rec.h5", "other/result.h5")]
        for command in commands:
            assert run(command) == 0, command
        asked = netcdf.load(netcdf.read(LAW, "analysis"), LAW)
        other = json.dumps({"analysis": "equivariance_error", "by_trial": True})
        netcdf.write(asked, folder / "other/asked.h5", {"specification": other})
    return folder


TEST, PROBE = "recordings/fernn-seed0/test.h5", "recordings/fernn-seed0/probe.h5"
ERROR = "analyses/prediction_error/fernn-seed0.h5"
LAW = "analyses/equivariance_error/fernn-seed0.h5"
MODEL = "models/fernn-seed0.pt"
T, F = "fernn-seed0", "prediction_error"
TRAIN_SWAPS = [
    ((), train(T, train="stimuli/test.h5"), "expected split train, for --train; .* of split test"),
    ((), train(T, train="stimuli/valid.h5"), "expected split train"),
    ((), train(T, train="stimuli/probe.h5"), "expected frames .* found .flow"),
    ((), train(T, valid="stimuli/train.h5"), "expected split valid"),
    ((), train(T, valid="stimuli/test.h5"), "expected split valid"),
    ((), train(T, valid="stimuli/probe.h5"), "expected frames .* found .flow"),
    ((), train(T, "stimuli/valid.h5", "stimuli/train.h5"), "expected split train"),
    (("stimuli/test.h5", "stimuli/train.h5"), train(T), "expected split train"),
    (("stimuli/valid.h5", "stimuli/train.h5"), train(T), "expected split train"),
    (("stimuli/train.h5", "stimuli/valid.h5"), train(T), "expected split valid"),
    (("stimuli/test.h5", "stimuli/valid.h5"), train(T), "expected split valid"),
    (("other/dots-train.h5", "stimuli/train.h5"), train(T), "expected a stimulus of random_dots"),
    (("other/dots-valid.h5", "stimuli/valid.h5"), train(T), "expected a stimulus of moving_digits"),
    ((TEST, "stimuli/train.h5"), train(T), "expected a file of stage stimulus"),
    (
        (),
        train(T, into="models/grnn-seed0.pt"),
        "expected run grnn-seed0 in this place; .* would be of run fernn",
    ),
    ((), train(T, into="models/fernn-seed1.pt"), "expected run fernn-seed1"),
]
RECORD_SWAPS = [
    (("models/grnn-seed0.pt", MODEL), record(T, "test"), "expected run fernn-seed0 .* is of run grnn-seed0"),
    (
        ("models/fernn-seed1.pt", MODEL),
        record(T, "test"),
        "expected run fernn-seed0 .* is of run fernn-seed1",
    ),
    (("models/fernn-seed0.ckpt", MODEL), record(T, "test"), "expected weights; this is a file of checkpoint"),
    (("stimuli/train.h5", "stimuli/test.h5"), record(T, "test"), "expected split test .* is of split train"),
    (("stimuli/valid.h5", "stimuli/test.h5"), record(T, "test"), "expected split test"),
    (("stimuli/probe.h5", "stimuli/test.h5"), record(T, "test"), "expected split test"),
    (("stimuli/test.h5", "stimuli/probe.h5"), record(T, "probe"), "expected split probe"),
    (("stimuli/train.h5", "stimuli/probe.h5"), record(T, "probe"), "expected split probe"),
    ((PROBE, "stimuli/probe.h5"), record(T, "probe"), "expected a file of stage stimulus"),
    ((), record(T, "test", "recordings/grnn-seed0/test.h5"), "expected run grnn-seed0"),
    ((), record(T, "test", "recordings/fernn-seed1/test.h5"), "expected run fernn-seed1"),
    ((), record(T, "test", PROBE), "expected split probe"),
    ((), record(T, "probe", PROBE, "stimuli/train.h5"), "expected split probe"),
]
ANALYSE_SWAPS = [
    (("recordings/grnn-seed0/test.h5", TEST), analyse(F, T), "expected run fernn-seed0"),
    (("recordings/fernn-seed1/test.h5", TEST), analyse(F, T), "expected run fernn-seed0"),
    ((PROBE, TEST), analyse(F, T), "expected split test"),
    ((TEST, PROBE), analyse("equivariance_error", T), "expected split probe"),
    (("stimuli/test.h5", TEST), analyse(F, T), "expected a file of stage recording"),
    ((ERROR, TEST), analyse(F, T), "expected a file of stage recording"),
    ((), analyse(F, T, PROBE), "expected split test, for the analysis prediction_error"),
    ((), analyse("equivariance_error", T, TEST), "expected split probe"),
    ((), analyse(F, T, into="analyses/prediction_error/grnn-seed0.h5"), "expected run grnn-seed0"),
    ((), analyse(F, T, into=LAW), "expected analysis equivariance_error"),
]
FIGURE_SWAPS = [
    ((), figure(F, [T, T]), "both are of fernn-seed0. Give each run once"),
    (("analyses/prediction_error/grnn-seed0.h5", ERROR), figure(F), "expected run fernn-seed0"),
    (("analyses/prediction_error/fernn-seed1.h5", ERROR), figure(F), "expected run fernn-seed0"),
    ((LAW, ERROR), figure(F), "expected analysis prediction_error"),
    ((), figure(F, [T], [LAW]), "expected results of prediction_error"),
    ((TEST, ERROR), figure(F), "expected a file of stage analysis"),
    (("other/asked.h5", LAW), figure("equivariance_error"), "expected the same specification"),
    (("other/result.h5", "here.h5"), figure(F, [T], ["here.h5"]), "Give each run once"),
]
REPORT_SWAPS = [
    (("other/test.h5", "stimuli/test.h5"), REPORT, "expected a file made with seed 3; it was made with 99"),
    (("other/larger.h5", "stimuli/test.h5"), REPORT, "made by this experiment; trials is 3 instead of 2"),
    (("stimuli/probe.h5", "stimuli/test.h5"), REPORT, "expected split test"),
    (("other/fernn.pt", MODEL), REPORT, "expected it to be made from stimuli/train.h5"),
    (("other/fast.pt", MODEL), REPORT, "learning_rate is 0.01 instead of 0.001"),
    (("models/grnn-seed0.pt", MODEL), REPORT, "expected run fernn-seed0"),
    (("other/test-rec.h5", TEST), REPORT, "expected it to be made from stimuli/test.h5"),
    (("recordings/grnn-seed0/test.h5", TEST), REPORT, "expected run fernn-seed0"),
    (("other/result.h5", ERROR), REPORT, "expected it to be made from recordings/fernn-seed0/test.h5"),
    (("analyses/prediction_error/grnn-seed0.h5", ERROR), REPORT, "expected run fernn-seed0"),
    ((LAW, ERROR), REPORT, "expected analysis prediction_error"),
]
SWAPS = [*TRAIN_SWAPS, *RECORD_SWAPS, *ANALYSE_SWAPS, *FIGURE_SWAPS, *REPORT_SWAPS]


def named(value):
    return (
        value[0] if isinstance(value, list) else "-".join(map(str, value)) if isinstance(value, tuple) else ""
    )


@pytest.mark.parametrize(("copied", "command", "told"), SWAPS, ids=named)
def test_a_file_in_the_wrong_place_is_told(copied, command, told, made, tmp_path, monkeypatch, capsys):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    into = tmp_path / command[command.index("--into") + 1]
    if copied:
        shutil.copy(*copied)
    before = into.read_bytes() if into.exists() else None
    assert run(command) == 2
    said = capsys.readouterr().err.splitlines()
    assert "error: " in said[-1]
    assert re.search(told, said[-1]), said[-1]
    assert (into.read_bytes() if into.exists() else None) == before


def test_files_in_their_places_and_those_that_say_nothing_are_taken(made, tmp_path, monkeypatch):
    """All of the right files; and somebody's own, in the same places, without attributes."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert run(REPORT) == 0
    for path in ("stimuli/train.h5", "stimuli/test.h5", TEST):
        with xr.open_dataset(made / path, engine="h5netcdf") as opened:
            own = opened.load()
        own.attrs = {name: own.attrs[name] for name in ("flow_group", "context") if name in own.attrs}
        own.to_netcdf(path, engine="h5netcdf")
    for command in (train(T), record("grnn-seed0", "test", "own.h5"), analyse(F, T)):
        assert run(command) == 0, command


def test_a_run_that_was_not_made_anew_is_missing_and_nothing_of_it_is_asked_for(
    made, tmp_path, monkeypatch, capsys
):
    """Its training was to be repeated and failed: what was recorded of the old weights is still there."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path("models/grnn-seed1.pt").unlink()
    shutil.copy("recordings/grnn-seed0/test.h5", "recordings/grnn-seed1/test.h5")
    Path("logs/train").mkdir(parents=True)
    Path("logs/train/grnn-seed1.log").write_text("flowsim train: error: the training diverged: loss nan\n")
    assert run([*REPORT, "--incomplete"]) == 0, capsys.readouterr().err
    html = Path(REPORT[REPORT.index("--into") + 1]).read_text(encoding="utf-8")
    assert "grnn-seed1: its training failed: the training diverged: loss nan" in html
    assert "grnn-seed1" not in Path("figures/prediction_error.csv").read_text()
    assert "grnn-seed0" in Path("figures/prediction_error.csv").read_text()
    shutil.rmtree("models")
    assert run([*REPORT, "--incomplete"]) == 2
    assert "expected the results of one run at least" in capsys.readouterr().err


def test_an_experiment_without_analyses_has_a_report(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    text = Path("tiny.yaml").read_text()
    Path("tiny.yaml").write_text(text[: text.index("analyse:")] + "analyse: {}\n")
    assert run(REPORT) == 0
    assert run([*REPORT, "--incomplete"]) == 0
