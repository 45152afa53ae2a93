"""The pipeline with its results in an S3 storage: the results of a folder, and a whole report."""

import io
import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
import xarray as xr

from tests.known.small_project import project, snakemake

NEEDED = ("boto3", "flask", "moto", "snakemake_storage_plugin_s3")
lacking = [name for name in NEEDED if find_spec(name) is None]
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
STORAGE = [
    *("--default-storage-provider", "s3", "--default-storage-prefix", "s3://bucket/lab"),
    *("results/tiny/report.html", "--cores", "2"),
]


@pytest.fixture
def server(tmp_path):
    """The address of an S3 server in memory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
        )
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with socket.socket() as call:
                if call.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait()


@pytest.mark.skipif(bool(lacking), reason=f"needs {', '.join(lacking)}")
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_results_in_a_storage_are_those_in_a_folder(server, tmp_path):
    import boto3

    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    here, there = project(tmp_path / "here"), project(tmp_path / "there")
    status, text = snakemake(here)
    assert status == 0, text
    environment = {**os.environ, **KEYS, "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": server}

    def run(*arguments):
        command = [sys.executable, "-m", "snakemake", *STORAGE, *arguments]
        return subprocess.run(command, cwd=there, env=environment, capture_output=True, text=True)

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    client = boto3.client(
        "s3", endpoint_url=server, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )

    def stored(name):
        return client.get_object(Bucket="bucket", Key=f"lab/results/tiny/{name}")["Body"].read()

    results = here / "results" / "tiny"
    files = sorted((results / "analyses").glob("*/*.h5"))
    assert len(files) == 4
    for file in files:
        content = io.BytesIO(stored(file.relative_to(results).as_posix()))
        with xr.open_dataset(file) as a, xr.open_dataset(content) as b:
            xr.testing.assert_equal(a, b)
    for file in sorted((results / "figures").glob("*.csv")):
        assert stored(f"figures/{file.name}") == file.read_bytes()
    html = stored("report.html").decode()
    for words in ("Tiny", "peak memory", "recordings/grnn-seed0/probe.h5"):
        assert words in html
    assert len(html) == pytest.approx(len((results / "report.html").read_text()), rel=0.05)
    assert not list((there / "results").rglob("*"))  # no file of a job is written past the storage
    again = run("--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr
