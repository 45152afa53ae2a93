"""What the pages name is there: files, modules and their members, verbs."""

import re
from importlib.util import find_spec
from pathlib import Path
from pydoc import locate

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "results/README.md"]
PAGES += ["docs/architecture.md", "docs/extending.md", "docs/stimuli.md"]
TEMPLATES = ("flowsim/exports/as_csv.py", "flowsim/commands/sizes.py")
"""Files that a reader of docs/extending.md adds."""


@pytest.fixture(params=PAGES)
def page(request):
    return ROOT / request.param


def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```|^    .*?$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", prose):
        assert (page.parent / target).exists(), target


def test_dotted_names_resolve(page):
    for name in set(re.findall(r"`((?:flowsim|stimuli|analysis)\.[\w.]*\w)`", page.read_text())):
        assert locate(name) is not None, name


def test_paths_exist(page):
    for path in set(
        re.findall(
            r"(?<![\w/.])((?:flowsim|tests|benchmarks|docs|examples)/[\w/.]+\.(?:py|md))\b", page.read_text()
        )
    ):
        assert (ROOT / path).exists() or path in TEMPLATES, path


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "results/README.md", "Makefile"]
)
def test_modules_that_are_run_exist(name):
    text = (ROOT / name).read_text()
    for module in set(re.findall(r"python -m ((?:benchmarks|flowsim)[\w.]*)", text)):
        assert find_spec(module) is not None, module


def test_makefile_and_pages_name_the_same_targets():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        used = set(re.findall(r"(?:^|`)make ([\w-]+)(?:`|  )", (ROOT / page).read_text(), re.MULTILINE))
        assert used <= targets, page
