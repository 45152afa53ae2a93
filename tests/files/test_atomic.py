"""Files appear whole or not at all, made by one process at a time."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

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


def beside(folder):
    return sorted(path.name for path in folder.iterdir())


def test_nothing_lies_beside_what_was_made(tmp_path):
    with exclusive(tmp_path / "a"), whole(tmp_path / "a") as temporary:
        assert beside(tmp_path) == [".a.flowsim.lock", ".a.flowsim.tmp"]
        temporary.write_text("good")
    assert beside(tmp_path) == ["a"]


HOLD = """
import sys, time
from pathlib import Path
from flowsim.files.atomic import whole
with whole(Path(sys.argv[1])) as temporary:
    print("ready", flush=True)
    time.sleep(float(sys.argv[2]))
    temporary.write_text("good")
"""


def holding(path, seconds):
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    child.stdout.close()
    return child


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    """Whatever it makes in that folder; what a living process holds stays, and so does what is not ours."""
    killed = holding(tmp_path / "a", 60)
    killed.kill()
    killed.wait()
    foreign = [".a.tmp", ".b.lock", "c.flowsim.tmp", ".d.flowsim.spare"]
    for name in foreign:
        (tmp_path / name).write_text("mine")
    assert {".a.flowsim.lock", ".a.flowsim.tmp"} < set(beside(tmp_path))
    living = holding(tmp_path / "b", 0.3)
    assert sorted([*foreign, ".b.flowsim.lock", ".b.flowsim.tmp"]) == beside(tmp_path)
    with whole(tmp_path / "c") as temporary:
        temporary.write_text("good")
    assert living.wait(60) == 0
    assert sorted([*foreign, "b", "c"]) == beside(tmp_path)


MANY = """
import os, sys
from pathlib import Path
from flowsim.files.atomic import exclusive
for _ in range(200):
    with exclusive(Path("a")):
        number = int(Path("count").read_text())
        Path("count").write_text(str(number + 1))
"""


def test_no_two_processes_hold_a_lock_that_is_removed_each_time(tmp_path):
    (tmp_path / "count").write_text("0")
    command = [sys.executable, "-c", MANY]
    children = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "600"
    assert beside(tmp_path) == ["count"]


def test_a_planted_link_is_not_followed(tmp_path):
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / ".a.flowsim.tmp").symlink_to(other)
    with whole(tmp_path / "a") as temporary:
        temporary.write_text("good")
    assert (tmp_path / "a").read_text() == "good"
    (tmp_path / ".b.flowsim.lock").symlink_to(other)
    with pytest.raises(InputError, match="cannot write .*/b: "), whole(tmp_path / "b"):
        pass
    assert other.read_text() == "precious"
    assert beside(tmp_path) == [".b.flowsim.lock", "a", "other"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_lock_that_cannot_be_made_is_an_error():
    with (
        pytest.raises(InputError, match=r"cannot write /proc/a: .*; choose a folder"),
        exclusive(Path("/proc/a")),
    ):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number):
    """The folder is named, with the reason, and nothing is left in it."""

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    message = (
        f"a: {os.strerror(number)}; the file system of {tmp_path} has no locks; choose a folder on another"
    )
    for context in (whole, exclusive):
        with pytest.raises(InputError, match=message), context(tmp_path / "a"):
            pass
        assert not beside(tmp_path)


def test_a_folder_that_disappears_while_a_file_is_made(tmp_path):
    folder = tmp_path / "folder"

    def make():
        with whole(folder / "a") as temporary:
            temporary.write_text("good")
            shutil.rmtree(folder)

    with pytest.raises(FileNotFoundError):  # which the command line says in one line
        make()
    assert not beside(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_told_with_path_and_bytes(tmp_path, number):
    message = r"/a: expected room for 12,345 bytes at least; got .* bytes free\)"
    with pytest.raises(InputError, match=message), whole(tmp_path / "a", 12345):
        raise OSError(number, os.strerror(number))
    assert not beside(tmp_path)
