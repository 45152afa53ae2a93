"""Every code block of the pages runs; every page is in the table of contents; every public name is documented."""

import ast
import inspect
import json
import re
import runpy
from pathlib import Path
from pydoc import locate

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

import flowsim
from tests.docs import blocks
from tests.docs.test_guides import GUIDES

mpl.use("agg")
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BUILT = ("_build", "gallery_built", "api", "gallery", "jupyter_execute")
PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if not set(BUILT) & set(path.relative_to(DOCS).parts) and path.name != "extending.md"
)
"""All but extending.md, whose templates test_extending.py runs and looks at."""
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
EXAMPLES = sorted((DOCS / "gallery").glob("plot_*.py"))
LINES = 30
"""Of an example, at most."""
ARRAYS = re.compile(r"(Tensor|ndarray|DataArray)\b")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    plt.close("all")


@pytest.mark.parametrize(
    "name",
    [
        "guides/choose_network.md",
        "guides/file_formats.md",
        "guides/sweep_settings.md",
        "guides/cluster.md",
        "mathematics.md",
        pytest.param("tutorial.md", marks=pytest.mark.slow),
        pytest.param("stimuli.md", marks=pytest.mark.slow),
    ],
)
def test_every_block_runs(name, folder):
    (folder / "experiments").mkdir()
    for experiment in (ROOT / "experiments").glob("*.yaml"):
        (folder / "experiments" / experiment.name).write_text(experiment.read_text())
    text = (DOCS / name).read_text()
    assert blocks.blocks(text)
    blocks.run_page(text, folder)


def test_no_page_has_blocks_that_nobody_runs():
    """Others have blocks that are shown only, or tests of their own."""
    listed = set(re.findall(r'"([\w/]+\.md)"', Path(__file__).read_text()))
    listed |= {f"guides/{guide.name}" for guide in GUIDES}
    for page in PAGES:
        name = page.relative_to(DOCS).as_posix()
        run = [block for block in blocks.blocks(page.read_text()) if block.language not in blocks.NOT_RUN]
        assert name in listed or not run, f"add {name} to test_every_block_runs"


def test_a_block_that_fails_is_found(folder):
    assert blocks.run_page("```python\nx = 1\n```\n\n```python\nprint(x + 1)\n```\n", folder) == "2\n"
    with pytest.raises(ZeroDivisionError):
        blocks.run_page("```python\n1 / 0\n```\n", folder)
    with pytest.raises(AssertionError, match="validate"):
        blocks.run_page("```sh\nflowsim run nothing.yaml\n```\n", folder)
    with pytest.raises(AssertionError, match="no way to run a block of 'cobol'"):
        blocks.run_page("```cobol\nSTOP RUN\n```\n", folder)
    blocks.run_page("`a/b.yaml`:\n\n```yaml\nx: 1\n```\n", folder)
    assert (folder / "a" / "b.yaml").read_text() == "x: 1\n"


def listed(page):
    """Pages that the tables of contents of a page name, as paths from docs/."""
    entries = []
    for block in blocks.blocks(page.read_text()):
        if block.language == "{toctree}":
            lines = [line for line in block.text.splitlines() if line and not line.startswith(":")]
            entries += [
                path for line in lines for path in (DOCS.glob(f"{line}.*") if "*" in line else [DOCS / line])
            ]
    return {path.with_suffix("").relative_to(DOCS).as_posix() for path in entries}


def test_every_page_is_in_the_table_of_contents():
    sources = [*PAGES, DOCS / "extending.md", DOCS / "reference" / "api.rst", *NOTEBOOKS]
    written = {path.with_suffix("").relative_to(DOCS).as_posix() for path in sources} - {"index"}
    assert listed(DOCS / "index.md") == written | {"gallery_built/index"}


def test_pages_from_the_code_are_up_to_date():
    for path, text in runpy.run_path(str(DOCS / "generate.py"))["pages"]().items():
        assert path.read_text() == text, f"{path.name} is out of date: run `make docs`"


def test_every_key_of_an_experiment_has_a_meaning():
    text = (DOCS / "reference" / "experiment.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert [row for row in rows if row.split("|")[4].strip() == ""] == []


def test_every_analysis_has_an_example_of_few_lines():
    assert [path.stem for path in EXAMPLES] == [f"plot_{name}" for name in flowsim.ideas.names("analysis")]
    for path in EXAMPLES:
        code = path.read_text().split('"""', 2)[2]
        assert 5 < len([line for line in code.splitlines() if line.strip()]) <= LINES, path.name
        assert f"{path.stem.removeprefix('plot_')}.figure(" in code


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_draw_a_figure(path, folder):
    assert runpy.run_path(str(path))["figure"].axes
    plt.close("all")


def test_notebooks_have_no_outputs_and_are_python():
    assert len(NOTEBOOKS) == 2
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text())["cells"]
        for cell in cells:
            assert cell["cell_type"] == "markdown" or not cell["outputs"], path.name
            assert cell["cell_type"] == "markdown" or cell["execution_count"] is None, path.name
            if cell["cell_type"] == "code":
                ast.parse("".join(cell["source"]))


def test_every_public_name_is_documented():
    text = (DOCS / "reference" / "api.rst").read_text()
    names = re.findall(r"^   ([\w.]+)$", text, re.MULTILINE)
    assert set(flowsim.__all__) <= set(names)
    for name in names:
        assert inspect.getdoc(locate(f"flowsim.{name}")), name


def functions():
    """Public functions, and public methods of public classes, that take arrays."""
    for name in flowsim.__all__:
        public = getattr(flowsim, name)
        members = vars(public).items() if inspect.isclass(public) else [(name, public)]
        for member, function in members:
            if inspect.isfunction(function) and not member.startswith("_"):
                yield f"{name}.{member}", function


@pytest.mark.parametrize(("name", "function"), [*functions()])
def test_docstrings_of_public_names_have_the_shapes_of_arrays(name, function):
    """Where an array is taken, its dimensions stand in brackets, such as (trial, time, y, x)."""
    arrays = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if ARRAYS.search(str(parameter.annotation))
    ]
    if arrays:
        assert re.search(r"\((?:\w+|\.\.\.)(?:, (?:\w+|\*\w+|\.\.\.))+\)", inspect.getdoc(function) or ""), (
            name
        )
