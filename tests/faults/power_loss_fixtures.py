"""A disk that forgets: what was written and not synced is kept apart, and a power loss drops any part of it.

The model is the weak one of ALICE (https://www.usenix.org/system/files/conference/osdi14/osdi14-paper-pillai.pdf) and
CrashMonkey: sectors of 512 bytes reach the disk in any order, a file's size may be there before its bytes (zeros then),
a truncation may be lost, and a new name, or a renamed one, is durable only once its folder was synced. A sync covers
what was written before it began, in that file or folder alone.
"""

from __future__ import annotations

import errno
import os
import random
import stat
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import TypeAlias

from isthmus.governance.audit.files import Files
from isthmus.governance.audit.tree.storage import SLOTS

SECTOR = 512


@dataclass(eq=False)
class Node:
    """A file or folder. ``disk`` is durable; ``pending`` changes it: data at an offset, or (``None``) a new size."""

    path: Path
    folder: bool = False
    disk: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    #: Of a folder: names that are not durable yet, in order: (source or None, target, node).
    names: list[tuple[Path | None, Path, Node]] = field(default_factory=list)
    #: Which processes have opened it, and which have yet to hear that a sync failed.
    users: set[VolatileFiles] = field(default_factory=set)
    unheard: set[VolatileFiles] = field(default_factory=set)
    #: Changes and names that are no longer pending: syncs may overlap.
    settled: int = 0
    named: int = 0

    def settle(self, count: int) -> None:
        """The first ``count`` changes are on disk."""
        self.disk = self.versions(count)[-1]
        self.forget(count)

    def forget(self, count: int) -> None:
        """The first ``count`` changes never come to the disk, unless they are written again."""
        del self.pending[:count]
        self.settled += count

    def versions(self, count: int) -> list[bytes]:
        """The durable file, and what each of the first ``count`` changes made of it."""
        found = [self.disk]
        for offset, data in self.pending[:count]:
            now = found[-1].ljust(offset, b"\0")
            found.append(now[:offset] if data is None else now[:offset] + data + now[offset + len(data) :])
        return found


@dataclass(frozen=True)
class Weather:
    """How much survives: the chance that a sector, a size or a name is the newest one; else it is any before it."""

    sectors: float
    sizes: float
    names: float


Names: TypeAlias = dict[Path, Node]


class Disk:
    """What is durable under ``home``, and what is not yet; ``after_power_loss`` says what a restart may find.

    The power goes with operation number ``cut``: that and every one after it fails. The first sync from operation
    ``drop`` on fails once, and what it was to put on disk never comes there, although reading still shows it.
    """

    def __init__(self, home: Path, cut: int = 10**9, drop: int = 10**9) -> None:
        self.home, self.cut, self.drop, self.done = home, cut, drop, 0
        self.published: list[bytes] = []  # every checkpoint that others could read in its place
        self.mutex = RLock()  # a sync may run beside a write
        self.inodes: dict[tuple[int, int], Node] = {}
        self.names: Names = {home: Node(home, True)}
        for path in sorted(home.rglob("*")):
            self.names[path] = Node(path, True) if path.is_dir() else Node(path, disk=path.read_bytes())
        self.durable: Names = dict(self.names)

    @property
    def off(self) -> bool:
        return self.done >= self.cut

    def step(self) -> None:
        with self.mutex:
            self.done += 1
            if self.off:
                raise OSError(errno.EIO, "the power is gone")

    def name(self, source: Path | None, target: Path, node: Node) -> Node:
        """A name that is there, and durable once its folder is synced."""
        self.names[target] = node
        node.path = target
        self.names.setdefault(target.parent, Node(target.parent, True)).names.append((source, target, node))
        return node

    def node(self, fd: int) -> Node:
        facts = os.fstat(fd)  # not by its number: it may be a duplicate
        return self.inodes[facts.st_dev, facts.st_ino]

    def after_power_loss(self, into: Path, chance: random.Random) -> None:
        """Write what a disk may hold now into the empty folder ``into``. The files in use stay as they are."""
        levels = (0.0, 0.3, 0.7, 1.0)
        weather = Weather(*(chance.choice(levels) for _ in range(3)))
        with self.mutex:
            names = dict(self.durable)
            for node in self.names.values():
                for name in node.names:
                    if chance.random() < weather.names:
                        _place(names, name)
            del names[self.home]
            for path, node in sorted(names.items()):
                _restore(into / path.relative_to(self.home), node, weather, chance)


class VolatileFiles(Files):
    """One process's view of a disk. It works on the real files, as the page cache does.

    A sync that fails is told once to each process that had the file open, and to none that opens it later
    (https://wiki.postgresql.org/wiki/Fsync_Errors, Linux from 4.13 on).
    """

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def open(self, path: Path, flags: int) -> int:
        disk = self.disk
        disk.step()
        with disk.mutex:
            fd = super().open(path, flags)
            facts = os.fstat(fd)
            node = disk.names.get(path)
            if node is None:
                node = disk.name(None, path, Node(path, stat.S_ISDIR(facts.st_mode)))
            elif flags & os.O_TRUNC:
                node.pending.append((0, None))
            disk.inodes[facts.st_dev, facts.st_ino] = node
            node.users.add(self)
            node.unheard.discard(self)
            return fd

    def write(self, fd: int, data: bytes, offset: int) -> int:
        self.disk.step()
        with self.disk.mutex:
            node = self.disk.node(fd)
            done = super().write(fd, data, offset)
            # a sector reaches the disk as it stands in memory, with what an earlier sync failed to write there
            start, end = offset - offset % SECTOR, -(-(offset + done) // SECTOR) * SECTOR
            node.pending.append((start, node.path.read_bytes()[start:end]))
            if node.path.name in SLOTS:
                self.disk.published.append(data)
            return done

    def sync(self, fd: int) -> None:
        """Does not wait for a real disk. What is written while it runs is not covered."""
        with self.disk.mutex:
            node = self.disk.node(fd)
            data, names = node.settled + len(node.pending), node.named + len(node.names)
        self.disk.step()
        with self.disk.mutex:
            self._fail(node)
            node.settle(max(0, data - node.settled))
            while node.named < names:
                node.named += 1
                _place(self.disk.durable, node.names.pop(0))

    def truncate(self, fd: int, size: int) -> None:
        self.disk.step()
        with self.disk.mutex:
            super().truncate(fd, size)
            self.disk.node(fd).pending.append((size, None))

    def rename(self, source: Path, target: Path) -> None:
        self.disk.step()
        with self.disk.mutex:
            super().rename(source, target)
            self.disk.name(source, target, self.disk.names.pop(source))
            if target.name in SLOTS:
                self.disk.published.append(target.read_bytes())

    def make_folder(self, path: Path) -> None:
        self.disk.step()
        with self.disk.mutex:
            super().make_folder(path)
            self.disk.name(None, path, Node(path, True))

    def _fail(self, node: Node) -> None:
        if self.disk.done >= self.disk.drop and not node.folder:
            self.disk.drop = 10**9
            node.forget(len(node.pending))
            node.unheard = set(node.users)
        if self in node.unheard:
            node.unheard.discard(self)
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _restore(path: Path, node: Node, weather: Weather, chance: random.Random) -> None:
    if not path.parent.is_dir():
        return  # its folder's own name was lost
    if node.folder:
        path.mkdir(mode=0o700)
        return
    path.write_bytes(_survives(node, weather, chance))
    path.chmod(0o600)


def _survives(node: Node, weather: Weather, chance: random.Random) -> bytes:
    """Each sector, and the size, as it was at some moment since the last sync."""
    versions = node.versions(len(node.pending))

    def some(newest: float) -> bytes:
        return versions[-1] if chance.random() < newest else chance.choice(versions)

    size = len(some(weather.sizes))
    sectors = (
        some(weather.sectors)[at : at + SECTOR].ljust(SECTOR, b"\0") if node.pending else node.disk[at : at + SECTOR]
        for at in range(0, size, SECTOR)
    )
    return b"".join(sectors)[:size]


def _place(names: Names, change: tuple[Path | None, Path, Node]) -> None:
    source, target, node = change
    if source is not None and names.get(source) is node:
        del names[source]
    names[target] = node
