"""Files say what they were made from."""

import hashlib
import json
import sys

from flowsim.files.provenance import checksum, provenance


def test_provenance(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    attrs = provenance("record", {"a": 1}, [file], seed=3)
    assert checksum(file) == hashlib.sha256(b"abc").hexdigest()
    assert json.loads(attrs["inputs"]) == {str(file): checksum(file)}
    assert json.loads(attrs["specification"]) == {"a": 1}
    assert json.loads(attrs["versions"])["python"] == sys.version.split()[0]
    assert (attrs["stage"], attrs["seed"]) == ("record", "3")
