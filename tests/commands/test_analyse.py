"""`flowsim analyse` does not take an error of a user's analysis for a damaged recording."""

import pytest

from flowsim.__main__ import main


def run(*arguments):
    return main([str(a) for a in arguments])


def test_an_error_in_a_users_analysis_is_not_blamed_on_the_recording(folder, tmp_path, monkeypatch):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "broken_for_test.py").write_text(
        "def analyse(recording):\n    raise RuntimeError('mine')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="mine"):
        run("analyse", "broken_for_test", "--recording", folder / "rec.h5", "--into", tmp_path / "out.h5")
