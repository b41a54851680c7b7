"""A home folder with a vault, a log and a clock that is set by hand; and a look for bytes anywhere below it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from isthmus.config import Home
from isthmus.data.database import Database
from isthmus.data.sealing import unwrap
from isthmus.data.vault import Vault, open_vault
from isthmus.governance.audit.commitments import commitment
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Place
from isthmus.governance.audit.writing.log import Log
from isthmus.orchestration.erasure import Erasures
from isthmus.orchestration.retention import Retention

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass
class Hands:
    """A clock that is set by hand: sleeping costs no time."""

    time: datetime = NOON
    slept: float = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@dataclass
class World:
    """One process's view of a home folder."""

    home: Home
    clock: Hands = field(default_factory=Hands)

    def __post_init__(self) -> None:
        self.database = Database(self.home.database)
        self.vault: Vault = open_vault(self.database, self.home, commitment, self.clock.now)
        self.log = Log.in_folder(Place(self.home.audit, self.home.secrets / "log-signing-key", "test/log"), self.clock)
        self.erasures = Erasures(self.vault, self.log, self.reader, self.clock)

    def retention(self, days: int | None) -> Retention:
        return Retention(self.vault, self.log, self.clock, days)

    def reader(self) -> Reader:
        return Reader(Folder(self.home.audit))

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(entry) for _, entry in self.reader().entries()]

    async def close(self) -> None:
        await self.log.stop()
        self.database.close()


def secrets_of(world: World) -> Iterator[bytes]:
    """All that must be gone after an erasure: wrapped secrets and keys, nonces with ciphertexts, and in clear too."""
    master = bytes.fromhex((world.home.secrets / "content-master").read_text().strip())
    with world.database.read() as connection:
        for subject, generation, secret in connection.execute(text("SELECT subject, generation, secret FROM subjects")):
            yield secret
            yield unwrap(secret, master, "subject", subject, generation)
        for (wrapped,) in connection.execute(text("SELECT wrapped FROM contents")):
            yield wrapped
        for (ciphertext,) in connection.execute(text("SELECT ciphertext FROM ciphertexts")):
            yield ciphertext[:32]
            yield ciphertext[-32:]


def found_below(folder: Path, needles: list[bytes]) -> list[str]:
    """Which files hold which of the needles, or a part of 16 bytes of them."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path.name}: {needle.hex()}" for needle in needles if needle[-16:] in content]
            found += [f"{path.name}: {needle.hex()}" for needle in needles if needle[:16] in content]
    return found
