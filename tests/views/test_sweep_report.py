"""The page about a sweep: its words are decided by the numbers."""

import re

import numpy as np
import pytest
import yaml

from flowsim import InputError
from flowsim.experiment.read import read
from flowsim.views import sweep_figure, sweep_report, sweep_table
from tests.views.test_sweep_table import folder, made

assert folder  # a fixture

SWEEP = {"networks.a.max_speed": [0, 1], "train.noise": [0, 0.5]}


@pytest.fixture
def page(folder):
    """Write the page about results that are a function of point, network and seed; returns its text."""

    def write(value, sweep=None, not_made=None, title="Two <b>networks</b>"):
        file = folder.parent / "swept.yaml"
        content = {
            "title": title,
            "stimulus": {"family": "moving_digits"},
            "networks": {name: {"model": "fernn", "max_speed": 1} for name in "ab"},
            "seeds": 4,
            "train": {"context": 2, "horizon": 2, "sequences": 8},
            "sweep": sweep or SWEEP,
            "record": {"test": {"sites": ["prediction"]}},
            "analyse": {"is_one": {}},
        }
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        one = read(file)
        made(folder, one, value)
        (folder / "figures").mkdir(exist_ok=True)
        sweep_figure.draw(one, "is_one", folder, folder / "figures" / "is_one.svg")
        sweep_table.write(sweep_table.collected(one, folder), folder / "sweep.csv")
        sweep_report.page(file, folder, folder / "report.html", not_made)
        return (folder / "report.html").read_text(encoding="utf-8")

    return write


def noisy(rng, effect):
    """Values of about 5, and of ``effect`` less for network a at max_speed 0."""
    return lambda point, network, seed: (
        5 - effect * (network == "a" and point.place[0] == 0) + 0.1 * rng.standard_normal()
    )


def lead_of(text):
    return re.search(r'<p class="lead">(.*?)</p>', text, re.DOTALL)[1]


def test_a_setting_that_matters_is_named_with_its_effect_and_interval(page, rng):
    text = page(noisy(rng, 2))
    assert "Beyond what seeds do, max_speed matters in 1 of 1 quantities (a)" in lead_of(text)
    assert "noise cannot be told from what seeds do" in lead_of(text)
    (sentence,) = re.findall(r"<li>(What it is: a is better at max_speed 0 than at 1.*?)</li>", text)
    effect, low, high = map(
        float, re.search(r", (-[\d.]+) \((-[\d.]+) to (-[\d.]+), 4 seeds", sentence).groups()
    )
    assert low < -2 < high < 0
    assert effect == pytest.approx(-2, abs=0.2)


def test_where_nothing_matters_it_says_so(page, rng):
    text = page(noisy(rng, 0))
    assert re.search(r"Of \d+ comparisons, none is larger than what seeds do", lead_of(text))
    assert "<li>What it is: a is" not in text


def test_it_says_what_was_shared_and_is_safe(page, rng):
    text = page(noisy(rng, 0))
    assert "&lt;b&gt;networks&lt;/b&gt;" in text
    assert "24 trainings in place of 32" in text
    assert "4 points" in text
    assert "<code>networks.a.max_speed</code>" in text
    assert "http://" not in re.sub(r'xmlns[^"]*"[^"]*"', "", text.split("<svg")[0])


def test_a_row_for_each_point_with_its_interval(page, rng):
    text = page(noisy(rng, 0), {"train.noise": [0, 0.5]})
    rows = re.findall(
        r'<th scope="row">noise=([\d.]+)</th><td class="text">(\w)</td><td data-value="([\d.]+)">', text
    )
    assert [(noise, network) for noise, network, _ in rows] == [
        ("0", "a"),
        ("0", "b"),
        ("0.5", "a"),
        ("0.5", "b"),
    ]
    assert np.allclose([float(value) for *_, value in rows], 5, atol=0.3)


def test_the_table_and_figures_have_to_be_there(page, rng, folder):
    page(noisy(rng, 0))
    (folder / "sweep.csv").unlink()
    with pytest.raises(InputError, match="sweep.csv"):
        sweep_report.page(folder.parent / "swept.yaml", folder, folder / "report.html")


def test_what_is_missing_is_named(page, rng, folder):
    lost = folder / "analyses" / "is_one" / "a-seed0.h5"
    text = page(noisy(rng, 0), not_made={"is_one": {lost: "its training failed"}})
    assert re.search(r"Incomplete.*a-seed0: its training failed", text, re.DOTALL)
