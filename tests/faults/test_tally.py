"""Tries are counted once, also over interruptions."""

from tests.faults.tally import Tally


def test_a_driver_goes_on_where_it_was(tmp_path, capsys):
    log = tmp_path / "new" / "log.jsonl"
    first = Tally(["done", "hang"], log)
    first.note("try 0", "stimulus", "done")
    first.note("try 1", "train", "hang", "flowsim train\nno end")
    assert "try 1, train: hang\n    flowsim train\n    no end" in capsys.readouterr().out
    again = Tally(["done", "hang"], log)
    assert [again.has(f"try {n}") for n in range(3)] == [True, True, False]
    assert again.faults == 1
    assert str(again).splitlines()[-1].split() == ["all", "2", "1", "1"]


def test_tries_of_other_code_do_not_count(tmp_path, monkeypatch):
    log = tmp_path / "log.jsonl"
    Tally(["done"], log).note("try 0", "stimulus", "done")
    monkeypatch.setattr("tests.faults.tally.commit", lambda: "another")
    assert not Tally(["done"], log).has("try 0")
