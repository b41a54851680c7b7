"""What happens to a log before, during and after a power loss, told from a seed."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from pathlib import Path

from audit_faults_fixtures import log, told
from power_loss_fixtures import Disk, VolatileFiles

from isthmus.errors import AuditUnavailable, VerificationFailed
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.log import Log

#: Acknowledged as flushed: index and name.
Told = dict[int, str]
#: A story has about so many operations; a later cut never comes, and the power goes at its end.
_OPERATIONS = 160


async def outlive(home: Path, seed: int, losses: int = 3) -> str | None:
    """Lose power ``losses`` times in the same log's life, then look: what is wrong, or ``None``."""
    chance = random.Random(seed)
    kept, seen = Told(), list[bytes]()
    lives = [home / f"life{n}" for n in range(losses + 1)]
    lives[0].mkdir()
    for before, after in itertools.pairwise(lives):
        disk = Disk(before, chance.randrange(1, _OPERATIONS), chance.randrange(1, 2 * _OPERATIONS))
        kept |= await _live(before, disk, chance)
        seen += disk.published
        after.mkdir()
        disk.after_power_loss(after, chance)
        if wrong := await _wrong(after, kept, seen):
            return f"seed {seed}, {after.name}, cut at operation {disk.cut}: {wrong}"
    return None


async def _live(home: Path, disk: Disk, chance: random.Random) -> Told:
    """Two writers on one log, as two processes are, until the power goes."""
    kept, writers = Told(), [log(home, VolatileFiles(disk)) for _ in range(2)]
    for step in range(chance.randrange(2, 8)):
        writer, both = chance.choice(writers), chance.random() < 0.5
        group = chance.choice((1, 1, 2, 5, 30, 120))
        chosen = [chance.choice(writers) if both else writer for _ in range(group)]
        await asyncio.gather(*(_append(one, f"{home.name}/{step}/{i}", kept, chance) for i, one in enumerate(chosen)))
        if chance.random() < 0.2:
            await writer.stop()
    if not disk.off:
        disk.cut = disk.done + 1 + chance.randrange(3)  # at once, or in the middle of what comes now
    await asyncio.gather(*(_append(writer, f"{home.name}/last", kept, chance) for writer in writers))
    disk.cut = min(disk.cut, disk.done)
    for writer in writers:
        await writer.stop()
    return kept


async def _append(writer: Log, name: str, kept: Told, chance: random.Random) -> None:
    flush = chance.random() < 0.4
    event = {"type": "t", "name": name, "padding": "." * chance.choice((0, 10, 300, 2000))}
    try:
        index = await writer.append(event, flush=flush)
    except AuditUnavailable:
        return
    if flush:
        kept[index] = name


async def _wrong(home: Path, kept: Told, seen: list[bytes]) -> str | None:
    again = log(home)
    try:
        await again.start()
        await again.append({"type": "t", "name": "afterwards"}, flush=True)
    except AuditUnavailable as error:
        return f"the log does not open by itself: {error.message}"
    finally:
        await again.stop()
    entries = told(home)
    for index, name in kept.items():
        if index >= len(entries) or json.loads(entries[index]).get("name") != name:
            return f"entry {index} was acknowledged as flushed and is gone"
    reader = Reader(Folder(home / "audit"))
    try:
        verify(reader, [Signed(reader.verifier.open(note), note.decode()) for note in seen])
    except VerificationFailed as error:
        return f"a checkpoint that was published does not hold: {error.message}"
    return None
