"""Strangers check what we export with a page of Python and openssl."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flow.audit_fixtures import ORIGIN
from flow.strangers_fixtures import ROOT, SIZES, Auditor, Auditors
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.reading.export import write_export
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.layout import pack, unpack
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.keys import load_key

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
    assert len(source.splitlines()) < 100
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


def page(*arguments: Path | str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """The page with any arguments, and with another PATH."""
    command = [sys.executable, "-I", str(ROOT / "verify.py"), *map(str, arguments)]
    environment = None if path is None else os.environ | {"PATH": path}
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [[], ["log"], ["--help"], ["{export}", "{vkey}", "--witness"]])
def test_wrong_use_prints_the_usage(auditor: Auditor, arguments: list[str]) -> None:
    done = page(*(one.format(export=auditor.export, vkey=auditor.vkey) for one in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert "verify.py EXPORT VKEY" in done.stderr


@pytest.mark.parametrize("wrong", ["vkey", "checkpoint", "witness", "log key as witness", "folder", "printed dict"])
def test_what_cannot_be_read_is_not_called_a_forgery(auditor: Auditor, tmp_path: Path, wrong: str) -> None:
    vkey, absent, printed = auditor.vkey, tmp_path / "absent", tmp_path / "printed"
    printed.write_text(str(json.loads(auditor.receipt.read_text(encoding="utf8"))), encoding="utf8")
    arguments: list[Path | str] = {
        "vkey": [auditor.export, absent],
        "checkpoint": [auditor.export, vkey, absent],
        "witness": [auditor.export, vkey, "--witness", absent],
        "log key as witness": [auditor.export, vkey, "--witness", vkey],
        "folder": [absent, vkey],
        "printed dict": [auditor.export, vkey, "--receipt", printed],
    }[wrong]
    done = page(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("NOT CHECKED: ")
    assert wrong == "log key as witness" or "absent" in done.stderr or "printed" in done.stderr


def test_a_checkpoint_in_place_of_the_key_is_not_printed(auditor: Auditor) -> None:
    done = page(auditor.export, auditor.older)
    assert done.returncode == 2
    assert "one key of a log is needed" in done.stderr
    assert "—" not in done.stderr


def test_a_log_in_use_is_not_an_export(auditor: Auditor) -> None:
    if auditor.size == 1:
        pytest.skip("it has one checkpoint yet")
    done = page(auditor.home.audit, auditor.vkey)
    assert (done.returncode, "is a log in use: ask for an export" in done.stderr) == (2, True)


@pytest.mark.parametrize("openssl", [None, "LibreSSL 3.3.6", "OpenSSL 1.1.1w  11 Sep 2023"])
def test_without_openssl_3_nothing_is_said_of_the_log(auditor: Auditor, tmp_path: Path, openssl: str | None) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    if openssl is not None:
        (tmp_path / "openssl").write_text(f"#!/bin/sh\n[ $1 = version ] && echo '{openssl}'\n", encoding="utf8")
        (tmp_path / "openssl").chmod(0o755)
    done = page(auditor.export, auditor.vkey, path=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("NOT CHECKED: openssl 3 is needed, not ")
    assert (openssl or "openssl: not found") in done.stderr


def test_an_export_older_than_what_was_kept_is_told_apart_from_a_forgery(auditors: Auditors, tmp_path: Path) -> None:
    auditor = auditors.of(1000)
    entries = auditor.entries()[:300]
    signer = Signer(ORIGIN, load_key(auditor.home.secrets / "log-signing-key"))
    write_export(
        tmp_path / "old", entries, signer.verifier, lambda size, top: signer.sign(Checkpoint(ORIGIN, size, top))
    )
    assert page(tmp_path / "old", auditor.vkey).returncode == 0
    for kept, size in ((auditor.older, 500), (auditor.receipt, 1000)):
        done = page(tmp_path / "old", auditor.vkey, kept)
        assert done.returncode == 1
        assert f"has 300 entries, what you kept {size}: it is older, or was cut; ask for one made today" in done.stderr


@pytest.mark.parametrize("form", ["json", "pretty", "stream"])
def test_a_whole_answer_is_a_receipt(auditor: Auditor, tmp_path: Path, form: str) -> None:
    receipt = json.loads(auditor.receipt.read_text(encoding="utf8"))
    text = 'not {"checkpoint": "this"}'
    answer = {
        "choices": [{"message": {"content": text}}],
        "isthmus": {"label": {"level": "public"}, "receipt": receipt},
    }

    def kept(told: object) -> Path:
        whole = json.dumps(told, indent=2 if form == "pretty" else None, ensure_ascii=form == "json")
        (tmp_path / "answer").write_text(f"data: {whole}\n\ndata: [DONE]\n" if form == "stream" else whole, "utf8")
        return tmp_path / "answer"

    done = auditor.verify("--receipt", kept(answer))
    assert (done.returncode, done.stderr) == (0, "")
    receipt["leaf"] = "00" * 32
    assert "not the one of the receipt" in auditor.verify("--receipt", kept(answer)).stderr


def test_that_nothing_was_compared_is_said(auditor: Auditor) -> None:
    assert "nothing that you kept was compared, so a rewritten log would pass too" in auditor.verify().stdout
    assert "nothing" not in auditor.verify(auditor.older).stdout


def test_one_of_a_hundred_thousand_is_named(auditors: Auditors, tmp_path: Path) -> None:
    auditor = auditors.of(SIZES[-1])
    folder = shutil.copytree(auditor.export, tmp_path / "harmed")
    bundle = folder / "tile" / "entries" / "123"
    bundle.write_bytes(bundle.read_bytes().replace(b'"type":"t"', b'"type":"u"', 1))
    done = auditor.verify(auditor.older, where=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"entry {123 * 256} was changed" in done.stderr
