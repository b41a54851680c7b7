"""Strangers check the log with Go's own x/mod/sumdb: notes, proofs, and tiles over HTTP."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flow.audit_fixtures import site, static
from flow.strangers_fixtures import ROOT, SIZES, Auditor, Auditors
from isthmus.governance.audit.tree import proofs
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.tree.stored import StoredTree

GO_SOURCES = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")

pytestmark = pytest.mark.external("go")


@pytest.fixture(params=SIZES)
def auditor(request: pytest.FixtureRequest, auditors: Auditors) -> Auditor:
    return auditors.of(request.param)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Our pages of Go over Debian's golang-golang-x-mod-dev, each built once."""
    if shutil.which("go") is None or not GO_SOURCES.is_dir():
        pytest.skip("NEEDS Go: apt-get install golang-go golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("go")
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "-p=1",
    }

    def build(name: str) -> Path:
        if not (folder / name).exists():
            source = ROOT / "tests" / "flow" / "go" / name
            command = ["go", "build", "-o", folder / name, "."]
            subprocess.run(command, cwd=source, env=environment, check=True, capture_output=True)
        return folder / name

    return build


# ---------------------------------------------------------------- notes and proofs


def go_facts(auditor: Auditor) -> dict[str, list[dict[str, object]]]:
    """Inclusion of some entries in the newest checkpoint, and consistency from some older sizes."""
    tree, told, size = StoredTree(Folder(auditor.export)), auditor.entries(), auditor.size
    records = [
        {
            "index": index,
            "entry": base64.b64encode(told[index]).decode(),
            "proof": proofs.inclusion("", tree, index, size).proof,
        }
        for index in sorted({0, size // 3, size // 2, size - 1})
    ]
    older = [proofs.consistency("", tree, old, size) for old in sorted({1, (size + 1) // 2, max(1, size - 1), size})]
    trees = [{"size": one.old, "root": one.old_root, "proof": one.proof} for one in older]
    return {"records": records, "trees": trees}


def check_facts(tlogcheck: Path, auditor: Auditor, facts: object, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf8")
    vkey = auditor.vkey.read_text(encoding="utf8").strip()
    command = [tlogcheck, vkey, auditor.export / "checkpoint", folder / "facts.json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_go_accepts_the_checkpoint_and_every_proof(
    built: Callable[[str], Path], auditor: Auditor, tmp_path: Path
) -> None:
    facts = go_facts(auditor)
    receipt = json.loads(auditor.receipt.read_text(encoding="utf8"))  # as a client got it, over the newest checkpoint
    assert receipt["size"] == auditor.size
    entry = base64.b64encode(auditor.entries()[receipt["index"]]).decode()
    facts["records"].append({"index": receipt["index"], "entry": entry, "proof": receipt["proof"]})
    done = check_facts(built("tlogcheck"), auditor, facts, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_go_refuses_what_is_false(built: Callable[[str], Path], auditors: Auditors, tmp_path: Path) -> None:
    auditor = auditors.of(1000)
    facts = go_facts(auditor)
    facts["records"][0]["entry"] = base64.b64encode(b"forged").decode()
    done = check_facts(built("tlogcheck"), auditor, facts, tmp_path)
    assert done.returncode == 1
    assert "record 0" in done.stderr
    facts = go_facts(auditor)
    facts["trees"][0]["root"] = "00" * 32
    done = check_facts(built("tlogcheck"), auditor, facts, tmp_path)
    assert done.returncode == 1
    assert "tree 1" in done.stderr


# ---------------------------------------------------------------- tiles over HTTP


def read_tiles(tlogtiles: Path, url: str, auditor: Auditor, key: str = "") -> subprocess.CompletedProcess[str]:
    """Every entry and every tile, and the tree that was kept."""
    vkey = auditor.vkey.read_text(encoding="utf8").strip()
    command = [tlogtiles, url, vkey, auditor.older]
    environment = {"KEY": key} if key else {}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_go_reads_an_export_behind_any_web_server(built: Callable[[str], Path], auditor: Auditor) -> None:
    with static(auditor.export) as url:
        done = read_tiles(built("tlogtiles"), url, auditor)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ok: {auditor.size} entries\n", "")


def test_go_reads_the_running_gateway(built: Callable[[str], Path], auditor: Auditor, tmp_path: Path) -> None:
    made = site(shutil.copytree(auditor.home.path, tmp_path / "home"))
    key = made.key("auditor", "--role", "auditor")
    with made.serving():
        done = read_tiles(built("tlogtiles"), f"{made.url}/api/audit", auditor, key)
        assert (done.returncode, done.stderr) == (0, "")
        size = int(done.stdout.removeprefix("ok: ").removesuffix(" entries\n"))
        assert size > auditor.size, "a key and a start are entries too"


@pytest.mark.parametrize("harm", ["entry", "tile", "checkpoint"])
def test_go_refuses_an_export_that_was_changed(
    built: Callable[[str], Path], auditors: Auditors, tmp_path: Path, harm: str
) -> None:
    auditor = auditors.of(1000)
    folder = shutil.copytree(auditor.export, tmp_path / "harmed")
    path, told = {
        "entry": ("tile/entries/001", "entry 256 does not fit its tile"),
        "tile": ("tile/1/000.p/3", "inconsistent tile"),
        "checkpoint": ("checkpoint", "invalid signature"),
    }[harm]
    data = bytearray((folder / path).read_bytes())
    data[60 if harm == "checkpoint" else 40] ^= 1
    (folder / path).write_bytes(data)
    with static(folder) as url:
        done = read_tiles(built("tlogtiles"), url, auditor)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
