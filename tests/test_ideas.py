"""Ideas are found by the names of their files."""

import pytest

from flowsim import InputError
from flowsim.ideas import KINDS, load, names


@pytest.mark.parametrize("package", KINDS)
def test_every_idea_is_found_by_its_name(package):
    known = names(package)
    assert known == sorted(known)
    assert load(package, known[0]).__name__ == f"{package}.{known[0]}"


def test_a_users_own_analysis_is_found_too(tmp_path, monkeypatch):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "mine_for_ideas.py").write_text("READS = 'probe'")
    monkeypatch.syspath_prepend(tmp_path)
    assert "mine_for_ideas" in names("analysis")
    assert load("analysis", "mine_for_ideas").READS == "probe"


@pytest.mark.parametrize(("package", "kind"), KINDS.items())
def test_an_unknown_name(package, kind):
    with pytest.raises(InputError, match=f"unknown {kind} 'nothing'; expected one of: {names(package)[0]}"):
        load(package, "nothing")
