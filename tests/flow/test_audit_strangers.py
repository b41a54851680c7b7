"""Strangers check what we export: a page of Python with openssl, and Go's own x/mod/sumdb."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from isthmus.config import Home
from isthmus.governance.audit import merkle
from isthmus.governance.audit.export import export
from isthmus.governance.audit.files import Files, tile_keeper
from isthmus.governance.audit.journal import Place
from isthmus.governance.audit.layout import pack, unpack
from isthmus.governance.audit.log import Log
from isthmus.governance.audit.reader import Reader
from isthmus.governance.audit.storage import Folder
from isthmus.governance.audit.tree import Tree

ROOT = Path(__file__).resolve().parents[2]
GO_SOURCES = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")
SIZES = (1, 2, 1000)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="NEEDS openssl, which is not installed")


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Auditor:
    """Somebody with verify.py, a key and what they kept."""

    def __init__(self, folder: Path, size: int) -> None:
        self.home, self.size, self.export = Home(folder / "home"), size, folder / "export"
        self.vkey, self.older, self.receipt = folder / "kept.vkey", folder / "kept.checkpoint", folder / "receipt.json"

    async def prepare(self) -> Auditor:
        """A log of ``size`` entries, a checkpoint and a receipt from the middle of its life, and an export."""
        log = Log.in_folder(Place(self.home.audit, self.home.secrets / "log-signing-key", "example.org/log"), Now())
        before = (self.size + 1) // 2
        await asyncio.gather(*(log.append(event(i), flush=True) for i in range(before)))
        self.older.write_text(log.checkpoint(), encoding="utf8")
        await asyncio.gather(*(log.append(event(i), flush=True) for i in range(before, self.size)))
        self.receipt.write_text(json.dumps(asdict(await log.receipt(self.size // 3))), encoding="utf8")
        await log.stop()
        assert export(Reader(Folder(self.home.audit)), self.export) == self.size
        shutil.copy(self.export / "vkey", self.vkey)
        return self

    def verify(self, *kept: Path | str, where: Path | None = None) -> subprocess.CompletedProcess[str]:
        where = where or self.export
        command = [sys.executable, "-I", str(self.export / "verify.py"), str(where), str(self.vkey), *map(str, kept)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def event(i: int) -> dict[str, object]:
    return {"type": "t", "request": f"r{i}", "note": "Grüße 🌊\n" * (i % 5)}


@pytest.fixture(scope="module", params=SIZES)
def auditor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return asyncio.run(Auditor(tmp_path_factory.mktemp("auditor"), request.param).prepare())


@pytest.fixture
def harmed(auditor: Auditor, tmp_path: Path) -> Path:
    """A copy of the export, to be harmed."""
    return shutil.copytree(auditor.export, tmp_path / "harmed")


def entries(folder: Path) -> list[bytes]:
    return [entry for _, entry in Reader(Folder(folder)).entries()]


def rewrite_bundle(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the entries of the first bundle, leaving hashes and checkpoint as they are."""
    (bundle,) = [*folder.glob("tile/entries/000"), *folder.glob("tile/entries/000.p/*")]
    bundle.write_bytes(pack(change(unpack(bundle.read_bytes())[0])))


def test_the_verifier_is_a_page() -> None:
    source = (ROOT / "verify.py").read_text(encoding="utf8")
    assert len(source.splitlines()) < 80
    assert "import isthmus" not in source
    assert "from isthmus" not in source


def test_an_honest_export_holds(auditor: Auditor) -> None:
    done = auditor.verify(auditor.older, "--receipt", auditor.receipt)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"OK: {auditor.size} entries")


def test_the_key_may_be_given_as_text(auditor: Auditor) -> None:
    vkey = auditor.vkey.read_text(encoding="utf8").strip()
    command = [sys.executable, str(ROOT / "verify.py"), str(auditor.export), vkey]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_an_edited_entry_is_named(auditor: Auditor, harmed: Path) -> None:
    at = min(auditor.size, 256) - 1
    rewrite_bundle(harmed, lambda found: [*found[:at], found[at].replace(b'"t"', b'"u"')])
    done = auditor.verify(where=harmed)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"entry {at} was changed" in done.stderr


@pytest.mark.parametrize("change", ["drop", "insert", "swap"])
def test_a_dropped_inserted_or_moved_entry_is_named(auditor: Auditor, harmed: Path, change: str) -> None:
    changes: dict[str, Callable[[list[bytes]], list[bytes]]] = {
        "drop": lambda found: found[1:],
        "insert": lambda found: [found[0], *found],
        "swap": lambda found: [*found[1::-1], *found[2:]],
    }
    if change == "swap" and auditor.size == 1:
        pytest.skip("one entry cannot be swapped")
    rewrite_bundle(harmed, changes[change])
    done = auditor.verify(where=harmed)
    assert done.returncode == 1
    assert done.stderr.startswith("FAILED: ")


@pytest.mark.parametrize("harm", ["bit", "cut", "crlf", "swapped", "unsigned", "empty"])
def test_a_harmed_checkpoint_fails(auditor: Auditor, harmed: Path, harm: str) -> None:
    file = harmed / "checkpoint"
    note = file.read_bytes()
    body, signature = note.split(b"\n\n")
    file.write_bytes(
        {
            "bit": note.replace(b"\n%d\n" % auditor.size, b"\n%d\n" % (auditor.size + 1)),
            "cut": note[:-20],
            "crlf": note.replace(b"\n", b"\r\n\r"),
            "swapped": signature + b"\n\n" + body,
            "unsigned": body + b"\n\n",
            "empty": b"",
        }[harm]
    )
    done = auditor.verify(where=harmed)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_another_key_fails(auditor: Auditor, tmp_path: Path) -> None:
    name, _, key = auditor.vkey.read_text(encoding="utf8").strip().split("+", 2)
    other = bytearray(base64.b64decode(key))
    other[5] ^= 1
    vkey = f"{name}+00000000+{base64.b64encode(bytes(other)).decode()}"
    command = [sys.executable, str(ROOT / "verify.py"), str(auditor.export), vkey]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "not signed by" in done.stderr


def test_a_receipt_for_something_else_fails(auditor: Auditor, tmp_path: Path) -> None:
    plain = json.loads(auditor.receipt.read_text(encoding="utf8"))
    (tmp_path / "receipt.json").write_text(json.dumps({**plain, "leaf": "00" * 32}), encoding="utf8")
    done = auditor.verify("--receipt", tmp_path / "receipt.json")
    assert done.returncode == 1
    assert "not the one of the receipt" in done.stderr


def test_an_administrator_who_signs_again_is_caught_by_an_older_checkpoint(auditor: Auditor, tmp_path: Path) -> None:
    rewrite = [
        sys.executable,
        str(ROOT / "examples" / "rewrite_log.py"),
        str(auditor.home.path),
        str(tmp_path / "forged"),
    ]
    subprocess.run(rewrite, check=True, capture_output=True)
    alone = auditor.verify(where=tmp_path / "forged")
    assert alone.returncode == 0, "the forgery is consistent in itself, or this test shows nothing"
    for kept in (auditor.older, auditor.receipt):
        caught = auditor.verify(kept, where=tmp_path / "forged")
        assert caught.returncode == 1
        assert "was changed" in caught.stderr
    assert entries(auditor.export)[0] == entries(auditor.home.audit)[0] != entries(tmp_path / "forged")[0]


def test_wrong_use_prints_the_usage() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "verify.py")], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "verify.py EXPORT VKEY" in done.stderr


# ---------------------------------------------------------------- Go


@pytest.fixture(scope="module")
def tlogcheck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our page of Go over Debian's golang-golang-x-mod-dev, built once."""
    if shutil.which("go") is None or not GO_SOURCES.is_dir():
        pytest.skip("NEEDS Go: apt-get install golang-go golang-golang-x-mod-dev")
    built = tmp_path_factory.mktemp("go")
    target = built / "tlogcheck"
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(built / "cache"),
        "GOFLAGS": "-p=1",
    }
    source = ROOT / "tests" / "flow" / "go" / "tlogcheck"
    subprocess.run(["go", "build", "-o", target, "."], cwd=source, env=environment, check=True, capture_output=True)
    return target


def go_facts(auditor: Auditor) -> dict[str, list[dict[str, object]]]:
    """Inclusion of some entries in the newest checkpoint, and consistency from some older sizes."""
    told, size = entries(auditor.export), auditor.size
    derived = auditor.export.parent / "derived"
    tree = Tree(Folder(derived), tile_keeper(derived, Files()))
    for entry in told:
        tree.push(merkle.leaf_hash(entry))

    def proof(steps: tuple[bytes, ...]) -> list[str]:
        return [step.hex() for step in steps]

    records = [
        {
            "index": index,
            "entry": base64.b64encode(told[index]).decode(),
            "proof": proof(merkle.inclusion_proof(index, size, tree.node)),
        }
        for index in sorted({0, size // 3, size // 2, size - 1})
    ]
    trees = [
        {
            "size": old,
            "root": tree.root(old).hex(),
            "proof": proof(merkle.consistency_proof(old, size, tree.node)),
        }
        for old in sorted({1, (size + 1) // 2, max(1, size - 1), size})
    ]
    return {"records": records, "trees": trees}


def run_go(tlogcheck: Path, auditor: Auditor, facts: object, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "facts.json").write_text(json.dumps(facts), encoding="utf8")
    vkey = auditor.vkey.read_text(encoding="utf8").strip()
    command = [tlogcheck, vkey, auditor.export / "checkpoint", tmp_path / "facts.json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.external("go")
def test_go_accepts_the_checkpoint_and_every_proof(tlogcheck: Path, auditor: Auditor, tmp_path: Path) -> None:
    facts = go_facts(auditor)
    receipt = json.loads(auditor.receipt.read_text(encoding="utf8"))  # as a client got it, over the newest checkpoint
    assert receipt["size"] == auditor.size
    entry = base64.b64encode(entries(auditor.export)[receipt["index"]]).decode()
    facts["records"].append({"index": receipt["index"], "entry": entry, "proof": receipt["proof"]})
    done = run_go(tlogcheck, auditor, facts, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


@pytest.mark.external("go")
def test_go_refuses_what_is_false(tlogcheck: Path, auditor: Auditor, tmp_path: Path) -> None:
    facts = go_facts(auditor)
    facts["records"][0]["entry"] = base64.b64encode(b"forged").decode()
    done = run_go(tlogcheck, auditor, facts, tmp_path)
    assert done.returncode == 1
    assert "record 0" in done.stderr
    facts = go_facts(auditor)
    facts["trees"][0]["root"] = "00" * 32
    done = run_go(tlogcheck, auditor, facts, tmp_path)
    assert done.returncode == 1
    assert "tree 1" in done.stderr
