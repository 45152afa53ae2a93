"""Write what docs/architecture.md takes from the code: the tree of files, and the table of imports.

Run ``make docs`` after a file was added, renamed or described anew. What is said of a file of a
wing is its line in the wing's ``__init__``; of any other file, the first sentence of its docstring. The table
is `MAY_IMPORT` of tests/test_architecture.py.
"""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
FOLDERS = ("flowsim", "stimuli", "analysis", "benchmarks")
INDENT = "    "
LONG = 80
"""Characters of a sentence that is shortened."""


def tree() -> str:
    """Every source file with a line about it, folder by folder."""
    lines = [line for folder in FOLDERS for line in lines_of(ROOT / folder)]
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join(f"{name:{width}}{text}".rstrip() for name, text in lines)


def lines_of(folder: Path, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Name and description of a folder, of its files, and of the folders in it."""
    yield f"{INDENT * depth}{folder.name}/", first_sentence(folder / "__init__.py")
    described = rooms(folder / "__init__.py")
    for file in sorted(folder.iterdir()):
        if file.suffix in (".py", ".j2", ".yaml") and file.name != "__init__.py":
            name = file.stem if file.suffix == ".py" else file.name
            text = described.get(name) or first_sentence(file)
            yield f"{INDENT * (depth + 1)}{file.name}", text
    for inner in sorted(path for path in folder.iterdir() if any(path.glob("*.py"))):
        yield from lines_of(inner, depth + 1)


def first_sentence(file: Path) -> str:
    """The first sentence of a module's docstring, up to the first colon if it is long; "" without a file."""
    if file.suffix == ".j2":
        made = file.name.removesuffix(".j2")
        return f"the template of {made.replace('.html', '.py')}"
    if not file.exists():
        return ""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[.?])\s", paragraph)[0].removesuffix(".")
    return sentence if len(sentence) <= LONG else re.split("[:;] ", sentence)[0]


def rooms(init: Path) -> dict[str, str]:
    """What the ``__init__`` of a wing says of each of its files: a name, two spaces or more, a text."""
    if not init.exists():
        return {}
    docstring = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
    return dict(re.findall(r"^(\S+) {2,}(\S.*)$", docstring, re.MULTILINE))


def imports() -> str:
    """The table of imports in Markdown."""
    architecture = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))
    rows = {name: ", ".join(sorted(others)) for name, others in architecture["MAY_IMPORT"].items()}
    rows |= dict.fromkeys(sorted(architecture["EVERYTHING"]), "everything")
    lines = [f"| `{name}` | {others or 'nothing'} |" for name, others in rows.items()]
    return "\n".join(["| | may import |", "|---|---|", *lines])


def page() -> str:
    """The page as it is, with the tree and the table as they ought to be."""
    text = PAGE.read_text(encoding="utf-8")
    for name, content in (("tree", f"```text\n{tree()}\n```"), ("imports", imports())):
        begin, end = f"<!-- {name}: written by docs/generate.py -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n\n{content}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
