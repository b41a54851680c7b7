"""The end of the log: the last bundle of entries, open for writing, and the tree above it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.files import Files, make_folders, sync_folder, write_all
from isthmus.governance.audit.tree.entries import decode
from isthmus.governance.audit.tree.layout import WIDTH, bundle_path, pack, tile_path, unpack
from isthmus.governance.audit.tree.merkle import leaf_hash
from isthmus.governance.audit.tree.storage import Folder, tile_keeper
from isthmus.governance.audit.tree.tree import Tree

#: What a disk writes as a whole, in bytes.
_SECTOR = 512
#: A few entries, in bytes.
_LITTLE = 4096


class Tail:
    """``tree`` covers exactly the complete entries; the file may hold a torn one after them. Used under the lock."""

    def __init__(self, folder: Path, files: Files, bundle: int) -> None:
        """Opens that bundle, if it is there; the ones before it must be full."""
        self.tree = Tree(Folder(folder), self._keep_tile, bundle)
        self._folder, self._files = folder, files
        self._store = tile_keeper(folder, files)
        self._fd: int | None = None
        self._path = bundle_path(folder, bundle)
        self._bundle, self._offset, self._end = bundle, 0, (bundle + 1) * WIDTH
        self._hashes: int | None = None
        self._hashed = 0
        if self._path.exists():
            self._open(bundle, os.O_RDWR)

    @property
    def size(self) -> int:
        """Entries so far."""
        return self.tree.size

    def put(self, entries: Sequence[bytes]) -> None:
        """Write entries, which must fit into the current bundle: one pwrite(2), all or nothing."""
        fd = self._room()
        data = pack(entries)
        try:
            write_all(self._files, fd, data, self._offset)
        except OSError:
            with suppress(OSError):  # what stays is a torn record, cut off at the next reading
                self._files.truncate(fd, self._offset)
            raise
        self._offset += len(data)
        for entry in entries:
            self.tree.push(leaf_hash(entry))

    @property
    def roomy(self) -> bool:
        """Whether the next entry fits into the file that is open and does not fill it: it is one system call then."""
        return self._fd is not None and self.tree.size + 1 < self._end

    def duplicate(self) -> int | None:
        """The last bundle's file once more, to be synced while others write (earlier ones were synced when full)."""
        return None if self._fd is None else os.dup(self._fd)

    def keep_hashes(self) -> None:
        """The last bundle's hashes beside its entries, so that an edit there can be named. They are derived, so they
        are not synced, and a disk that cannot hold them stops nothing."""
        start = self._bundle * WIDTH
        if self.size <= start + self._hashed or self._full:  # a full tile was stored as it filled
            return
        with suppress(OSError):
            if self._hashes is None:
                path = tile_path(self._folder, 0, self._bundle)
                make_folders(self._files, path.parent)
                self._hashes = self._files.open(path, os.O_WRONLY | os.O_CREAT)
            hashes = b"".join(self.tree.leaf(index) for index in range(start + self._hashed, self.size))
            write_all(self._files, self._hashes, hashes, self._hashed * 32)
            self._hashed = self.size - start

    def near(self) -> bool:
        """Whether others wrote so little since that to take it in is a moment's work."""
        return self._fd is not None and os.fstat(self._fd).st_size - self._offset <= _LITTLE

    def read_on(self) -> int:
        """Take in what other processes wrote. Returns the bytes of a torn record at the end.

        Raises :class:`VerificationFailed` for anything that no writer of ours leaves behind, also when it died.
        """
        torn = self._read_bundle()
        while not torn and self._full and bundle_path(self._folder, self._bundle + 1).exists():
            self._open(self._bundle + 1, os.O_RDWR)
            torn = self._read_bundle()
        return torn

    def cut(self) -> None:
        """Cut off what follows the last complete entry, for good: it must not come back behind the next."""
        if self._fd is not None:
            self._files.truncate(self._fd, self._offset)
            self._files.sync(self._fd)

    def rewrite(self, flushed: int) -> None:
        """Write the entries from ``flushed`` on once more, and sync them and their names."""
        if self._fd is None or self.size <= flushed:
            return
        entries, _ = unpack(os.pread(self._fd, self._offset, 0))
        keep = max(0, flushed - self._bundle * WIDTH)
        data = pack(entries[keep:])
        write_all(self._files, self._fd, data, self._offset - len(data))
        self._files.sync(self._fd)
        sync_folder(self._files, bundle_path(self._folder, self._bundle).parent)

    def close(self) -> None:
        for fd in (self._fd, self._hashes):
            if fd is not None:
                with suppress(OSError):
                    self._files.close(fd)
        self._fd = self._hashes = None

    def _keep_tile(self, level: int, n: int, hashes: bytes) -> None:
        """On disk only after the entries that it was made from: after a power loss others may take their place. Who
        wrote those entries has stored it, unless it died in between."""
        with suppress(OSError):
            if tile_path(self._folder, level, n).stat().st_size == len(hashes):
                return
        if level == 0 and self._fd is not None:
            self._files.sync(self._fd)
        self._store(level, n, hashes)

    @property
    def _full(self) -> bool:
        return self.tree.size == self._end

    def _room(self) -> int:
        """The file of a bundle with room: where the last is full, the next, made durable before it is used."""
        if self._fd is not None and not self._full:
            return self._fd
        bundle = self._bundle + 1 if self._full else self._bundle
        if self._fd is not None:
            self._files.sync(self._fd)
        path = bundle_path(self._folder, bundle)
        make_folders(self._files, path.parent)
        fd = self._open(bundle, os.O_RDWR | os.O_CREAT)
        sync_folder(self._files, path.parent)
        return fd

    def _open(self, bundle: int, flags: int) -> int:
        self.close()
        self._path = bundle_path(self._folder, bundle)
        self._fd = self._files.open(self._path, flags)
        self._bundle, self._offset, self._end = bundle, 0, (bundle + 1) * WIDTH
        self._hashed = 0
        return self._fd

    def _read_bundle(self) -> int:
        if self._fd is None:
            return 0
        facts = os.fstat(self._fd)
        if not _in_place(self._path, facts) or facts.st_size < self._offset:
            raise VerificationFailed(
                f"The log lost entries before {self.size} while it was in use.", details={"index": self.size - 1}
            )
        if facts.st_size == self._offset:
            return 0
        raw = os.pread(self._fd, facts.st_size - self._offset, self._offset)
        entries, end = unpack(raw)
        for entry in entries:
            self._take(entry)
        self._offset += end
        if not _torn(raw[end:], self._offset):
            raise _broken(self.size)
        return len(raw) - end

    def _take(self, entry: bytes) -> None:
        if self._full or decode(entry, self.size) is None:
            raise _broken(self.size)
        self.tree.push(leaf_hash(entry))


def open_tail(folder: Path, files: Files, bundle: int) -> Tail:
    """The end of the log, looked for from that bundle on."""
    while bundle_path(folder, bundle + 1).exists():
        bundle += 1
    return Tail(folder, files, bundle)


def _in_place(path: Path, facts: os.stat_result) -> bool:
    """Whether the open file is the one that others find: a copy in its place would be a second log."""
    try:
        return os.path.samestat(facts, path.stat())
    except FileNotFoundError:
        return False


def _torn(rest: bytes, offset: int) -> bool:
    """Whether a death in the middle of a write, or a power loss, may leave this behind the last complete entry, which
    ends at ``offset``: the beginning of a record, or zeros up to the end of a sector."""
    length = int.from_bytes(rest[:2], "big")
    lost = rest.find(0, 2 if length else 0, 2 + length)
    if lost < 0:
        return len(rest) < 2 + length
    return not any(rest[lost : lost + _SECTOR - (offset + lost) % _SECTOR])


def _broken(index: int) -> VerificationFailed:
    return VerificationFailed(f"Entry {index} is not what a log holds at that place.", details={"index": index})
