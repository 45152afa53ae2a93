"""What the pages name is there: files, modules and their members, verbs."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from pydoc import locate

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "results/README.md"]
PAGES += [
    path.relative_to(ROOT).as_posix()
    for folder in (".", "guides", "reference")
    for path in sorted((ROOT / "docs" / folder).glob("*.md"))
]
TEMPLATES = ("flowsim/exports/as_csv.py", "flowsim/commands/sizes.py")
"""Files that a reader of docs/extending.md adds."""


@pytest.fixture(params=PAGES)
def page(request):
    return ROOT / request.param


def test_links_lead_somewhere(page):
    prose = re.sub(
        r"```.*?```|^    .*?$|\$\$.*?\$\$|\$[^$\n]*\$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL
    )
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


def labels_of_answers():
    """Patterns of all names that analyses give to their answers: each text in them, with any value put in."""
    patterns = []
    for path in (ROOT / "analysis").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [re.escape(v.value) if isinstance(v, ast.Constant) else ".+" for v in node.values]
                patterns += ["".join(parts)] if set(parts) != {".+"} else []
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                patterns.append(re.escape(node.value))
    return patterns


@pytest.mark.parametrize(("name", "rows"), [("README.md", 4), ("docs/default_experiment.md", 13)])
def test_quantities_have_the_same_names_as_in_the_report(name, rows):
    """In the table of the default experiment: what stands in brackets after a name is no part of it."""
    table = re.search(r"\| mean of .*?\n\n", (ROOT / name).read_text(), re.DOTALL).group()
    names = [line.split("|")[1].split(" (")[0].strip() for line in table.strip().splitlines()[2:]]
    assert len(names) == rows
    patterns = labels_of_answers()
    for name in names:
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name
    assert not any(re.fullmatch(pattern, "error of what no analysis measures") for pattern in patterns)
