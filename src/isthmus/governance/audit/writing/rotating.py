"""Giving a log in a folder a new key: numbered as it is done, so that a death in between leaves a log that works."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.errors import AuditUnavailable, IsthmusError
from isthmus.governance.audit.files import Files, make_folders, replace, sync_folder
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.notes.rotation import sign
from isthmus.governance.audit.tree.storage import ROTATION
from isthmus.governance.audit.writing.journal import Journal, Place
from isthmus.governance.audit.writing.keys import coming, finish_rotation, make_key, open_signer, publish
from isthmus.governance.audit.writing.slots import Slots
from isthmus.seams import Event


@dataclass(frozen=True, slots=True)
class Rotated:
    """Which key took over from which, and how many entries the old one had signed for at most."""

    old: str
    new: str
    size: int


def rotate(place: Place, journal: Journal, files: Files, *, by: str, why: str) -> Rotated:
    """Let a new key take over the log's name, signed for by the old one, which is destroyed.

    All of it is one turn, so no other process signs meanwhile. A death before step (4) leaves the old key in force,
    and an entry of a rotation that was begun; after it, whoever opens the log next finishes. Raises
    :class:`AuditUnavailable`.
    """
    with journal.turn():
        # (1) the new key, on disk before anything speaks of it
        old = open_signer(place.folder, place.key, place.origin, files)
        new = Signer(old.verifier.name, make_key(coming(place.key), files))
        # (2) the entry that says so, which is the last that the old key signs for
        facts = {"old": old.verifier.vkey, "new": new.verifier.vkey, "by": by, "why": why}
        checkpoint = _recorded(journal, {"type": "log.key_rotated", **facts})
        # (3) the rotation, signed by both keys; it does not count yet
        _keep(place, len(old.verifier.retired) + 1, sign(checkpoint, old, new), files)
        # (4) from here on it does: a rename, so there is nothing in between
        publish(place.folder, new.verifier, files)
        # (5) the newest checkpoint once more, by the new key, in both places
        Slots(place.folder, files).replace_all(new.sign(checkpoint).encode())
        # (6) the old private key ceases to be
        finish_rotation(place.key, new.verifier, files)
    return Rotated(old.verifier.vkey, new.verifier.vkey, checkpoint.size)


def _recorded(journal: Journal, event: Event) -> Checkpoint:
    """The checkpoint that covers the event, which nothing follows while the turn lasts."""
    (written,) = journal.write([event])
    if isinstance(written, IsthmusError):
        raise written
    journal.flush()
    if journal.view is None:
        raise AuditUnavailable("The log has no checkpoint.")
    return journal.view.checkpoint


def _keep(place: Place, number: int, note: str, files: Files) -> None:
    folder = place.folder / ROTATION
    make_folders(files, folder)
    replace(files, folder / str(number), note.encode())
    sync_folder(files, folder)
