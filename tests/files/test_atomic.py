"""Files appear whole or not at all, made by one process at a time."""

import subprocess
import sys

import pytest

from flowsim import InputError
from flowsim.files.atomic import exclusive, existing, whole


def test_nothing_is_left_of_a_failed_write(tmp_path):
    def fail():
        with whole(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").write_text("good")
    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert (tmp_path / "a").read_text() == "good"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot write .*; choose a folder that can be written to"),
        whole(tmp_path / "file" / "a"),
    ):
        pass
    with (
        pytest.raises(InputError, match="cannot write .*; choose a folder that can be written to"),
        exclusive(tmp_path / "file" / "a"),
    ):
        pass
    with pytest.raises(InputError, match="expected weights, found no such file"):
        existing(tmp_path, "weights")


def test_one_process_at_a_time(tmp_path):
    """A second process waits, and a dead one holds nothing."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom flowsim.files.atomic import exclusive\n"
        "with exclusive(Path('a')):\n    sys.exit(not Path('done').exists())"
    )
    with exclusive(tmp_path / "a"):
        child = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.PIPE)
        assert child.stderr.readline() == b"another process is making a; waiting for it to end\n"
        (tmp_path / "done").write_text("")
    assert child.wait(60) == 0
    child.stderr.close()
