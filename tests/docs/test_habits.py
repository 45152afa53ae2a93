"""What the workflow, the templates and the recipe of a release name is there."""

import re
import tomllib
from pathlib import Path

import yaml

import flowsim

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def steps(job):
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def test_the_workflow_tests_every_version_on_every_system():
    jobs = WORKFLOW["jobs"]
    assert set(jobs) == {"tests", "tests-windows", "lint", "docs"}
    for job in ("tests", "tests-windows"):
        assert jobs[job]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    systems = {*jobs["tests"]["strategy"]["matrix"]["os"], jobs["tests-windows"]["runs-on"]}
    assert {name.split("-")[0] for name in systems} == {"ubuntu", "macos", "windows"}
    used = {target for job in jobs for run in steps(job) for target in re.findall(r"^make (\w+)", run)}
    assert used == {"test", "lint", "docs"} <= TARGETS


def test_without_make_the_tests_are_those_of_make():
    """The same arguments of pytest, and extras that exist."""
    install, test = steps("tests-windows")
    recipe = re.search(
        r"^test: .venv/ready\n\t\$\(BIN\)/pytest (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert test == f"python -m pytest {recipe[1]}"
    assert set(re.findall(r"\[(\w+)\]", install)) <= set(PROJECT["project"]["optional-dependencies"])


def test_templates_are_filled_in():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        template = yaml.safe_load(path.read_text())
        assert path.stem == "config" or (template["name"] and template["description"] and template["body"])
    used = set(re.findall(r"`make (\w+)`", (ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text()))
    assert used
    assert used <= TARGETS


def test_a_release_finds_the_version_where_it_writes_it():
    recipe = PROJECT["tool"]["bumpversion"]
    version = flowsim.__version__
    assert recipe["current_version"] == version
    assert {one["filename"] for one in recipe["files"]} == {
        "flowsim/__init__.py",
        "CITATION.cff",
        "CHANGELOG.md",
    }
    for one in recipe["files"]:
        search = one["search"].replace(
            "{current_version}", re.escape(version) if one.get("regex") else version
        )
        pattern = search if one.get("regex") else re.escape(search)
        assert len(re.findall(pattern, (ROOT / one["filename"]).read_text(), re.MULTILINE)) == 1, one[
            "filename"
        ]
