"""Every statement in the examples holds."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, capsys):
    runpy.run_path(str(path), run_name="__main__")
    words = capsys.readouterr().out.splitlines()[-1].split()
    assert int(words[0]) == int(words[2]) > 10
