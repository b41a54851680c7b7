"""The newest checkpoint that witnesses cosigned, kept beside the log: a note with the log's signature and theirs."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace as changed
from pathlib import Path

from isthmus.errors import NotFound
from isthmus.governance.audit.files import Files, make_folders, replace, sync_folder
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.notes.note import Note
from isthmus.governance.audit.writing.lock import Lock

WITNESSED = "witnessed"


class Witnessed:
    """The file in a log's folder, or in an export. Its methods raise :class:`OSError`."""

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        self._folder, self._files = folder, files or Files()

    @property
    def kept(self) -> bool:
        """Whether any witness ever cosigned."""
        return (self._folder / WITNESSED).exists()

    def note(self) -> str:
        """The note as it is kept. Raises :class:`NotFound` where no witness ever cosigned."""
        try:
            return (self._folder / WITNESSED).read_bytes().decode("utf8", "replace")
        except FileNotFoundError:
            raise NotFound(
                "No witness has cosigned this log yet.", hint="Name one in isthmus.yaml, under audit.witnesses."
            ) from None

    def keep(self, note: Note) -> None:
        """Durable on return. Of two of one size the cosignatures are put together; an older one changes nothing, and
        one of another log gives way. Raises :class:`AuditUnavailable` where another process holds the folder."""
        make_folders(self._files, self._folder.absolute())
        with closing(Lock(self._folder)) as lock:  # each process that serves the log keeps what it was given
            lock.wait()
            kept = self._joined(note)
            if kept is not None:
                replace(self._files, self._folder / WITNESSED, str(kept).encode())
                sync_folder(self._files, self._folder)

    def _joined(self, note: Note) -> Note | None:
        """What is to be kept once the note is there; ``None``: what is."""
        held = Note.parse(self.note()) if self.kept else None
        if held is None:
            return note
        if held.body == note.body:
            return _together(held, note)
        before, now = Checkpoint.parse(held.body), Checkpoint.parse(note.body)
        return None if before.origin == now.origin and before.size > now.size else note


def _together(held: Note, note: Note) -> Note:
    """The newer of each key's signatures."""
    new = {(one.name, one.id) for one in note.signatures}
    kept = (one for one in held.signatures if (one.name, one.id) not in new)
    return changed(note, signatures=(*note.signatures, *kept))
