"""Erasure and sealing where processes are killed and disks fill: finished or not begun, kept or not at all."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isthmus.config import Home
from isthmus.errors import StoreUnavailable
from unit.vault_fixtures import World, found_below, secrets_of

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent)}


async def fill(home: Home, subjects: list[str]) -> dict[str, list[bytes]]:
    """Content for each subject; what must be gone once it is erased."""
    world, before, needles = World(home), set[bytes](), {}
    await world.log.start()
    for subject in subjects:
        await world.vault.keep(subject, f"req_{subject}", "m", {"prompt": f"of {subject} " * 200, "answer": "yes"})
        needles[subject] = [needle for needle in secrets_of(world) if needle not in before]
        before |= set(needles[subject])
    await world.close()
    return needles


async def finish(home: Home) -> World:
    """What the next start does."""
    world = World(home)
    await world.log.start()
    await world.erasures.follow()
    return world


def test_an_erasure_that_is_killed_is_finished_by_the_next_start(tmp_path: Path) -> None:
    """Killed at random moments: each subject is erased whole, or not at all and never asked for."""
    home, chance = Home(tmp_path / "home"), random.Random(5)
    subjects = [f"key_{number}" for number in range(40)]
    needles = asyncio.run(fill(home, subjects))
    left = subjects
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, str(HERE / "erasure_eraser.py"), str(home.path), *left],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert child.stdout is not None
        begun = child.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        child.send_signal(signal.SIGKILL)
        begun += child.stdout.read()
        child.wait()
        child.stdout.close()
        left = asyncio.run(check(home, subjects, needles, begun.decode().split()))
    assert len(left) < len(subjects)


async def check(home: Home, subjects: list[str], needles: dict[str, list[bytes]], begun: list[str]) -> list[str]:
    """Finish, and compare the store with the log; the subjects that are not erased yet."""
    world = await finish(home)
    entries = world.entries()
    wanted = {entry["subject"] for entry in entries if entry["type"] == "erasure.requested"}
    erased = {entry["subject"] for entry in entries if entry["type"] == "subject.erased"}
    assert erased == wanted
    assert set(begun[:-1]) <= erased  # it said what it began next only once this was done
    assert found_below(home.path, [needle for subject in erased for needle in needles[subject]]) == []
    for subject in subjects:
        states = {one.state for one in world.vault.opened(f"req_{subject}")}
        assert states == ({"erased"} if subject in erased else {"kept"})
    await world.close()
    return [subject for subject in subjects if subject not in erased]


async def test_a_disk_that_is_full_keeps_nothing_half(tmp_path: Path) -> None:
    world = World(Home(tmp_path / "home"))
    await world.vault.keep("key_ann", "req_1", "m", {"prompt": "before"})
    with world.database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable) as full:
        await world.vault.keep("key_ann", "req_2", "m", {"prompt": "small", "answer": "large " * 50_000})
    assert "disk is full" in full.value.hint
    assert world.vault.opened("req_2") == []
    assert [one.text for one in world.vault.opened("req_1")] == ["before"]
    with world.database.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    await world.vault.keep("key_ann", "req_2", "m", {"answer": "large " * 50_000})
    await world.close()


async def test_an_erasure_needs_no_room_on_the_disk_but_the_log_s(tmp_path: Path) -> None:
    """What is destroyed is overwritten where it stands: a full database can be erased."""
    world = World(Home(tmp_path / "home"))
    await world.log.start()
    await world.vault.keep("key_ann", "req_1", "m", {"prompt": "the text " * 5000})
    needles = list(secrets_of(world))
    with world.database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    await world.erasures.erase("key_ann", by="uid:1", why="asked")
    assert found_below(world.home.path, needles) == []
    await world.close()
