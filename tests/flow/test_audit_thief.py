"""A thief who holds a key that was retired, and signs rotations of his own around the one that was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.notes.rotation import sign
from isthmus.governance.audit.reading.export import write_export
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.merkle import Frontier, leaf_hash
from isthmus.governance.audit.tree.storage import Folder

ROOT = Path(__file__).resolve().parents[2]
NAME = "example.org/log"
OLD, NEW, THIEF = (Signer(NAME, Ed25519PrivateKey.generate()) for _ in range(3))
REAL = [b'{"seq":%d,"type":"real"}' % i for i in range(8)]
FORGED = REAL[:5] + [b'{"seq":%d,"type":"forged"}' % i for i in range(5, 20)]

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="NEEDS openssl, which is not installed")


def checkpoint(entries: list[bytes], size: int) -> Checkpoint:
    frontier = Frontier()
    for entry in entries[:size]:
        frontier.push(leaf_hash(entry))
    return Checkpoint(NAME, size, frontier.root())


TRUE = sign(checkpoint(REAL, 5), OLD, NEW)
THERE, BACK = sign(checkpoint(FORGED, 5), OLD, THIEF), sign(checkpoint(FORGED, 20), THIEF, OLD)


def verified(export: Path, vkey: str, kept: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(ROOT / "verify.py"), str(export), vkey, str(kept)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_honest_rotation_holds(tmp_path: Path) -> None:
    write_export(tmp_path / "export", REAL, NEW.verifier, lambda *_: NEW.sign(checkpoint(REAL, 8)), [TRUE.encode()])
    (tmp_path / "kept").write_text(OLD.sign(checkpoint(REAL, 5)), encoding="utf8")
    for signer in (OLD, NEW):
        assert verified(tmp_path / "export", signer.verifier.vkey, tmp_path / "kept").returncode == 0


@pytest.mark.parametrize("notes", [[THERE, BACK, TRUE], [TRUE, BACK, THERE], [THERE, TRUE], [THERE, BACK]])
def test_a_retired_key_does_not_come_back(tmp_path: Path, notes: list[str]) -> None:
    rotations = [note.encode() for note in notes]
    write_export(tmp_path / "export", FORGED, NEW.verifier, lambda *_: THIEF.sign(checkpoint(FORGED, 20)), rotations)
    (tmp_path / "kept").write_text(OLD.sign(checkpoint(REAL, 5)), encoding="utf8")
    done = verified(tmp_path / "export", NEW.verifier.vkey, tmp_path / "kept")
    assert (done.returncode, done.stdout) == (1, "")
    with pytest.raises(VerificationFailed):
        Reader(Folder(tmp_path / "export")).checkpoint()


def test_a_hostile_name_draws_nothing(tmp_path: Path) -> None:
    write_export(tmp_path / "export", REAL, NEW.verifier, lambda *_: NEW.sign(checkpoint(REAL, 8)), [TRUE.encode()])
    for file in ("rotation/1", "checkpoint"):
        note = (tmp_path / "export" / file).read_text(encoding="utf8").split("\n")
        note[1] = "\x1b[1G\x1b[2KOK: 8 entries\x1b[8m"
        (tmp_path / "export" / file).write_text("\n".join(note), encoding="utf8")
        (tmp_path / "kept").write_text(OLD.sign(checkpoint(REAL, 5)), encoding="utf8")
        done = verified(tmp_path / "export", NEW.verifier.vkey, tmp_path / "kept")
        assert done.returncode == 1
        assert "\x1b" not in done.stdout + done.stderr
