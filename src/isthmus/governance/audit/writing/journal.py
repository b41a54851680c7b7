"""A sequencer over a folder: entries in, checkpoints out. Any number of processes on one host may share the folder.

Whoever writes has a *turn*: it takes the lock, reads what others wrote meanwhile, writes, lets go. To sync takes no
lock, so others write meanwhile and one sync serves them all. The crash model: what was written survives the death of
the process; what was flushed survives a power loss; a checkpoint covers nothing that was not flushed. After any error
the state is forgotten and the next turn reads the files again, so the log comes back by itself once the disk does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from isthmus.errors import AuditUnavailable, VerificationFailed
from isthmus.governance.audit.files import Files, make_folders
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.reading.reader import read_checkpoint
from isthmus.governance.audit.tree.layout import WIDTH
from isthmus.governance.audit.tree.storage import VKEY, Folder
from isthmus.governance.audit.writing.keys import must_be_new, open_signer
from isthmus.governance.audit.writing.lock import Lock
from isthmus.governance.audit.writing.sequencer import Result, View, encode_all, must_cover
from isthmus.governance.audit.writing.slots import Slots
from isthmus.governance.audit.writing.tail import Tail, open_tail

#: How long an event loop may wait for the other thread where that holds the state for microseconds.
_MOMENT_S = 0.001


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log lives: its folder, its signing key's file, and its name (``None``: the one it has, or a new one)."""

    folder: Path
    key: Path
    origin: str | None = None


class Journal:
    """A :class:`.sequencer.Sequencer`. ``now`` gives aware datetimes; ``files`` is the disk."""

    def __init__(self, place: Place, now: Callable[[], datetime], files: Files) -> None:
        self._place, self._now, self._files = place, now, files
        self._mutex, self._lock, self._turning = threading.RLock(), Lock(place.folder), False
        self._slow = False
        self._slots = Slots(place.folder, files)
        self._signer: Signer | None = None
        self._stamp: tuple[int, int] | None = None
        self._tail: Tail | None = None
        self.view: View | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The right to write, for this thread of this process alone. Within a turn, another one is the same one.

        Raises :class:`AuditUnavailable` where files fail or do not add up.
        """
        with self._mutex, self._forgetting():
            if self._turning:
                yield
                return
            if self._tail is None and not self._place.folder.is_dir():
                must_be_new(self._place.folder, self._place.key)
                make_folders(self._files, self._place.folder)
            try:
                self._slow = True  # others may hold the lock, or have written much
                self._lock.wait()
                self._turning = True
                self._catch_up()
                self._slow = False
                yield
            finally:
                self._turning = self._slow = False
                self._lock.release()

    def write_now(self, event: Mapping[str, object]) -> Result | None:
        """One pwrite(2), where nobody else is writing, little was written by others, and the bundle has room; else
        ``None``."""
        if self._slow or not (self._mutex.acquire(blocking=False) or self._mutex.acquire(timeout=_MOMENT_S)):
            return None
        try:
            if self._tail is None or not self._tail.roomy or not self._tail.near() or not self._lock.take():
                return None
            try:
                return self.write([event])[0] if not self._tail.read_on() and self._tail.roomy else None
            finally:
                self._lock.release()
        except BaseException as error:
            self._lose(error)
            raise
        finally:
            self._mutex.release()

    def commit(self, events: Sequence[Mapping[str, object]], *, flush: bool) -> list[Result]:
        """For each event its index, or why it cannot be recorded; with ``flush``, all on disk and signed for."""
        results = list[Result]()
        if events:
            with self.turn():
                self._slow = True  # a bundle may fill, which takes syncs
                results = self.write(events)
        if flush:
            self.flush()
        return results

    def write(self, events: Sequence[Mapping[str, object]]) -> list[Result]:
        """For each event its index, or why it cannot be recorded. Only within a turn; raises :class:`OSError`."""
        tail = self._open()
        results, entries = encode_all(events, tail.size, self._now)
        while entries:
            room = WIDTH - tail.size % WIDTH
            tail.put(entries[:room])
            entries = entries[room:]
        return results

    def flush(self) -> None:
        """Put on disk what was written, and sign for it."""
        # (1) what is to be covered
        with self.turn():
            tail, signer = self._open(), self._current()
            size, tree = tail.size, tail.tree
            if self.view is not None and self.view.tree is tree and self.view.checkpoint.size == size:
                return
            checkpoint = Checkpoint(signer.verifier.name, size, tree.root())
            file = tail.duplicate()
        # (2) on disk, while others write
        if file is not None:
            self._sync(file)
        # (3) signed, and published
        note = signer.sign(checkpoint)
        with self.turn():
            if self._tail is tail:
                tail.keep_hashes()
            self._slots.keep(size, note.encode())
            self.view = View(checkpoint, note, tree)

    def close(self) -> None:
        """Let go of the files; the next turn opens them again."""
        with self._mutex:
            self._forget()

    def _open(self) -> Tail:
        if self._tail is None:
            raise AuditUnavailable("The log is not open.")
        return self._tail

    def _current(self) -> Signer:
        """The signer, opened again where the log's key has changed meanwhile."""
        stamp = _stamp(self._place.folder / VKEY)
        if self._signer is None or (stamp is not None and stamp != self._stamp):
            self._signer = open_signer(self._place.folder, self._place.key, self._place.origin, self._files)
            self._stamp = _stamp(self._place.folder / VKEY)
        return self._signer

    def _sync(self, file: int) -> None:
        with self._forgetting():
            try:
                self._files.sync(file)
            finally:
                os.close(file)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._lose(error)
            raise

    def _lose(self, error: BaseException) -> None:
        """After any error nothing that was known of the files is relied on; those who wait are told why."""
        self.close()
        if isinstance(error, VerificationFailed):
            raise AuditUnavailable(error.message, hint=error.hint, details=error.details) from error
        if isinstance(error, OSError):
            raise AuditUnavailable(f"The audit log cannot be written: {error.strerror or error}.") from error

    def _forget(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        self._slots.close()
        self._lock.close()

    def _catch_up(self) -> None:
        if self._tail is None or self._tail.read_on():  # torn: what is known is checked again before it is cut
            self._load()

    def _load(self) -> None:
        """Read the files: numbered as they are checked."""
        folder = self._place.folder
        if self._tail is not None:
            self._tail.close()
        # (1) the key, and the checkpoint that it signed last
        held = read_checkpoint(Folder(folder), self._current().verifier)
        size = held.checkpoint.size if held else 0
        # (2) the entries at the end; those before it are in full tiles
        self._tail = tail = open_tail(folder, self._files, size // WIDTH)
        torn = tail.read_on()
        # (3) nothing that was signed for may be missing or different
        for signed in (held, self.view):
            if signed is not None:
                must_cover(tail.tree, signed.checkpoint)
        # (4) what was never signed for may be in the page cache only, after a failed sync even without the kernel
        #     knowing (https://wiki.postgresql.org/wiki/Fsync_Errors): write it again
        tail.rewrite(size)
        if held:
            self.view = View(held.checkpoint, held.note, tail.tree)
        if torn:
            self._repair(torn, tail)

    def _repair(self, torn: int, tail: Tail) -> None:
        """Cut off a record whose writer died in the middle of it, and say so."""
        tail.cut()
        self.write([{"type": "log.repaired", "index": tail.size, "bytes": torn}])


def _stamp(path: Path) -> tuple[int, int] | None:
    """Changes when the file is replaced."""
    with suppress(FileNotFoundError):
        facts = path.stat()
        return facts.st_ino, facts.st_mtime_ns
    return None
