"""Strangers check the log with aics-tlog, a verifier in Python by others. It wants Python 3.12, so the oldest Python
that we support skips this."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flow.audit_fixtures import static
from flow.strangers_fixtures import SIZES, Auditor, Auditors

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aics_tlog") is None, reason="NEEDS aics-tlog, which wants Python 3.12 or later"
)


@pytest.fixture(params=SIZES)
def auditor(request: pytest.FixtureRequest, auditors: Auditors) -> Auditor:
    return auditors.of(request.param)


def read_log(url: str, auditor: Auditor) -> None:
    """Its own walk over the whole tree, and over every bundle of entries, against the checkpoint and the kept key."""
    import aics_tlog

    key = aics_tlog.read_vkey_file(auditor.vkey.read_text(encoding="utf8"))
    reader = aics_tlog.HttpTileReader([url], proxies={})
    newest = verified(reader.read_checkpoint(), key)
    assert newest.size == auditor.size
    report = aics_tlog.audit_tiles(reader, newest.size, newest.root)
    assert (report.size, report.bundles) == (auditor.size, -(-auditor.size // 256))
    proven = aics_tlog.VerifiedTileReader(reader, newest.size, newest.root)
    receipt = json.loads(auditor.receipt.read_text(encoding="utf8"))
    entry = aics_tlog.read_entry(proven, receipt["index"], newest.size)
    steps = [bytes.fromhex(step) for step in receipt["proof"]]
    assert aics_tlog.inclusion_proof_from_tiles(proven, receipt["index"], newest.size) == steps
    assert aics_tlog.verify_leaf_inclusion(entry, receipt["index"], newest.size, steps, newest.root)
    old = verified(auditor.older.read_bytes(), key)
    proof = aics_tlog.consistency_proof_from_tiles(proven, old.size, newest.size)
    assert aics_tlog.verify_consistency(old.size, newest.size, old.root, newest.root, proof)


def verified(note: bytes, key: Any) -> Any:
    """The size and root, once its signature holds."""
    import aics_tlog

    result = aics_tlog.verify_checkpoint(aics_tlog.parse_note(note), key)
    assert result.ok, result.error
    return result


def test_aics_tlog_accepts_an_export(auditor: Auditor) -> None:
    with static(auditor.export) as url:
        read_log(url, auditor)


@pytest.mark.parametrize("path", ["tile/entries/001", "tile/0/001", "checkpoint"])
def test_aics_tlog_refuses_one_that_was_changed(auditors: Auditors, tmp_path: Path, path: str) -> None:
    auditor = auditors.of(1000)
    folder = shutil.copytree(auditor.export, tmp_path / "harmed")
    data = bytearray((folder / path).read_bytes())
    data[60] ^= 1
    (folder / path).write_bytes(data)
    with static(folder) as url, pytest.raises((AssertionError, ValueError, OSError)):
        read_log(url, auditor)
