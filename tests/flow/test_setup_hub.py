"""`hub:` weights against a local hub: a redirect to a storage host, resumed downloads, refusals."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.errors import DigestMismatch, ModelUnavailable
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Folder
from isthmus.models.weights import Store
from isthmus.models.weights.digests import no_progress
from isthmus.models.weights.hub import Hub

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "hub:acme/tiny-GGUF/q4/tiny.gguf"


@dataclass
class Behaviour:
    """How the hub and its storage act, and what they were asked: (host, method, path, headers)."""

    etag: str = SHA256
    content: bytes = CONTENT
    cut_at: int | None = None
    ranges: bool = True
    status: int = 302
    location: str | None = None
    asked: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)

    def ranges_asked(self) -> list[str | None]:
        return [headers.get("range") for host, method, _, headers in self.asked if (host, method) == ("storage", "GET")]


class _Quiet(BaseHTTPRequestHandler):
    behaviour: Behaviour
    host = ""

    def note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.behaviour.asked.append((self.host, self.command, self.path, headers))

    def log_message(self, format: str, *args: object) -> None:
        return


class _Storage(_Quiet):
    host = "storage"

    def do_GET(self) -> None:
        self.note()
        content, start = self.behaviour.content, 0
        if self.behaviour.ranges and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.behaviour.cut_at])

    def do_HEAD(self) -> None:
        self.note()
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.behaviour.content)))
        self.end_headers()


class _Hub(_Quiet):
    host = "hub"
    storage = ""

    def do_GET(self) -> None:
        self.note()
        self.send_response(self.behaviour.status)
        if self.behaviour.status == 302:
            self.send_header("Location", self.behaviour.location or f"{self.storage}/signed/tiny.gguf")
            if self.behaviour.etag:
                self.send_header("X-Linked-Etag", f'"{self.behaviour.etag}"')
                self.send_header("X-Linked-Size", str(len(CONTENT)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815  the name is the standard library's


@dataclass
class Running:
    behaviour: Behaviour
    store: Store


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Running]:
    behaviour = Behaviour()
    storage = ThreadingHTTPServer(("127.0.0.1", 0), type("Storage", (_Storage,), {"behaviour": behaviour}))
    address = f"http://127.0.0.1:{storage.server_port}"
    front = ThreadingHTTPServer(("127.0.0.1", 0), type("Front", (_Hub,), {"behaviour": behaviour, "storage": address}))
    for server in (storage, front):
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    endpoint = Hub(f"http://127.0.0.1:{front.server_port}/", token="hf_secret", timeout=5)
    yield Running(behaviour, Store(tmp_path / "cache", {}, hub=endpoint))
    for server in (storage, front):
        server.shutdown()
        server.server_close()


def left_over(store: Store) -> list[str]:
    return sorted(path.name for path in store.cache.rglob("*") if path.is_file())


def test_file_comes_by_way_of_the_redirect_with_its_digest_recorded(hub: Running) -> None:
    seen: list[tuple[int, int]] = []
    path = hub.store.find(NAME).pull(lambda *step: seen.append(step))
    assert path.read_bytes() == CONTENT
    assert path.with_name("tiny.gguf.sha256").read_text() == f"{SHA256}  tiny.gguf\n"
    assert hub.behaviour.asked[0][2] == "/acme/tiny-GGUF/resolve/main/q4/tiny.gguf"
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_token_goes_to_the_hub_and_never_to_its_storage(hub: Running) -> None:
    hub.store.find(NAME).pull(no_progress)
    sent = {host: headers.get("authorization") for host, _, _, headers in hub.behaviour.asked}
    assert sent == {"hub": "Bearer hf_secret", "storage": None}


def test_second_pull_asks_nobody(hub: Running) -> None:
    hub.store.find(NAME).pull(no_progress)
    before = len(hub.behaviour.asked)
    hub.store.find(NAME).pull(no_progress)
    assert len(hub.behaviour.asked) == before


def test_cut_download_is_not_there_and_goes_on_next_time(hub: Running) -> None:
    hub.behaviour.cut_at = 700_000
    with pytest.raises(ModelUnavailable, match="cut") as failure:
        hub.store.find(NAME).pull(no_progress)
    assert "goes on where it stopped" in failure.value.hint
    assert hub.store.find(NAME).locate() is None
    hub.behaviour.cut_at = None
    assert hub.store.find(NAME).pull(no_progress).read_bytes() == CONTENT
    assert hub.behaviour.ranges_asked() == [None, "bytes=700000-"]
    assert "tiny.gguf.part" not in left_over(hub.store)


def test_storage_that_ignores_ranges_starts_anew(hub: Running) -> None:
    hub.behaviour.cut_at = 500_000
    with pytest.raises(ModelUnavailable):
        hub.store.find(NAME).pull(no_progress)
    hub.behaviour.cut_at, hub.behaviour.ranges = None, False
    assert hub.store.find(NAME).pull(no_progress).read_bytes() == CONTENT


def test_download_that_was_whole_before_a_crash_is_not_fetched_again(hub: Running) -> None:
    part = hub.store.cache / "weights/hub/acme/tiny-GGUF/q4/tiny.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert hub.store.find(NAME).pull(no_progress).read_bytes() == CONTENT
    assert hub.behaviour.ranges_asked() == []


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT + b"more"], ids=["changed", "longer"])
def test_wrong_bytes_are_refused_and_nothing_is_left(hub: Running, content: bytes) -> None:
    hub.behaviour.content = content
    with pytest.raises(DigestMismatch):
        hub.store.find(NAME).pull(no_progress)
    assert left_over(hub.store) == []


def test_without_a_digest_the_file_is_taken_as_it_comes_and_its_digest_recorded(hub: Running) -> None:
    hub.behaviour.etag = ""
    path = hub.store.find(NAME).pull(no_progress)
    assert path.with_name("tiny.gguf.sha256").read_text().startswith(SHA256)


@pytest.mark.parametrize(
    ("status", "says"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (404, "owner, name and file"), (500, "again")]
)
def test_refusals_say_what_to_do(hub: Running, status: int, says: str) -> None:
    hub.behaviour.status = status
    with pytest.raises(ModelUnavailable, match=str(status)) as failure:
        hub.store.find(NAME).pull(no_progress)
    assert says in failure.value.hint


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_redirects_lead_nowhere_but_to_https(hub: Running, location: str) -> None:
    hub.behaviour.location = location
    with pytest.raises(ModelUnavailable, match="not HTTPS"):
        hub.store.find(NAME).pull(no_progress)


def test_redirects_in_a_circle_end(hub: Running) -> None:
    hub.behaviour.location, hub.behaviour.etag = "/again", ""
    with pytest.raises(ModelUnavailable, match="too often"):
        hub.store.find(NAME).pull(no_progress)


def test_hub_that_is_not_there_is_said(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as free:
        endpoint = Hub(f"http://127.0.0.1:{free.server_port}", timeout=2)
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        Store(tmp_path, {}, hub=endpoint).find(NAME).pull(no_progress)


def test_verify_compares_with_the_recorded_digest(hub: Running) -> None:
    found = hub.store.find(NAME)
    path = found.pull(no_progress)
    found.verify(no_progress)
    assert [weights.name for weights in hub.store.held()] == [NAME]
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(DigestMismatch):
        found.verify(no_progress, quick=True)
    assert found.remove() is True
    assert list(hub.store.held()) == []


def test_environment_names_mirror_and_token() -> None:
    assert Hub.from_environment({}) == Hub("https://huggingface.co")
    mirror = Hub.from_environment({"HF_ENDPOINT": "https://mirror.example", "HF_TOKEN": "t"})
    assert (mirror.endpoint, mirror.token) == ("https://mirror.example", "t")


# ---------------------------------------------------------------- in the record


def _entries(home: Path) -> list[dict[str, object]]:
    return [json.loads(entry) for _, entry in Reader(Folder(home / "audit")).entries()]


@pytest.fixture
def home(hub: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, whose commands reach the local hub."""
    for name, value in {"ISTHMUS_HOME": tmp_path / "home", "ISTHMUS_CACHE": tmp_path / "own-cache",
                        "HF_ENDPOINT": hub.store.hub.endpoint}.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_weights_that_come_and_go_are_entries_of_the_log(home: Path) -> None:
    assert main(["keys", "create", "--name", "me"]) == 0
    assert main(["models", "pull", NAME]) == 0
    assert main(["models", "pull", NAME]) == 0
    assert main(["models", "remove", NAME]) == 0
    _, pulled, removed = _entries(home)
    facts = {"weights": NAME, "digest": f"sha256:{SHA256}", "by": f"uid:{os.getuid()}"}
    assert {**pulled, **facts, "type": "models.pulled"} == pulled
    assert {**removed, **facts, "type": "models.removed"} == removed


def test_a_home_without_a_log_gets_none_by_a_pull(home: Path) -> None:
    assert main(["models", "pull", NAME]) == 0
    assert main(["models", "remove", NAME]) == 0
    assert not home.exists()


def test_weights_that_cannot_be_recorded_do_not_stay_and_do_not_go(home: Path, tmp_path: Path) -> None:
    assert main(["keys", "create", "--name", "me"]) == 0
    bundle = home / "audit" / "tile" / "entries" / "000"
    whole = bundle.read_bytes()
    bundle.write_bytes(whole.replace(b"key.created", b"key.revoked"))
    assert main(["models", "pull", NAME]) == 1
    assert not list((tmp_path / "own-cache").rglob("*.gguf"))
    bundle.write_bytes(whole)
    assert main(["models", "pull", NAME]) == 0
    bundle.write_bytes(bundle.read_bytes().replace(b"key.created", b"key.revoked"))
    assert main(["models", "remove", NAME]) == 1
    assert list((tmp_path / "own-cache").rglob("*.gguf"))
