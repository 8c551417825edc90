"""A small Hugging Face hub on 127.0.0.1: the calls that the client makes to download repositories, and their faults."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit


class Request(NamedTuple):
    """A request as the server saw it."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Repository:
    """One repository: commits by hash, the last one but those of pull requests is ``main``.

    Attributes:
        pulls: reference of a pull request, such as ``refs/pr/1`` → its commit.
        gated: its files are given only to tokens in ``members``; what the hub shows of it is public.
        private: to everyone but members it doesn't exist.
        in_lfs: size from which a file is stored by its SHA-256 rather than by git's hash.
    """

    type: str
    card: dict[str, Any] = field(default_factory=dict)
    gated: bool = False
    private: bool = False
    members: tuple[str, ...] = ()
    in_lfs: int = 1000
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], pull: str | None = None) -> str:
        """Replace the content, of ``main`` or of a pull request; return the commit's hash."""
        sha = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits[sha] = files
        if pull is not None:
            self.pulls[pull] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        """Return a revision's commit hash, or None."""
        if revision == "main":
            return [sha for sha in self.commits if sha not in self.pulls.values()][-1]
        revision = self.pulls.get(revision, revision)
        return revision if revision in self.commits else None

    def references(self) -> dict[str, list[dict[str, str]]]:
        """Return branches and pull requests as the hub lists them."""

        def entry(name: str, ref: str) -> dict[str, str]:
            return {"name": name, "ref": ref, "targetCommit": str(self.resolve(name if name == "main" else ref))}

        pulls = [entry(ref.rpartition("/")[2], ref) for ref in reversed(self.pulls)]
        return {"branches": [entry("main", "refs/heads/main")], "converts": [], "tags": [], "pullRequests": pulls}

    def describe(self, content: bytes) -> dict[str, Any]:
        """Return size and hashes of a file as the hub states them."""
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        sha256 = hashlib.sha256(content).hexdigest() if len(content) >= self.in_lfs else None
        return {"size": len(content), "oid": oid, "sha256": sha256}


class Hub:
    """The server's state, to be set up and looked at by a test.

    Attributes:
        repositories: by type and name, such as ``("models", "owner/name")``.
        tokens: tokens of existing accounts; any other one is invalid.
        cut: file → bytes after which the connection breaks, once per entry.
        served: file → content sent in place of the right one.
        requests: what was asked for.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.tokens: tuple[str, ...] = ()
        self.cut: dict[str, list[int]] = {}
        self.served: dict[str, bytes] = {}
        self.requests: list[Request] = []

    def add(self, name: str, files: dict[str, bytes], type: str = "models", **options: Any) -> Repository:
        """Add a repository with one commit."""
        repository = Repository(type, **options)
        repository.commit(files)
        self.repositories[type, name] = repository
        return repository

    def downloads(self) -> list[str]:
        """Names of the files whose content was sent, in order."""
        return [r.path.partition("/resolve/")[2].partition("/")[2] for r in self.requests if _is_download(r)]


def _is_download(request: Request) -> bool:
    return request.method == "GET" and "/resolve/" in request.path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        raw = urlsplit(self.path).path
        path = unquote(raw)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.hub.requests.append(Request(self.command, path, self.headers.get("Range"), token))
        if token and token not in self.hub.tokens:
            return self._refuse(401, None, "Invalid credentials in Authorization header")
        parts = [unquote(part) for part in raw.strip("/").split("/")]  # revisions may hold slashes
        api = parts[0] == "api"
        parts = parts[1:] if api else parts
        kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
        repository = self.hub.repositories.get((kind, "/".join(parts[:2])))
        if repository is None or (repository.private and token not in repository.members):
            # The hub doesn't tell an unknown name from a private one; without a token it answers 401.
            return self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        call, rest = (parts[2] if len(parts) > 2 else "revision"), parts[3:] or ["main"]
        closed = repository.gated and token not in repository.members
        if closed and call in ("auth-check", "resolve"):
            return self._refuse(403 if token else 401, "GatedRepo", "Access to this repository is restricted")
        if call == "auth-check":
            return self._send(200, b"{}")
        if call == "refs":
            return self._json(repository.references())
        sha = repository.resolve(rest[0])
        if sha is None:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {rest[0]}")
        if call == "revision":
            return self._json(self._info(parts, repository, sha))
        if call == "tree":
            return self._json(self._tree(repository, sha))
        return self._file(repository, sha, "/".join(rest[1:]))

    def _info(self, parts: list[str], repository: Repository, sha: str) -> dict[str, Any]:
        siblings = []
        for name, content in repository.commits[sha].items():
            known = repository.describe(content)
            entry = {"rfilename": name, "size": known["size"], "blobId": known["oid"]}
            if known["sha256"]:
                entry["lfs"] = {"sha256": known["sha256"], "size": known["size"], "pointerSize": 130}
            siblings.append(entry)
        return {
            "id": "/".join(parts[:2]), "sha": sha, "private": repository.private, "tags": [],
            "gated": "manual" if repository.gated else False, "cardData": repository.card, "siblings": siblings,
        }  # fmt: skip

    def _tree(self, repository: Repository, sha: str) -> list[dict[str, Any]]:
        entries = []
        for name, content in repository.commits[sha].items():
            known = repository.describe(content)
            entry = {"type": "file", "path": name, "size": known["size"], "oid": known["oid"]}
            if known["sha256"]:
                entry["lfs"] = {"oid": known["sha256"], "size": known["size"], "pointerSize": 130}
            entries.append(entry)
        return entries

    def _file(self, repository: Repository, sha: str, name: str) -> None:
        right = repository.commits[sha].get(name)
        if right is None:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        known = repository.describe(right)
        headers = {"X-Repo-Commit": sha, "ETag": f'"{known["sha256"] or known["oid"]}"', "Accept-Ranges": "bytes"}
        if known["sha256"]:
            headers |= {"X-Linked-Size": str(len(right)), "X-Linked-Etag": headers["ETag"]}
        if self.command == "HEAD":
            return self._send(200, right, headers)
        content = self.hub.served.get(name, right)
        status, start = 200, 0
        if wanted := self.headers.get("Range"):
            status, start = 206, int(wanted.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if cuts := self.hub.cut.get(name):
            return self._send(status, content[start:], headers, cut=cuts.pop(0))
        return self._send(status, content[start:], headers)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str | None, message: str) -> None:
        self._send(status, b"", {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}))

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
    """Run a hub until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield handler.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
