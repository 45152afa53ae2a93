"""What the README shows works as it stands."""

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    example = "\n".join(
        re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    )  # the second goes on where the first ends
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert "transport+shift" in capsys.readouterr().out


def test_the_first_screen_names_the_two_commands():
    first = README[: README.index("## ")]
    assert re.search(r"^make +#", first, re.MULTILINE)
    assert re.search(r"^make test +#", first, re.MULTILINE)
