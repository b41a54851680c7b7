"""A disk that fails at the n-th operation, and a log over it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from isthmus.governance.audit.files import Files
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.reading.verification import Verified, verify
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Place
from isthmus.governance.audit.writing.log import Log


@dataclass
class FaultyFiles(Files):
    """``times`` operations from number ``first`` on fail; a failing write first takes ``part`` of its bytes."""

    first: int = 10**9
    times: int = 1
    error: int = errno.EIO
    part: float = 0.0
    only: frozenset[str] = frozenset()
    done: int = 0
    names: list[str] = field(default_factory=list)

    def _step(self, name: str) -> None:
        if self.only and name not in self.only:
            return
        self.done += 1
        self.names.append(name)
        if self.first <= self.done < self.first + self.times:
            raise OSError(self.error, os.strerror(self.error))

    def open(self, path: Path, flags: int) -> int:
        self._step("open")
        return super().open(path, flags)

    def write(self, fd: int, data: bytes, offset: int) -> int:
        try:
            self._step("write")
        except OSError:
            super().write(fd, data[: int(len(data) * self.part)], offset)
            raise
        return super().write(fd, data, offset)

    def sync(self, fd: int) -> None:
        """Fails in its turn, and does not wait for a real disk: nobody takes the power away here."""
        self._step("sync")

    def truncate(self, fd: int, size: int) -> None:
        self._step("truncate")
        super().truncate(fd, size)

    def rename(self, source: Path, target: Path) -> None:
        self._step("rename")
        super().rename(source, target)

    def make_folder(self, path: Path) -> None:
        self._step("make_folder")
        super().make_folder(path)


class SteppingClock:
    """Each reading is a millisecond later; it can be set back."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def place(home: Path) -> Place:
    return Place(home / "audit", home / "secrets" / "log-signing-key", "example.org/log")


def log(home: Path, files: Files | None = None) -> Log:
    return Log.in_folder(place(home), SteppingClock(), files)


def told(home: Path) -> list[bytes]:
    """The entries on disk."""
    return [entry for _, entry in Reader(Folder(home / "audit")).entries()]


def check(home: Path) -> Verified:
    return verify(Reader(Folder(home / "audit")))
