"""`flowsim validate` says that an experiment is valid and what it costs, or in one line what is wrong with it."""

import re

from flowsim.__main__ import main

EXPERIMENT = """
title: Tiny
stimulus:
  family: moving_digits
  all: {height: 8, width: 9, trials: 4, frames: 6}
networks:
  fernn: {model: fernn, max_speed: 1, channels: 3, decoder_layers: 1}
  grnn: {model: fernn, max_speed: 0, channels: 3, decoder_layers: 1}
seeds: 2
train: {context: 3, horizon: 3, sequences: 64, batch: 4, validate_every: 16}
record:
  test: {context: 3, sites: [prediction]}
  probe: {}
analyse:
  equivariance_error: {}
  stabilised_maps: {}
"""


def test_a_valid_experiment_and_its_jobs(tmp_path, capsys):
    """No analysis reads the recording of test, so that nothing makes it."""
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT)
    assert main(["validate", str(path)]) == 0
    out, err = capsys.readouterr()
    jobs = "stimulus 3, train 4, record 4, analyse 8, figure 2, report 1"
    first, second = out.splitlines()
    assert first == f"{path} is valid: 22 jobs ({jobs})"
    assert re.fullmatch(
        r"estimated at .* of one core \(all by arithmetic.*, and at most \d+ MB of .*", second
    )
    assert not err


def test_an_experiment_that_would_fail(tmp_path, capsys):
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT.replace("frames: 6", "frames: 5"))
    assert main(["validate", str(path)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"flowsim validate: error: {path}: ")
    assert len(err.splitlines()) == 1
