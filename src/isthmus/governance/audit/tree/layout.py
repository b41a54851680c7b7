"""Where things lie, after C2SP tlog-tiles (https://c2sp.org/tlog-tiles): pure.

``tile/LEVEL/N`` holds 256 hashes, ``tile/entries/N`` the 256 entries beneath ``tile/0/N``, each after its length as a
big-endian uint16. A partial tile ends in ``.p/WIDTH``. The folder in use differs in one thing: the last bundle of
entries grows in place under its final name, because it *is* the journal; an export, or a server, cuts it to size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

#: Hashes in a tile, entries in a bundle.
WIDTH = 256
#: Heights of the tree that one tile spans.
HEIGHT = 8
#: The largest entry, in bytes: its length is a uint16.
LARGEST = 0xFFFF

_LENGTH = struct.Struct(">H")


def number(n: int) -> str:
    """``1234067`` is ``x001/x234/067``."""
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03}")
    return "/".join(groups)


def tile_path(folder: Path, level: int, n: int, width: int = WIDTH) -> Path:
    return folder / "tile" / str(level) / (number(n) + _partial(width))


def bundle_path(folder: Path, n: int, width: int = WIDTH) -> Path:
    return folder / "tile" / "entries" / (number(n) + _partial(width))


def _partial(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"


def pack(entries: Iterable[bytes]) -> bytes:
    """Entries as they stand in a bundle."""
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def unpack(data: bytes) -> tuple[list[bytes], int]:
    """The complete entries of a bundle, and the offset at which they end: short of ``len(data)`` after a torn write.

    No entry holds a zero byte, as JSON has none: one that does lost a sector in a power loss.
    """
    entries, offset = [], 0
    while offset + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, offset)
        start = offset + _LENGTH.size
        entry = data[start : start + length]
        if length == 0 or len(entry) < length or 0 in entry:
            break
        entries.append(entry)
        offset = start + length
    return entries, offset
