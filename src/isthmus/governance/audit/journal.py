"""The log's files in one process: entries in, checkpoints out. One thread uses it; other processes may share the log.

Everything happens in a *turn*: take the lock, read what others wrote meanwhile, write, sync, sign, let go. The crash
model: what was written survives the death of the process; what was flushed survives a power loss; a checkpoint covers
nothing that was not flushed. After any error the state is forgotten and the next turn reads the files again, so the
log comes back by itself once the disk does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from isthmus.errors import AuditUnavailable, IsthmusError, VerificationFailed
from isthmus.governance.audit import merkle
from isthmus.governance.audit.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.entries import encode
from isthmus.governance.audit.files import Files, make_folders, replace, write_all
from isthmus.governance.audit.keys import open_signer
from isthmus.governance.audit.layout import WIDTH
from isthmus.governance.audit.lock import Lock
from isthmus.governance.audit.reader import read_checkpoint
from isthmus.governance.audit.storage import SLOTS, Folder
from isthmus.governance.audit.tail import Tail, open_tail
from isthmus.governance.audit.tree import Tree


@dataclass(frozen=True, slots=True)
class View:
    """A checkpoint, its signed note, and a tree that covers it: what receipts are made from, in any thread."""

    checkpoint: Checkpoint
    note: str
    tree: Tree


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log lives: its folder, its signing key's file, and its name (``None``: the one it has, or a new one)."""

    folder: Path
    key: Path
    origin: str | None = None


class Journal:
    """``now`` gives aware datetimes; ``files`` is the disk."""

    def __init__(self, place: Place, now: Callable[[], datetime], files: Files) -> None:
        self._place, self._now, self._files = place, now, files
        self._lock = Lock(place.folder / "lock")
        self._signer: Signer | None = None
        self._tail: Tail | None = None
        self._slot, self._slots = 0, dict[int, int]()
        self.view: View | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The right to write. Raises :class:`AuditUnavailable` where files fail or do not add up."""
        try:
            if self._tail is None:
                make_folders(self._files, self._place.folder)
            with self._lock.held():
                self._catch_up()
                yield
        except VerificationFailed as error:
            self._forget()
            raise AuditUnavailable(error.message, hint=error.hint, details=error.details) from error
        except OSError as error:
            self._forget()
            raise AuditUnavailable(f"The audit log cannot be written: {error.strerror or error}.") from error
        except BaseException:
            self._forget()
            raise

    def write(self, events: Sequence[Mapping[str, object]]) -> list[int | IsthmusError]:
        """For each event its index, or why it cannot be recorded. Only within a turn; raises :class:`OSError`."""
        tail = self._open()
        results: list[int | IsthmusError] = []
        group: list[bytes] = []
        for event in events:
            index = tail.size + len(group)
            try:
                group.append(encode(event, index, self._now()))
            except AuditUnavailable as error:
                results.append(error)
                continue
            results.append(index)
            if (index + 1) % WIDTH == 0:
                tail.put(group)
                group = []
        if group:
            tail.put(group)
        return results

    def flush(self) -> None:
        """Put what was written on disk, then sign for it. Only within a turn; raises :class:`OSError`."""
        tail = self._open()
        if self._signer is None:
            raise AuditUnavailable("The log is not open.")
        if self.view is not None and self.view.tree is tail.tree and self.view.checkpoint.size == tail.size:
            return
        tail.sync()
        checkpoint = Checkpoint(self._signer.verifier.name, tail.size, tail.tree.root())
        note = self._signer.sign(checkpoint)
        self._keep(note)
        self.view = View(checkpoint, note, tail.tree)

    def record(self, event: Mapping[str, object]) -> int:
        """One event in a turn of its own, on disk: for commands. Its index; raises :class:`AuditUnavailable`."""
        with self.turn():
            (result,) = self.write([event])
            if isinstance(result, IsthmusError):
                raise result
            self.flush()
        return result

    def close(self) -> None:
        """Let go of the files; the next turn opens them again."""
        self._forget()
        self._lock.close()

    def _open(self) -> Tail:
        if self._tail is None:
            raise AuditUnavailable("The log is not open.")
        return self._tail

    def _forget(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        while self._slots:
            with suppress(OSError):
                self._files.close(self._slots.popitem()[1])

    def _catch_up(self) -> None:
        if self._tail is None:
            self._load()
        elif torn := self._tail.read_on():
            self._repair(torn, self._tail)

    def _load(self) -> None:
        """Read the files: numbered as they are checked."""
        folder = self._place.folder
        # (1) the key, and the checkpoint that it signed last
        if self._signer is None:
            self._signer = open_signer(folder, self._place.key, self._place.origin, self._files)
        held = read_checkpoint(Folder(folder), self._signer.verifier)
        size = held.checkpoint.size if held else 0
        # (2) the entries at the end; those before it are in full tiles
        self._tail = tail = open_tail(folder, self._files, size // WIDTH)
        torn = tail.read_on()
        # (3) nothing that was signed for may be missing or different
        for signed in (held, self.view):
            if signed is not None:
                _must_cover(tail.tree, signed.checkpoint)
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

    def _keep(self, note: str) -> None:
        """In place, by turns, in two files: a rename would make each following sync several times slower. A note is
        never shorter than the one before, as a log keeps its name and only grows."""
        slot, self._slot = self._slot, 1 - self._slot
        if slot not in self._slots:
            path = self._place.folder / SLOTS[slot]
            if not path.exists():
                return replace(self._files, path, note.encode())
            self._slots[slot] = self._files.open(path, os.O_WRONLY)
        return write_all(self._files, self._slots[slot], note.encode())


def _must_cover(tree: Tree, checkpoint: Checkpoint) -> None:
    if tree.size < checkpoint.size:
        raise VerificationFailed(
            f"Entry {tree.size} is missing: a signed checkpoint covers {checkpoint.size} entries.",
            details={"index": tree.size},
        )
    if merkle.root(checkpoint.size, tree.node) != checkpoint.root:
        raise VerificationFailed(
            f"An entry before {checkpoint.size} was changed: the entries do not lead to the signed root.",
            hint="Run `isthmus audit verify`: it names the entry.",
        )
