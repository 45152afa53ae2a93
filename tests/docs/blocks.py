"""Code blocks of a page in Markdown, run as a reader would: the one mechanism for all pages.

A block below a path in backticks and a colon is written to that file. Blocks of ``python`` run one after the
other in one session, those of ``sh`` as commands, a ``yaml`` block without a path is read. Of ``flowsim run
FILE`` the check alone is run, ``flowsim validate FILE``: a pipeline takes minutes. What needs another machine
is ``console`` (with a prompt) or ``matlab``, and is not run.
"""

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import yaml

from flowsim.__main__ import main

BLOCK = re.compile(
    r"(?:^`([\w/.]+)`(?:, [^\n]*)?:\n\n)?^```(\{?[\w-]+\}?)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
NOT_RUN = ("console", "matlab", "text", "{toctree}", "{glossary}")
"""Languages of what is shown and not run."""


class Block(NamedTuple):
    """A path or "", the language, and the text."""

    path: str
    language: str
    text: str


def blocks(text):
    """All blocks of a page, in its order. The file of a tutorial may be named at the end of the sentence before."""
    return [Block(path or "", language, content) for path, language, content in BLOCK.findall(text)]


def commands(text):
    """Arguments of each ``flowsim`` command of a text."""
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    begun = [["python", "-m", "flowsim"] if line[0] == "python" else ["flowsim"] for line in lines]
    assert all(line[: len(start)] == start for line, start in zip(lines, begun, strict=True)), text
    return [line[len(start) :] for line, start in zip(lines, begun, strict=True)]


def run(block, session, folder):
    """Run one block in ``session``, the names that Python blocks share; files are written into ``folder``."""
    if block.path:
        path = Path(folder) / block.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    elif block.language in ("python", "{code-cell}"):
        exec(compile(block.text, "<page>", "exec"), session)
    elif block.language == "sh":
        for verb, *arguments in commands(block.text):
            checked = ["validate", *arguments] if verb == "run" else [verb, *arguments]
            assert main(checked) == 0, checked
    elif block.language == "yaml":
        yaml.safe_load(block.text)
    else:
        assert block.language in NOT_RUN, f"no way to run a block of {block.language!r}"


def run_page(text, folder):
    """Run all blocks of a page, in turn, and return what Python blocks printed."""
    session, printed = {"__name__": "page"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in blocks(text):
            run(block, session, folder)
    return printed.getvalue()
