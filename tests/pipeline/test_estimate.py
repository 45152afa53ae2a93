"""How long an experiment will take: from earlier runs, where there were any."""

import json

import pytest

from flowsim.pipeline.estimate import cost_in_words, duration, seconds_before, seconds_expected
from flowsim.usage import Usage


def cost(seconds, size=0.0):
    return {"seconds": seconds, "bytes": size, "mem_mb": 1200, "runtime": 30}


PLAN = {
    "costs": {
        "stimulus test@n=1": cost(1),
        "train a-seed0": cost(100),
        "record a-seed0 test@n=1": cost(2, 3e9),
        "analyse x a-seed0@n=1": cost(3),
        "report": cost(20),
    },
    "stimuli": {"test@n=1": {"spec": "{}"}},
    "runs": {"a-seed0": {"spec": json.dumps({"n": 1, "name": "a b"})}},
    "recordings": {"test": {"spec": "{}"}},
    "analyses": {"x": {"spec": "{}"}},
}


@pytest.fixture
def earlier(tmp_path):
    """A folder of results, in which one training has been done."""
    (tmp_path / "logs/train").mkdir(parents=True)
    (tmp_path / "logs/train/a-seed0.log").write_text(
        f'$ python -m flowsim train --spec \'{{"name": "a b", "n": 1}}\' --seed 0\n{Usage(12.5, 11, 300)}\n'
    )
    return tmp_path


def test_an_earlier_run_says_how_long(earlier):
    assert seconds_before("train a-seed0", json.dumps({"n": 1, "name": "a b"}), earlier) == 12.5


@pytest.mark.parametrize(
    "name",
    ["train a-seed0", "train a-seed1", "analyse x a-seed0"],
    ids=["other settings", "none", "no folder"],
)
def test_what_was_not_done_like_this_does_not(name, earlier):
    assert seconds_before(name, json.dumps({"n": 2, "name": "a b"}), earlier) is None


def test_a_job_that_has_not_ended_well_says_nothing(earlier):
    log = earlier / "logs/train/a-seed0.log"
    log.write_text(log.read_text().splitlines()[0] + "\nkilled\n")
    assert seconds_before("train a-seed0", None, earlier) is None


def test_what_is_not_known_is_as_planned(earlier):
    seconds, known = seconds_expected(PLAN, earlier)
    assert known == 1
    assert seconds == {name: cost["seconds"] for name, cost in PLAN["costs"].items()} | {
        "train a-seed0": 12.5
    }


def test_it_is_said_as_an_estimate(earlier, tmp_path):
    text = cost_in_words(PLAN, earlier)
    assert text.startswith("estimated at 38 s of one core (1 of 5 jobs as in earlier runs, the others by")
    assert "at most 1.2 GB of memory in a job" in text
    assert "at most 3.0 GB of stimuli" in text
    assert cost_in_words(PLAN, tmp_path / "none").startswith(
        "estimated at 2 min of one core (all by arithmetic"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (90, "90 s"), (92, "2 min"), (5400, "90 min"), (5500, "1.5 h"), (4 * 86400, "4 days")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
