"""Reading a log, or an export of one, without its key and without a lock: also while a server writes to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import NotFound, VerificationFailed
from isthmus.governance.audit.checkpoint import Checkpoint, Verifier
from isthmus.governance.audit.keys import VKEY
from isthmus.governance.audit.layout import WIDTH, bundle_path, unpack

CHECKPOINT = "checkpoint"
#: The log in use writes its checkpoints to these by turns, in place: a torn one leaves the one before it.
SLOTS = (CHECKPOINT, "checkpoint.alternate")
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint and the note that it came in."""

    checkpoint: Checkpoint
    note: str


def read_checkpoint(folder: Path, verifier: Verifier) -> Signed | None:
    """The folder's newest checkpoint, or ``None`` where there is none yet. Raises :class:`VerificationFailed`."""
    for tried in range(_TRIES):
        notes = [note for slot in SLOTS if (note := _read(folder / slot))]
        try:
            return _newest(notes, verifier)
        except VerificationFailed:
            if tried == _TRIES - 1:
                raise
            time.sleep(0.002)  # it may just be written
    return None


def _newest(notes: list[bytes], verifier: Verifier) -> Signed | None:
    found, failed = list[Signed](), None
    for note in notes:
        try:
            found.append(Signed(verifier.open(note), note.decode()))
        except VerificationFailed as error:
            failed = error
    if failed is not None and not found:
        raise failed
    return max(found, key=lambda signed: signed.checkpoint.size, default=None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


class Reader:
    """The log in ``folder``. ``verifier`` is the folder's own key unless a trusted one is given."""

    def __init__(self, folder: Path, verifier: Verifier | None = None) -> None:
        """Raises :class:`NotFound` where there is no log."""
        self.folder = folder
        try:
            self.verifier = verifier or Verifier.parse((folder / VKEY).read_text(encoding="utf8"))
        except OSError as error:
            raise NotFound(f"There is no audit log in {folder}.", hint="The first request makes it.") from error

    def checkpoint(self) -> Signed:
        """The newest checkpoint. Raises :class:`NotFound` before the first flush."""
        signed = read_checkpoint(self.folder, self.verifier)
        if signed is None:
            raise NotFound(f"The audit log in {self.folder} has no checkpoint yet.")
        return signed

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Every complete entry from ``start`` on with its index; a record that is just being written is not."""
        index = start - start % WIDTH
        while (data := self._bundle(index // WIDTH)) is not None:
            entries, _ = unpack(data)
            for offset, entry in enumerate(entries):
                if index + offset >= start:
                    yield index + offset, entry
            if len(entries) < WIDTH:
                return
            index += WIDTH

    def _bundle(self, n: int) -> bytes | None:
        whole = bundle_path(self.folder, n)
        partial = bundle_path(self.folder, n, 1).parent
        widths = sorted(partial.iterdir(), key=lambda path: int(path.name), reverse=True) if partial.is_dir() else []
        for path in (whole, *widths):
            if path.is_file():
                return path.read_bytes()
        return None
