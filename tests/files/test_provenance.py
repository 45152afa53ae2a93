"""Files say what they were made from."""

import hashlib
import json
import sys

import pytest

from flowsim.files import provenance as files
from flowsim.files.provenance import checksum, provenance
from flowsim.ideas import ROOT


def test_provenance(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    attrs = provenance("record", {"a": 1}, [file], seed=3)
    assert checksum(file) == hashlib.sha256(b"abc").hexdigest()
    assert json.loads(attrs["inputs"]) == {str(file): checksum(file)}
    assert json.loads(attrs["specification"]) == {"a": 1}
    assert json.loads(attrs["versions"])["python"] == sys.version.split()[0]
    assert (attrs["stage"], attrs["seed"]) == ("record", "3")


class Installed:
    """As `importlib.metadata` gives it, of a package that pip installed from a git address."""

    def __init__(self, root, noted):
        self.root, self.noted = root, noted

    def read_text(self, name):
        return self.noted if name == "direct_url.json" else None

    def locate_file(self, name):
        return self.root / name


@pytest.mark.parametrize(
    ("root", "noted", "expected"),
    [
        (ROOT, '{"url": "x", "vcs_info": {"vcs": "git", "commit_id": "abc123"}}', "abc123"),
        (ROOT, '{"url": "x", "dir_info": {}}', ""),
        (ROOT, None, ""),
        (ROOT, "{", ""),
        (ROOT / "elsewhere", '{"vcs_info": {"commit_id": "abc123"}}', ""),
    ],
)
def test_the_commit_that_pip_installed(monkeypatch, root, noted, expected):
    """Where flowsim is no git checkout; that of another installation is not ours."""
    monkeypatch.setattr(files.importlib.metadata, "distribution", lambda name: Installed(root, noted))
    monkeypatch.setattr(files.subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    assert files.commit.__wrapped__() == expected
