"""The two files that hold the newest checkpoints.

They are written in place, by turns: a rename would make each following sync several times slower. A torn one leaves
the other, with the checkpoint before it. No sync follows, so a power loss may take both; one that could tear both (the
length changes, or a note is longer than what a disk writes as a whole) is put in place by a rename.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from isthmus.governance.audit.files import Files, replace, write_all
from isthmus.governance.audit.tree.storage import SLOTS

_LONGEST = 4096
#: What a disk writes as a whole, in bytes.
_SECTOR = 512


class Slots:
    """Used under the log's lock."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder, self._files = folder, files
        self._open: dict[str, int] = {}

    def keep(self, size: int, note: bytes) -> None:
        """Put a checkpoint of ``size`` entries in the place of the older one. Another process may have put a newer one
        there since this was signed: that stays."""
        held = {slot: self._held(slot) for slot in SLOTS}
        (_, slot), (newest, _) = sorted((size_of(note), slot) for slot, note in held.items())
        if newest > size:
            return None
        if len(held[slot]) != len(note) or len(note) > _SECTOR:
            return replace(self._files, self._folder / slot, note)
        return write_all(self._files, self._open[slot], note)

    def replace_all(self, note: bytes) -> None:
        """Put one checkpoint in both places: nothing is left of those before."""
        for slot in SLOTS:
            replace(self._files, self._folder / slot, note)

    def close(self) -> None:
        while self._open:
            with suppress(OSError):
                self._files.close(self._open.popitem()[1])

    def _held(self, slot: str) -> bytes:
        if slot in self._open and not os.fstat(self._open[slot]).st_nlink:  # somebody deleted the file
            self._files.close(self._open.pop(slot))
        if slot not in self._open:
            with suppress(FileNotFoundError):
                self._open[slot] = self._files.open(self._folder / slot, os.O_RDWR)
        return os.pread(self._open[slot], _LONGEST, 0) if slot in self._open else b""


def size_of(note: bytes) -> int:
    """The size that a note states; -1 where it is torn, or none."""
    lines = note.split(b"\n", 2)
    return int(lines[1]) if len(lines) == 3 and note.endswith(b"\n") and lines[1].isdigit() else -1
