"""What a witness keeps: its key, and for each log the newest checkpoint that it cosigned. A folder, of one process.

::

    key             Ed25519, PKCS #8 in PEM, mode 600
    vkey            its public form
    logs.json       for each log, by its origin: the note cosigned last, and the rotations of its key
    evidence/…      two notes that a log signed and that contradict each other

Whoever loses ``logs.json`` and keeps ``key`` could cosign a second tree: a witness whose state is lost begins anew,
with a new key, in an empty folder. So all logs are in one file, made before the key, and one without the other is
refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import AuditUnavailable, ConfigInvalid, VerificationFailed
from isthmus.governance.audit.files import Files, make_folders, replace, sync_folder
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.notes.cosignature import CosignatureVerifier, Cosigner
from isthmus.governance.audit.notes.note import Note
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.writing.keys import load_key, make_key


@dataclass(frozen=True, slots=True)
class Seen:
    """A log as a witness saw it last; ``note`` is empty where it never cosigned one."""

    size: int = 0
    root: bytes = merkle.EMPTY
    note: str = ""
    rotations: tuple[str, ...] = ()

    @classmethod
    def of(cls, note: str, rotations: tuple[str, ...]) -> Seen:
        checkpoint = Checkpoint.parse(Note.parse(note).body)
        return cls(checkpoint.size, checkpoint.root, note, rotations)


class WitnessState:
    """The folder, held by this process until :meth:`close`. Its methods raise :class:`OSError` where files fail."""

    def __init__(self, folder: Path, files: Files) -> None:
        """Raises :class:`ConfigInvalid` where another process holds it."""
        self._folder, self._files = folder, files
        make_folders(files, folder.absolute())
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise ConfigInvalid(
                f"Another witness works in {folder}.", hint="Give each its own --state; one witness serves many logs."
            ) from None

    def close(self) -> None:
        os.close(self._lock)

    def cosigner(self, name: str | None = None) -> Cosigner:
        """The witness's key, made at first use under ``name`` (``None``: the one it has, or a new one).

        Raises :class:`ConfigInvalid` where the folder belongs to a witness of another name, or is only half there.
        """
        vkey = self._folder / "vkey"
        if not vkey.exists():
            return self._begin(name)
        known = CosignatureVerifier.parse(vkey.read_text(encoding="utf8"))
        if name not in (None, known.name):
            raise ConfigInvalid(f"This witness is called {known.name!r}, not {name!r}.", hint="Leave --name out.")
        own = Cosigner(known.name, load_key(self._folder / "key"))
        if own.verifier != known or not self._logs.exists():
            raise self._not_whole()
        return own

    def _begin(self, name: str | None) -> Cosigner:
        """A new witness; one whose beginning died is begun again, unless it cosigned already."""
        if self._logs.exists() and self._read():
            raise self._not_whole()
        name = name or f"isthmus.local/witness-{secrets.token_hex(4)}"
        self._write({})
        own = Cosigner(name, make_key(self._folder / "key", self._files))
        replace(self._files, self._folder / "vkey", f"{own.verifier.vkey}\n".encode())
        sync_folder(self._files, self._folder)
        return own

    def _not_whole(self) -> ConfigInvalid:
        return ConfigInvalid(
            f"The state in {self._folder} is not whole.", hint="Begin a new witness, in an empty folder."
        )

    def of(self, origin: str) -> Seen:
        """The log as it was seen last. Raises :class:`AuditUnavailable` where that is damaged: nothing is guessed."""
        plain = self._read().get(origin)
        if plain is None:
            return Seen()
        try:
            return Seen.of(plain["note"], tuple(plain["rotations"]))
        except (KeyError, TypeError, VerificationFailed) as error:
            raise self._damaged() from error

    def put(self, origin: str, seen: Seen) -> None:
        """Durable on return."""
        self._write({**self._read(), origin: {"note": seen.note, "rotations": seen.rotations}})

    def keep_evidence(self, origin: str, seen: Seen, note: str) -> None:
        """Two checkpoints of one size that the log signed: anybody can see from them that it is not honest. The first
        pair of each size is kept."""
        path = self._folder / "evidence" / f"{_hash(origin)}-{seen.size}"
        if not path.exists():
            make_folders(self._files, path.parent.absolute())
            replace(self._files, path, f"{seen.note}\n{note}".encode())

    @property
    def _logs(self) -> Path:
        return self._folder / "logs.json"

    def _read(self) -> dict[str, Any]:
        try:
            plain = json.loads(self._logs.read_bytes())
        except (FileNotFoundError, ValueError) as error:
            raise self._damaged() from error
        if not isinstance(plain, dict):
            raise self._damaged()
        return plain

    def _write(self, plain: Mapping[str, object]) -> None:
        replace(self._files, self._logs, json.dumps(plain, ensure_ascii=False).encode())
        sync_folder(self._files, self._folder)

    def _damaged(self) -> AuditUnavailable:
        return AuditUnavailable("The witness's state is damaged.", hint="Begin a new witness, in an empty folder.")


def _hash(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()
