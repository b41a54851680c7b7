"""Where a log lies, as its readers see it: the resources of C2SP tlog-tiles, whatever holds them.

A reader needs no key and no lock, also while a writer works. The folder is one such place, PostgreSQL another.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from isthmus.governance.audit.files import Files, make_folders, replace, sync_folder
from isthmus.governance.audit.tree.layout import LARGEST, WIDTH, bundle_path, tile_path

VKEY, CHECKPOINT, ROTATION = "vkey", "checkpoint", "rotation"
#: The log in use writes its checkpoints to these by turns, in place: a torn one leaves the one before it.
SLOTS = (CHECKPOINT, "checkpoint.alternate")


class Tiles(Protocol):
    """What a tree is read from. Each method gives ``None`` (or nothing) where there is no such thing, and raises
    :class:`OSError` where what is there cannot be read."""

    def bundle(self, n: int) -> bytes | None:
        """Bundle ``n`` of entries, each after its length; the last one is short and may end in a torn record."""
        ...

    def tile(self, level: int, n: int) -> bytes | None:
        """The hashes of a tile, 32 bytes each, as many as are kept: tiles are derived, and may be short or missing."""
        ...


#: A full bundle of the largest entries, in bytes.
_LARGEST_FILE = WIDTH * (LARGEST + 2)


class Storage(Tiles, Protocol):
    """A log: its tree, and what it says of itself."""

    def vkey(self) -> str | None:
        """The log's public key, as it states it itself."""
        ...

    def rotations(self) -> list[bytes]:
        """The rotations of the log's key (:mod:`isthmus.governance.audit.notes.rotation`), in order."""
        ...

    def notes(self) -> list[bytes]:
        """The newest signed checkpoints; one that is just being written may be torn."""
        ...


class Folder:
    """A log in a folder: the one in use, or an export, whose last files carry their width in their names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def vkey(self) -> str | None:
        found = _read(self.path / VKEY)
        return None if found is None else found.decode("utf8", "replace").strip()

    def rotations(self) -> list[bytes]:
        found: list[bytes] = []
        while note := _read(self.path / ROTATION / str(len(found) + 1)):
            found.append(note)
        return found

    def notes(self) -> list[bytes]:
        return [note for slot in SLOTS if (note := _read(self.path / slot))]

    def bundle(self, n: int) -> bytes | None:
        return _widest(bundle_path(self.path, n))

    def tile(self, level: int, n: int) -> bytes | None:
        return _widest(tile_path(self.path, level, n))

    def close(self) -> None:
        """Nothing is held open."""


def _widest(path: Path) -> bytes | None:
    """The whole file, or the widest of its partial forms."""
    if (found := _read(path)) is not None:
        return found
    partial = path.with_name(f"{path.name}.p")
    try:
        widths = sorted((int(entry.name) for entry in partial.iterdir() if entry.name.isdecimal()), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _read(partial / str(widths[0])) if widths else None


def _read(path: Path) -> bytes | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    facts = os.fstat(file)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LARGEST_FILE:
        os.close(file)
        raise OSError(errno.EINVAL, "It is no file of a log", str(path))
    with os.fdopen(file, "rb") as opened:
        return opened.read()


def tile_keeper(folder: Path, files: Files) -> Callable[[int, int, bytes], None]:
    """Stores full tiles in a folder. One that cannot be stored is computed again by whoever needs it."""

    def keep(level: int, n: int, hashes: bytes) -> None:
        path = tile_path(folder, level, n)
        with suppress(OSError):
            make_folders(files, path.parent)
            replace(files, path, hashes)
            sync_folder(files, path.parent)  # else the partial one before it may come back

    return keep
