"""As much of Kubernetes and of S3 as Snakemake asks for: jobs that end well at once, and a bucket of objects."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

XML = '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@dataclass
class Cloud:
    """What was asked of it.

    Attributes
    ----------
    address : str
    objects : dict of str to bytes
        By "/bucket/key".
    jobs : list of dict
        The Kubernetes jobs that were submitted.
    """

    address: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    jobs: list[dict] = field(default_factory=list)

    def kubeconfig(self, into: Path) -> Path:
        """Write the file that names this cluster."""
        named = {"name": "fake"}
        into.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "clusters": [{**named, "cluster": {"server": self.address}}],
                    "contexts": [{**named, "context": {"cluster": "fake", "user": "fake"}}],
                    "users": [{**named, "user": {"token": "none"}}],
                }
            )
        )
        return into

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        """Status and content of the answer to one request."""
        if path.startswith(("/api/", "/apis/")):
            return self.answer_of_kubernetes(method, path, body)
        if method == "PUT":
            self.objects[path] = body
            return 200, b""
        if path.count("/") == 1 or path.endswith("/"):  # a bucket
            return 200, b"" if method == "HEAD" else self.listed(path.strip("/"), query)
        return (200, self.objects[path]) if path in self.objects else (404, b"")

    def answer_of_kubernetes(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """A job that is created has succeeded; it has no pods."""
        if method == "POST" and path.endswith("/jobs"):
            self.jobs.append(json.loads(body))
        if method == "POST":
            return 201, body
        if path.endswith("/pods"):
            return 200, b'{"items": []}'
        return 200, b'{"status": {"succeeded": 1}}'

    def listed(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        """The objects of a bucket that begin with a prefix, as S3 lists them."""
        prefix = query.get("prefix", [""])[0]
        keys = [path.removeprefix(f"/{bucket}/") for path in self.objects]
        rows = [
            f'<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"x"</ETag>'
            f"<Size>{len(self.objects[f'/{bucket}/{key}'])}</Size></Contents>"
            for key in sorted(keys)
            if key.startswith(prefix)
        ]
        text = f"{XML}<Name>{bucket}</Name><IsTruncated>false</IsTruncated>{''.join(rows)}</ListBucketResult>"
        return text.encode()


@contextmanager
def cloud() -> Iterator[Cloud]:
    """One that runs on this machine for as long as the block lasts."""
    one = Cloud()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def handle_any(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = one.answer(self.command, unquote(url.path), parse_qs(url.query), body)
            self.send_response(status)
            kind = "application/json" if url.path.startswith("/api") else "application/xml"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", '"x"')
            self.send_header("Last-Modified", DATE)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
