"""Strangers check what we export with a page of Python and openssl."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flow.strangers_fixtures import ROOT, SIZES, Auditor, Auditors
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.layout import pack, unpack
from isthmus.governance.audit.tree.storage import Folder

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="NEEDS openssl, which is not installed")


@pytest.fixture(params=SIZES[:-1])
def auditor(request: pytest.FixtureRequest, auditors: Auditors) -> Auditor:
    return auditors.of(request.param)


@pytest.fixture
def harmed(auditor: Auditor, tmp_path: Path) -> Path:
    """A copy of the export, to be harmed."""
    return shutil.copytree(auditor.export, tmp_path / "harmed")


def first_entry(folder: Path) -> bytes:
    return next(entry for _, entry in Reader(Folder(folder)).entries())


def rewrite_bundle(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the entries of the first bundle, leaving hashes and checkpoint as they are."""
    (bundle,) = [*folder.glob("tile/entries/000"), *folder.glob("tile/entries/000.p/*")]
    bundle.write_bytes(pack(change(unpack(bundle.read_bytes())[0])))


def test_the_verifier_is_a_page() -> None:
    source = (ROOT / "verify.py").read_text(encoding="utf8")
    assert len(source.splitlines()) < 95
    assert "import isthmus" not in source
    assert "from isthmus" not in source


@pytest.mark.parametrize("size", SIZES)
def test_an_honest_export_holds(auditors: Auditors, size: int) -> None:
    auditor = auditors.of(size)
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
    assert first_entry(auditor.export) == first_entry(auditor.home.audit) != first_entry(tmp_path / "forged")


def test_wrong_use_prints_the_usage() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "verify.py")], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "verify.py EXPORT VKEY" in done.stderr


def test_one_of_a_hundred_thousand_is_named(auditors: Auditors, tmp_path: Path) -> None:
    auditor = auditors.of(SIZES[-1])
    folder = shutil.copytree(auditor.export, tmp_path / "harmed")
    bundle = folder / "tile" / "entries" / "123"
    bundle.write_bytes(bundle.read_bytes().replace(b'"type":"t"', b'"type":"u"', 1))
    done = auditor.verify(auditor.older, where=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"entry {123 * 256} was changed" in done.stderr
