"""What is wrong with an experiment is said before its first job, and concerns no other."""

import pytest

from tests.known.small_project import ALL, EXPERIMENT, alone, counted, snakemake


def test_a_mistake_is_told_before_the_first_job(tmp_path):
    folder = alone(tmp_path)
    file = folder / "experiments" / "tiny.yaml"
    file.write_text(EXPERIMENT.replace("horizon: 3", "horizon: 0"))
    status, text = snakemake(folder)
    assert status != 0
    assert "experiments/tiny.yaml: train.horizon: input should be greater than or equal to 1; got 0" in text
    assert "Traceback" not in text
    assert not (folder / "results").exists()


BROKEN = {
    "empty": b"",
    "yaml": b"title: [",
    "latin": "title: \u00e4".encode("latin-1"),
    "list": b"a list",
    "wrong": EXPERIMENT.replace("horizon: 3", "horizon: 0").encode(),
}
"""Contents of experiment files that cannot be read, or of which the check finds that no network can be trained so."""


def dry_run(folder, target):
    return snakemake(folder, "--dry-run", target=target)


@pytest.fixture(scope="module")
def beside_broken(tmp_path_factory):
    """The project with experiments that are broken."""
    folder = alone(tmp_path_factory.mktemp("broken"))
    for name, content in BROKEN.items():
        (folder / "experiments" / f"{name}.yaml").write_bytes(content)
    return folder


def test_broken_experiments_concern_themselves_only(beside_broken):
    """Others run, and `all` names them and leaves them out."""
    status, text = dry_run(beside_broken, "all")
    assert status == 0, text
    assert counted(text) == {"all": 1, **ALL}
    for name in BROKEN:
        assert f"experiments/{name}.yaml" in text


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name != "latin")) for name in BROKEN],
)
def test_a_broken_experiment_is_an_error_where_it_is_asked_for(name, beside_broken):
    status, text = dry_run(beside_broken, f"results/{name}/report.html")
    assert status == 1, text
    assert f"experiments/{name}.yaml" in text
    assert "rule report" not in text
