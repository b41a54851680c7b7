"""docs/verify-it-yourself.md, line by line, as somebody does who has openssl, Python and what they kept."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flow.audit_fixtures import site
from flow.strangers_fixtures import ROOT, Auditor, Auditors
from isthmus.governance.audit.commitments import commitment
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.reading.export import write_export
from isthmus.governance.audit.tree import proofs
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.tree.stored import StoredTree

PAGE = ROOT / "docs" / "verify-it-yourself.md"
TOOLS = "sh openssl base64 cat cp cut grep head mkdir mv sed tail"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="NEEDS openssl, which is not installed")


def every_block() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf8"), re.MULTILINE | re.DOTALL)


def blocks(*, online: bool) -> str:
    """The page's blocks as one script; those with curl need a server."""
    found = [block for block in every_block() if "$SALT" not in block]
    wanted = [block for block in found if online or not any(word in block for word in ("$LOG", "today.checkpoint"))]
    assert len(wanted) == (5 if online else 3)
    return "\n".join(["set -eu", *wanted])


@pytest.fixture
def laptop(auditors: Auditors, tmp_path: Path) -> Path:
    """A folder with what was kept, and a PATH with nothing else on it."""
    return prepared(auditors.of(1000), tmp_path)


def prepared(auditor: Auditor, folder: Path) -> Path:
    desk, tools = folder / "desk", folder / "bin"
    desk.mkdir()
    tools.mkdir()
    shutil.copytree(auditor.export, desk / "log")
    for kept, name in [
        (auditor.vkey, "vkey"),
        (auditor.older, "yesterday.checkpoint"),
        (auditor.receipt, "receipt.json"),
    ]:
        shutil.copy(kept, desk / name)
    shutil.copy(ROOT / "verify.py", desk / "verify.py")
    for name in TOOLS.split():
        (tools / name).symlink_to(shutil.which(name) or "missing")
    (tools / "python3").symlink_to(Path(sys.executable).resolve())  # not the environment that has isthmus
    return desk


def follow(script: str, desk: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment["PATH"] = str(desk.parent / "bin")
    command = [desk.parent / "bin" / "sh", "-c", script]
    return subprocess.run(command, cwd=desk, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_isthmus_is_not_there(laptop: Path) -> None:
    assert "No module named 'isthmus'" in follow("python3 -I -c 'import isthmus'", laptop).stderr


def test_the_page_can_be_followed_offline(laptop: Path) -> None:
    done = follow(blocks(online=False), laptop)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("OK: 1000 entries, 2 kept checkpoints or receipts, the same log\n")
    assert "FAILED: entry 0 was changed, or is not in its place" in done.stderr
    assert done.stdout.count("Signature Verified Successfully") == 2


def test_following_the_page_finds_a_log_that_was_rewritten_and_signed_again(
    laptop: Path, auditors: Auditors, tmp_path: Path
) -> None:
    rewrite = [sys.executable, str(ROOT / "examples" / "rewrite_log.py"), str(auditors.of(1000).home.path)]
    subprocess.run([*rewrite, str(tmp_path / "forged"), "7"], check=True, capture_output=True)
    shutil.rmtree(laptop / "log")
    (tmp_path / "forged").rename(laptop / "log")
    done = follow(blocks(online=False), laptop)
    assert done.returncode == 1
    assert done.stderr == "FAILED: an entry before 500 was changed, or is gone, since 500 were signed\n"


def test_a_signature_that_does_not_hold_is_not_verified_by_hand(laptop: Path) -> None:
    note = laptop / "yesterday.checkpoint"
    by_hand = blocks(online=False)[blocks(online=False).index("cut -d") :]
    note.write_text(note.read_text(encoding="utf8").replace("\n500\n", "\n501\n"), encoding="utf8")
    done = follow("set -eu\n" + by_hand, laptop)
    assert done.returncode != 0
    assert "Signature Verification Failure" in done.stdout + done.stderr


@pytest.mark.external("curl")
def test_the_page_can_be_followed_over_http(laptop: Path, auditors: Auditors, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NEEDS curl, which is not installed")
    (laptop.parent / "bin" / "curl").symlink_to(shutil.which("curl") or "")
    made = site(shutil.copytree(auditors.of(1000).home.path, tmp_path / "home"))
    key = made.key("auditor", "--role", "auditor")
    with made.serving():
        done = follow(blocks(online=True), laptop, LOG=f"{made.url}/api/audit", KEY=key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"the first 500 of 10\d\d entries are the ones of yesterday\n", done.stdout)
    assert re.search(r"OK: 10\d\d entries, 1 kept checkpoints or receipts, the same log\n$", done.stdout)


@pytest.mark.external("curl")
def test_who_holds_the_old_key_can_take_the_log_home_after_it_was_changed(
    laptop: Path, auditors: Auditors, tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NEEDS curl, which is not installed")
    (laptop.parent / "bin" / "curl").symlink_to(shutil.which("curl") or "")
    made = site(shutil.copytree(auditors.of(1000).home.path, tmp_path / "home"))
    key = made.key("auditor", "--role", "auditor")
    for _ in range(2):
        made.run("audit", "rotate-key")
    (mirror,) = (block for block in every_block() if "names" in block)
    fetch = 'curl -sf -H "Authorization: Bearer $KEY" "$LOG/checkpoint" > today.checkpoint\n'
    with made.serving():
        done = follow(f"set -eu\n{fetch}{mirror}", laptop, LOG=f"{made.url}/api/audit", KEY=key)
        by_hand = follow(blocks(online=True), laptop, LOG=f"{made.url}/api/audit", KEY=key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("1 kept checkpoints or receipts, the same log\n")
    assert len([*(laptop / "mirror" / "rotation").iterdir()]) == 2
    assert by_hand.returncode != 0, "as the page says"
    assert "Signature Verification Failure" in by_hand.stdout + by_hand.stderr


@pytest.mark.parametrize(("text", "found"), [("Grüße 🌊", "prompt"), ("ja", "answer"), ("nein", None)])
def test_the_page_settles_what_a_text_was(laptop: Path, tmp_path: Path, text: str, found: str | None) -> None:
    shutil.rmtree(laptop / "log")
    salt = bytes(range(32))
    said = {"prompt": commitment(salt, "Grüße 🌊"), "answer": commitment(salt, "ja")}
    entries = [
        json.dumps({name: value, "seq": i}, separators=(",", ":")).encode()
        for i, (name, value) in enumerate(said.items())
    ]
    signer = Signer("example.org/log", Ed25519PrivateKey.generate())
    write_export(
        laptop / "log",
        entries,
        signer.verifier,
        lambda size, root: signer.sign(Checkpoint("example.org/log", size, root)),
    )
    (laptop / "text").write_text(text, encoding="utf8")
    (block,) = (block for block in every_block() if "$SALT" in block)
    done = follow(f"set -eu\n{block}", laptop, SALT=salt.hex())
    if found is None:
        assert (done.returncode, done.stdout) == (1, "")
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f'log/tile/entries/000.p/2:"{found}":"{said[found]}"\n'


def consistency() -> str:
    """The page's own check of a consistency proof."""
    return re.findall(r"python3 -I - <<'EOF'\n(.*?)^EOF$", blocks(online=True), re.MULTILINE | re.DOTALL)[1]


@pytest.mark.parametrize(
    ("old", "new"), [(1, 1), (1, 2), (3, 7), (4, 8), (6, 8), (8, 9), (7, 7), (255, 256), (257, 1000)]
)
def test_the_page_s_check_of_a_consistency_proof(auditors: Auditors, tmp_path: Path, old: int, new: int) -> None:
    proof = proofs.consistency("", StoredTree(Folder(auditors.of(1000).export)), old, new)

    def check(told: proofs.Consistency) -> int:
        for name, size, root in [("yesterday", old, told.old_root), ("today", new, told.new_root)]:
            note = f"log\n{size}\n{base64.b64encode(bytes.fromhex(root)).decode()}\n\n"
            (tmp_path / f"{name}.checkpoint").write_text(note, encoding="utf8")
        (tmp_path / "proof.json").write_text(json.dumps(asdict(told)), encoding="utf8")
        command = [sys.executable, "-I", "-c", consistency()]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    other = hashlib.sha256(b"other").hexdigest()
    assert check(proof) == 0
    assert check(replace(proof, old_root=other)) == 1
    assert check(replace(proof, new_root=other)) == 1
    if proof.proof:
        assert check(replace(proof, proof=(*proof.proof[:-1], other))) == 1
