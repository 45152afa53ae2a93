"""The table of models says what each is."""

from flowsim import ideas
from flowsim.__main__ import main
from flowsim.views.model_table import models


def test_every_model_is_listed_with_its_law_and_source():
    table = models().set_index("model")
    assert list(table.index) == ideas.names("flowsim.models")
    assert (table.parameters > 1000).all()
    assert table.source.str.contains(r"\(\d{4}\)").all()
    assert (table.what.str.len() > 20).all()
    assert table.law["fernn"] == table.law["fernn_mixing"] == "transport+shift"
    assert table.law["conv_lstm"] == "none"


def test_command(capsys):
    assert main(["models"]) == 0
    assert "grnn_plus" in capsys.readouterr().out
