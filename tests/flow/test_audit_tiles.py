"""The log over HTTP, as C2SP tlog-tiles has it: what is there, for whom, and what is not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flow.audit_fixtures import fill, get, site
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Verifier
from isthmus.governance.audit.notes.cosignature import Cosigner
from isthmus.governance.audit.notes.note import Note
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.layout import unpack
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.witness.witnessed import Witnessed

SIZE = 600


@dataclass
class Served:
    url: str
    home: Path
    keys: dict[str, str]

    def get(self, path: str, who: str = "auditor", **headers: str) -> tuple[int, dict[str, str], bytes]:
        return get(self.url, f"/api/audit/{path}", self.keys.get(who, ""), **headers)

    def ok(self, path: str, **headers: str) -> bytes:
        status, _, body = self.get(path, **headers)
        assert status == 200, body
        return body

    def json(self, path: str, status: int = 200) -> Any:
        found, _, body = self.get(path, "user")
        assert found == status, body
        return json.loads(body)

    def checkpoint(self) -> Checkpoint:
        return Verifier.parse(self.ok("vkey").decode()).open(self.ok("checkpoint"))

    def leaves(self) -> list[bytes]:
        """Of all entries in the folder, also those that no checkpoint covers."""
        return [merkle.leaf_hash(entry) for _, entry in Reader(Folder(self.home / "audit")).entries()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over a log of a little more than 600 entries: keys and starts are entries too."""
    home = tmp_path_factory.mktemp("tiles")
    made = site(home)
    fill(home, 0, SIZE)
    keys = {"user": made.key("user"), "auditor": made.key("auditor", "--role", "auditor")}
    with made.serving():
        yield Served(made.url, home, keys)


def test_the_checkpoint_is_a_note_that_nobody_keeps(served: Served) -> None:
    status, headers, body = served.get("checkpoint", "user")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "text/plain; charset=utf-8", "no-store")
    assert Verifier.parse(served.ok("vkey").decode()).open(body).size > SIZE


def test_what_witnesses_cosigned_is_there_once_one_did(served: Served) -> None:
    status, _, body = served.get("witnessed", "user")
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (404, "not_found")
    assert "witness" in error["message"]
    note = Note.parse(served.ok("checkpoint"))
    witness = Cosigner("example.org/witness", Ed25519PrivateKey.generate())
    cosigned = replace(note, signatures=(*note.signatures, witness.cosign(note.body, 1_700_000_000)))
    Witnessed(served.home / "audit").keep(cosigned)
    status, headers, body = served.get("witnessed", "user")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "text/plain; charset=utf-8", "no-store")
    assert body.decode() == str(cosigned)


def test_tiles_are_the_hashes_of_the_entries(served: Served) -> None:
    leaves, size = served.leaves(), served.checkpoint().size
    for path, expected in {
        "tile/0/000": leaves[:256],
        "tile/0/001": leaves[256:512],
        f"tile/0/002.p/{size - 512}": leaves[512:size],
        "tile/0/002.p/1": leaves[512:513],  # as an older checkpoint had it
        "tile/0/000.p/255": leaves[:255],
        "tile/1/000.p/2": [_root(leaves[:256]), _root(leaves[256:512])],
        "tile/1/000.p/1": [_root(leaves[:256])],
    }.items():
        status, headers, body = served.get(path, "user")
        assert (status, body) == (200, b"".join(expected)), path
        assert headers["content-type"] == "application/octet-stream"
        assert headers["cache-control"] == "private, max-age=31536000, immutable"


def _root(leaves: list[bytes]) -> bytes:
    frontier = merkle.Frontier()
    for leaf in leaves:
        frontier.push(leaf)
    return frontier.root()


def test_bundles_hold_the_entries_for_auditors(served: Served) -> None:
    leaves, size = served.leaves(), served.checkpoint().size
    for path, expected in {
        "tile/entries/000": leaves[:256],
        "tile/entries/001.p/7": leaves[256:263],
        f"tile/entries/002.p/{size - 512}": leaves[512:size],
    }.items():
        status, headers, body = served.get(path)
        entries, end = unpack(body)
        assert (status, headers["content-type"], end) == (200, "application/octet-stream", len(body))
        assert [merkle.leaf_hash(entry) for entry in entries] == expected
        assert headers["cache-control"].startswith("private, ")


def test_entries_need_a_role_and_the_rest_a_key(served: Served) -> None:
    status, _, body = served.get("tile/entries/000", "user")
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (403, "forbidden")
    assert "auditor" in error["message"]
    for path in ("checkpoint", "vkey", "tile/0/000", "tile/entries/000", "proofs/inclusion?index=0"):
        status, _, body = served.get(path, "nobody")
        assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("accepted", "coded"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("", False),
    ],
)
def test_entries_are_compressed_for_who_asks(served: Served, accepted: str, coded: bool) -> None:
    plain = served.ok("tile/entries/000", accept_encoding="identity")
    status, headers, body = served.get("tile/entries/000", accept_encoding=accepted)
    assert (status, headers.get("content-encoding")) == (200, "gzip" if coded else None)
    assert headers["vary"] == "accept-encoding"
    assert (gzip.decompress(body) if coded else body) == plain
    assert len(body) < len(plain) / 3 or not coded
    assert "content-encoding" not in served.get("tile/0/000", accept_encoding=accepted)[1]


ABSENT = """
    tile/0/003 tile/0/002 tile/entries/002 tile/1/000 tile/1/000.p/3 tile/2/000.p/1 tile/63/000 tile/0/x001/000
    tile/0/x999/x999/x999/x999/x999/999 receipts/999999 rotation/1
"""
HOSTILE = """
    tile/64/000 tile/00/000 tile/01/000 tile/-1/000 tile/+0/000 tile/0/00 tile/0/0000 tile/0/0 tile/0/x000/000
    tile/0/x000/x000/000 tile/0/000/000 tile/0/X001/000 tile/0/x01/000 tile/0/x001
    tile/0/x999/x999/x999/x999/x999/x999/999
    tile/0/000.p/0 tile/0/000.p/256 tile/0/000.p/257 tile/0/000.p/01 tile/0/000.p/ tile/0/000.p tile/0/000.p/1/
    tile/0/000.p/1.p/1 tile/0/000/ tile/0/000%0a tile/0//000 tile//0/000 tile/ tile tile/data/000 tile/8/0/000
    tile/0/%30%30%30 tile/0/000%2ep/1 tile/0/000.p%2f1 tile/%2e%2e/checkpoint tile/../checkpoint
    tile/../../../etc/passwd tile/0/..%2f..%2fcheckpoint tile/entries/../0/000 tile/entries/.. tile/0/.. tile/entries
    tile/0/%D9%A0%D9%A0%D9%A0 tile/%D9%A0/000 tile/0/%EF%BC%90%EF%BC%90%EF%BC%90 tile/0/%00 tile/0/%ff tile/0/0x0
    tile/0/1e3 tile/entries/x1234/000 vkey/ checkpoint.alternate witnessed/x lock proofs receipts/x receipts/-1
    receipts/%D9%A0 rotation rotation/ rotation/0 rotation/-1 rotation/01 rotation/x rotation/1/ rotation/%D9%A1
"""


@pytest.mark.parametrize(
    "path", [*ABSENT.split(), *HOSTILE.split(), "tile/0/" + "9" * 9000, "receipts/" + "9" * 30, "rotation/" + "9" * 30]
)
def test_what_is_not_there_and_what_is_hostile_is_404(served: Served, path: str) -> None:
    status, _, body = served.get(path)
    assert (status, json.loads(body)["error"]["code"]) == (404, "not_found")


def test_what_no_checkpoint_covers_is_not_served(served: Served) -> None:
    """An entry that was written and never flushed: the folder has it, the site does not."""
    before = served.checkpoint().size
    bundle = served.home / "audit" / "tile" / "entries" / "002"
    kept = bundle.read_bytes()
    entry = json.dumps({"seq": before, "time": "2026-01-01T00:00:00.000000Z", "type": "t"}).encode()
    try:
        with bundle.open("ab") as file:
            file.write(len(entry).to_bytes(2, "big") + entry)
        assert len(served.leaves()) == before + 1
        width = before - 512 + 1
        assert served.get(f"tile/0/002.p/{width - 1}")[0] == 200
        for path in (f"tile/0/002.p/{width}", f"tile/entries/002.p/{width}"):
            assert served.get(path)[0] == 404
        assert served.json(f"proofs/inclusion?index={before}", 404)["error"]["code"] == "not_found"
    finally:
        bundle.write_bytes(kept)


def test_tiles_that_are_gone_are_computed_again(served: Served) -> None:
    tile = served.home / "audit" / "tile" / "0" / "000"
    kept = tile.read_bytes()
    tile.unlink()
    try:
        assert served.ok("tile/0/000") == kept
    finally:
        tile.write_bytes(kept)


def test_entries_that_are_gone_are_said_to_be(served: Served) -> None:
    bundle = served.home / "audit" / "tile" / "entries" / "001"
    moved = bundle.rename(bundle.with_name("moved"))
    try:
        status, _, body = served.get("tile/entries/001")
        error = json.loads(body)["error"]
        assert (status, error["code"], error["isthmus"]["index"]) == (500, "verification_failed", 256)
    finally:
        moved.rename(bundle)


def test_inclusion_proofs(served: Served) -> None:
    leaves, newest = served.leaves(), served.checkpoint()
    for index in (0, 255, 256, 511, 512, newest.size - 1):
        told = served.json(f"proofs/inclusion?index={index}")
        assert (told["log"], told["index"], told["leaf"]) == ("example.org/log", index, leaves[index].hex())
        assert (told["size"], told["root"]) == (newest.size, newest.root.hex())
        assert _leads(told) == newest.root
        assert Verifier.parse(served.ok("vkey").decode()).open(told["checkpoint"]) == newest
        receipt = served.json(f"receipts/{index}")
        assert receipt == told, "the proof over the newest checkpoint is the receipt"
    for size in (1, 255, 256, 257, 512):
        told = served.json(f"proofs/inclusion?index={size - 1}&size={size}")
        assert _leads(told) == _root(leaves[:size]) == bytes.fromhex(told["root"])
        assert "checkpoint" not in told


def _leads(told: dict[str, Any]) -> bytes | None:
    proof = [bytes.fromhex(step) for step in told["proof"]]
    return merkle.root_from_inclusion(bytes.fromhex(told["leaf"]), told["index"], told["size"], proof)


def test_consistency_proofs(served: Served) -> None:
    leaves, newest = served.leaves(), served.checkpoint()
    for old, new in [(1, None), (256, None), (300, 512), (512, 513), (newest.size, None), (0, 5), (600, newest.size)]:
        told = served.json(f"proofs/consistency?old={old}" + ("" if new is None else f"&new={new}"))
        assert (told["old"], told["new"]) == (old, new or newest.size)
        assert told["old_root"] == _root(leaves[:old]).hex()
        assert told["new_root"] == _root(leaves[: told["new"]]).hex()
        assert ("checkpoint" in told) == (told["new"] == newest.size)
        proof = [bytes.fromhex(step) for step in told["proof"]]
        roots = bytes.fromhex(told["old_root"]), bytes.fromhex(told["new_root"])
        assert merkle.consistent(old, roots[0], told["new"], roots[1], proof)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("inclusion", 400, "invalid_request"),
        ("inclusion?size=5", 400, "invalid_request"),
        ("inclusion?index=", 400, "invalid_request"),
        ("inclusion?index=-1", 400, "invalid_request"),
        ("inclusion?index=01", 400, "invalid_request"),
        ("inclusion?index=1.0", 400, "invalid_request"),
        ("inclusion?index=1e3", 400, "invalid_request"),
        ("inclusion?index=%D9%A1", 400, "invalid_request"),
        ("inclusion?index=1&index=2", 400, "invalid_request"),
        ("inclusion?index=1&sise=5", 400, "invalid_request"),
        ("inclusion?index=" + "9" * 400, 400, "invalid_request"),
        ("inclusion?index=5&size=5", 404, "not_found"),
        ("inclusion?index=0&size=0", 404, "not_found"),
        ("inclusion?index=0&size=100000", 404, "not_found"),
        ("inclusion?index=100000", 404, "not_found"),
        ("consistency", 400, "invalid_request"),
        ("consistency?new=5", 400, "invalid_request"),
        ("consistency?old=x&new=5", 400, "invalid_request"),
        ("consistency?old=6&new=5", 404, "not_found"),
        ("consistency?old=100000", 404, "not_found"),
        ("consistency?old=1&new=100000", 404, "not_found"),
    ],
)
def test_proofs_of_what_is_not_there(served: Served, query: str, status: int, code: str) -> None:
    error = served.json(f"proofs/{query}", status)["error"]
    assert error["code"] == code
    assert error["message"]


def test_changes_of_the_key_are_there_for_any_key(tmp_path: Path) -> None:
    made = site(tmp_path / "home")
    fill(made.home, 0, 3)
    user = made.key("user")
    notes = []
    for _ in range(2):
        made.run("audit", "rotate-key")
        notes.append((made.home / "audit" / "rotation" / str(len(notes) + 1)).read_bytes())
    with made.serving():
        for number, note in enumerate(notes, 1):
            status, headers, body = get(made.url, f"/api/audit/rotation/{number}", user)
            assert (status, body, headers["content-type"]) == (200, note, "text/plain; charset=utf-8")
        assert get(made.url, "/api/audit/rotation/3", user)[0] == 404
        assert get(made.url, "/api/audit/rotation/1")[0] == 401


def test_the_site_goes_on_while_the_log_grows(served: Served) -> None:
    old = served.checkpoint()
    fill(served.home, old.size, old.size + 300)  # another process of this host
    new = served.checkpoint()
    assert new.size == old.size + 300
    told = served.json(f"proofs/consistency?old={old.size}")
    proof = [bytes.fromhex(step) for step in told["proof"]]
    assert merkle.consistent(old.size, old.root, new.size, new.root, proof)
    assert len(served.ok(f"tile/0/002.p/{old.size - 512}")) == 32 * (old.size - 512), "older partial tiles stay"
    assert len(served.ok("tile/0/002")) == 8192
