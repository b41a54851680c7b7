"""Whose log it is: each replica has the same signing key in a file, the database states the public one."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.files import Files, sync_folder
from isthmus.governance.audit.notes.checkpoint import Signer, Verifier
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.keys import finish_rotation, known_key, load_key, make_key, signer_of


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log lives: its database (a connection string), its signing key's file, a folder of this replica's own in
    which it remembers the newest checkpoints, and the log's name (``None``: the one it has, or a new one)."""

    dsn: str
    key: Path
    memory: Path
    origin: str | None = None


def first_signer(place: Place) -> Signer:
    """The signer of a log that begins, whose key still waits beside its place: it gets its name once there is a log.

    Raises :class:`AuditUnavailable` where this replica knows of a log: an empty database in that one's place would
    begin a second one under the same key.
    """
    if Folder(place.memory).notes() or place.key.exists():
        raise AuditUnavailable(
            f"The log that {place.key} signs for is not in the database.",
            hint="Correct audit.database, or restore the database. To begin another log, see docs/audit-postgres.md.",
        )
    path = first(place.key)
    key = load_key(path) if path.exists() else make_key(path, Files())
    return Signer(place.origin or f"isthmus.local/{secrets.token_hex(4)}", key)


def first(path: Path) -> Path:
    """Where a key waits with which a log may begin: made there, or put there on every replica by their operator."""
    return path.with_name(f"{path.name}.first")


def settle(path: Path, known: Verifier) -> None:
    """Put a waiting key in its place, if it is the log's by now: the one that began it, or that takes over."""
    if not path.exists() and first(path).exists() and load_key(first(path)).public_key() == known.key:
        files = Files()
        files.rename(first(path), path)
        sync_folder(files, path.parent)
    finish_rotation(path, known, Files())


def known_signer(place: Place, vkey: str, rotations: Iterable[bytes]) -> Signer:
    """The signer of the log that states ``vkey``, and had the ``rotations``. Raises :class:`AuditUnavailable` where
    this replica's key is another."""
    known = known_key(Verifier.parse(vkey), rotations, place.origin)
    settle(place.key, known)
    if not place.key.exists():
        raise AuditUnavailable(f"This replica has no signing key for the log {known.name!r}.", hint=_copy(place))
    return signer_of(known, place.key, _copy(place))


def _copy(place: Place) -> str:
    return f"Copy the key from the replica that began the log, or from its backup, to {place.key} (mode 600)."
