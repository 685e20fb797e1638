"""A server on this machine that speaks as much of the hub's protocol as `full` needs, and
misbehaves on demand.

>>> with Hub(folder) as hub:
...     os.environ["HF_ENDPOINT"] = hub.url          # before huggingface_hub is imported
...     hub.fault, hub.where = "stall", "/api/"      # one of FAULTS, for addresses that contain
`where`

The folder holds models/OWNER/NAME/COMMIT/… and datasets/OWNER/NAME/COMMIT/…, with what the hub
would have in that commit, and files/… with what other servers have. Anything heavy is redirected to
/lfs/SHA256, as the hub redirects to its storage. The requests were found by listening to
huggingface_hub 2.4.0, not in a specification.
"""

import hashlib
import json
import re
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

FAULTS = ("stall", "break off", "wrong hash", "401", "404", "500")
HEAVY = {".safetensors", ".parquet", ".bin", ".h5", ".msgpack"}
ADDRESS = re.compile(
    r"/(?P<api>api/)?(?P<kind>models/|datasets/)?(?P<repository>[\w.-]+/[\w.-]+)"
    r"/(?P<verb>resolve|tree|revision)/(?P<revision>\w+)(?:/(?P<path>.+))?"
)


@cache
def digests(path: Path) -> tuple[str, str]:
    """The git blob id and the SHA-256 of a file, by which the hub names contents."""
    blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        content = hashlib.sha256()
        while chunk := file.read(1 << 20):
            blob.update(chunk)
            content.update(chunk)
    return blob.hexdigest(), content.hexdigest()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a library reuses its connection

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub, path = self.server, unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path}")
        self.fault = hub.fault if hub.fault and hub.where in path else None
        if self.fault == "stall" and not path.startswith("/lfs/"):
            hub.healthy.wait()
            self.close_connection = True
        elif self.fault in ("401", "404", "500"):
            self.refuse(int(self.fault))
        elif path.startswith("/lfs/"):
            self.send_file(hub.heavy[path.removeprefix("/lfs/")])
        elif address := ADDRESS.fullmatch(path):
            self.hub_answer(**address.groupdict())
        elif (file := hub.folder / "files" / path.lstrip("/")).is_file():
            self.send_file(file)
        else:
            self.refuse(404)

    def hub_answer(self, api, kind, repository, verb, revision, path):
        commits = self.server.folder / (kind or "models/") / repository
        if not commits.is_dir():
            return self.refuse(401, "RepoNotFound")  # the hub does not say which names are private
        (commit,) = commits.iterdir()
        if revision not in ("main", commit.name):
            return self.refuse(404, "RevisionNotFound")
        if api:
            answer = (
                {"id": repository, "sha": commit.name} if verb == "revision" else listing(commit)
            )
            return self.send_body(json.dumps(answer).encode(), {"Content-Type": "application/json"})
        file = commit / path
        if not file.is_file():
            return self.refuse(404, "EntryNotFound", {"X-Repo-Commit": commit.name})
        blob, content = digests(file)
        headers = {"X-Repo-Commit": commit.name}
        if file.suffix not in HEAVY:
            return self.send_file(file, headers | {"ETag": f'"{blob}"'})
        self.server.heavy[content] = file
        headers |= {"X-Linked-ETag": f'"{content}"', "X-Linked-Size": str(file.stat().st_size)}
        self.send_body(b"", headers | {"Location": f"{self.server.storage}/lfs/{content}"}, 302)

    def send_file(self, file: Path, headers: dict | None = None):
        size, asked = file.stat().st_size, self.headers.get("Range")
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        if start >= size > 0:
            return self.refuse(416)
        headers = {"Accept-Ranges": "bytes"} | (headers or {})
        if asked:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        with file.open("rb") as content:
            content.seek(start)
            body = content.read()
        self.send_body(body, headers, 206 if asked else 200, stop=max(0, size // 2 - start))

    def send_body(self, body: bytes, headers: dict, status: int = 200, stop: int | None = None):
        """Send headers and body; a fault spoils the body, or ends it after `stop` bytes."""
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = len(body) // 2 if stop is None else stop
        if self.fault == "wrong hash":
            body = body[:-1] + bytes([body[-1] ^ 1])
        elif self.fault:
            body, self.close_connection = body[:stop], True
        self.wfile.write(body)
        if self.fault == "stall":
            self.wfile.flush()
            self.server.healthy.wait()

    def refuse(self, status: int, code: str = "", headers: dict | None = None):
        self.send_body(b"", {"X-Error-Code": code} | (headers or {}), status)

    def log_message(self, *arguments):
        pass


def listing(commit: Path) -> list[dict]:
    """What the hub's api/…/tree says of a commit."""
    entries = []
    for file in sorted(path for path in commit.rglob("*") if path.is_file()):
        blob, content = digests(file)
        size = file.stat().st_size
        entry = {
            "type": "file",
            "path": file.relative_to(commit).as_posix(),
            "oid": blob,
            "size": size,
        }
        if file.suffix in HEAVY:
            entry["lfs"] = {"oid": content, "size": size, "pointerSize": 134}
        entries.append(entry)
    return entries


class Hub(ThreadingHTTPServer):
    """The server; `asked` lists its requests. Leaving the `with` block ends it."""

    daemon_threads = True

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), Answer)
        self.folder, self.url = folder, f"http://127.0.0.1:{self.server_port}"
        self.storage = (
            f"http://localhost:{self.server_port}"  # another host, as the hub's storage is
        )
        self.heavy: dict[str, Path] = {}
        self.asked: list[str] = []
        self.healthy = threading.Event()
        self.fault, self.where = None, ""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def heal(self) -> None:
        """End the fault, and every answer that stalls."""
        self.fault = None
        self.healthy.set()
        self.healthy = threading.Event()

    def handle_error(self, request, client_address):
        """A client that went away is no news."""

    def __exit__(self, *arguments):
        self.heal()
        self.shutdown()
        super().__exit__(*arguments)
