"""What the README shows works as it stands."""

import re
from pathlib import Path

from flowsim.__main__ import main

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_python_example_prints_what_is_shown(tmp_path, monkeypatch, capsys):
    """The laws in the order shown, the exact one with an error of 0; the others depend on the weights drawn."""
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (shown,) = re.findall(r"```\n(law\n.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    expected = [line.split() for line in shown.splitlines()]
    assert [line[0] for line in printed] == [line[0] for line in expected]
    assert printed[-1] == expected[-1] == ["transport+shift", "0.00"]
    assert all(float(line[1]) > 0.1 for line in printed[1:-1] + expected[1:-1])


def test_the_experiment_shown_is_valid(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "gratings.yaml").write_text(example)
    monkeypatch.chdir(tmp_path)
    main(["validate", "gratings.yaml"])
    assert "gratings.yaml is valid" in capsys.readouterr().out


def test_the_first_screen_names_the_two_commands():
    first = README[: README.index("## ")]
    assert re.search(r"^make +#", first, re.MULTILINE)
    assert re.search(r"^make test +#", first, re.MULTILINE)
