"""The power goes at any operation, and takes any part of what was not synced: what was acknowledged as flushed is
there, every checkpoint that anybody saw holds, and the log opens again by itself.

benchmarks/audit_power_loss.py tells the same story thousands of times.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from audit_faults_fixtures import check, log, told
from power_loss_fixtures import Disk, VolatileFiles
from power_loss_story import outlive

from isthmus.governance.audit.tree.layout import bundle_path


@pytest.mark.parametrize("seed", range(40))
async def test_a_power_loss_takes_nothing_that_was_flushed(tmp_path: Path, seed: int) -> None:
    assert await outlive(tmp_path, seed) is None


def test_the_disk_forgets_what_was_not_synced(tmp_path: Path) -> None:
    """The model itself: else nothing here proves anything."""
    before, kept = tmp_path / "before", set[bytes]()
    before.mkdir()
    disk = Disk(before)
    files = VolatileFiles(disk)
    fd = files.open(before / "file", 0o102)  # O_RDWR | O_CREAT
    files.write(fd, b"a" * 512, 0)
    files.sync(fd)
    files.write(fd, b"b" * 1024, 512)
    for seed in range(60):
        (after := tmp_path / str(seed)).mkdir()
        disk.after_power_loss(after, random.Random(seed))
        kept.add((after / "file").read_bytes() if (after / "file").exists() else b"no name")
    files.close(fd)
    a, b, lost = b"a" * 512, b"b" * 512, bytes(512)
    assert kept == {b"no name", a, a + b + b, a + lost + b, a + b + lost, a + lost + lost}


async def test_a_sector_that_is_lost_before_one_that_is_kept_is_cut_off_and_said(tmp_path: Path) -> None:
    first = log(tmp_path)
    await first.append({"type": "t", "name": "flushed"}, flush=True)
    for name in "abc":
        await first.append({"type": "t", "name": name, "padding": "." * 700}, flush=False)
    bundle = bundle_path(tmp_path / "audit", 0)
    data = bundle.read_bytes()
    await first.stop()
    for slot in ("checkpoint", "checkpoint.alternate"):  # those of the entries that are about to go were never there
        (tmp_path / "audit" / slot).unlink(missing_ok=True)
    bundle.write_bytes(data[:1024] + bytes(512) + data[1536:])  # in the middle of b
    again = log(tmp_path)
    await again.start()
    await again.stop()
    assert [json.loads(entry).get("name", "repaired") for entry in told(tmp_path)] == ["flushed", "a", "repaired"]
    assert check(tmp_path).pending == 0
