"""Key rotation: the old key signs the new.

A rotation is a checkpoint with one line more, signed by both keys::

    ORIGIN\\n
    SIZE\\n
    ROOT\\n
    isthmus.rotation/v1 OLD-VKEY NEW-VKEY\\n

It says: the old key signed nothing of more than SIZE entries, and the new key goes on from there. So whoever holds
either key can check what the other signed. Being a checkpoint, it goes to witnesses like any other. Rotations are kept
beside the log as ``rotation/1``, ``rotation/2``, …; one counts once the log's ``vkey`` is its new key, or a later one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Retired, Signer, Verifier
from isthmus.governance.audit.notes.note import Note

_LINE = "isthmus.rotation/v1"
_ANOTHER = "Give the key that you kept of this log. If this should be that log, another lies in its place."
_REPLACED = "If you kept this key as this log's, the log or its key was replaced: keep the files, ask who changed it."


@dataclass(frozen=True, slots=True)
class Rotation:
    """``checkpoint`` is what both keys signed for: the last that the old one did."""

    checkpoint: Checkpoint
    old: Verifier
    new: Verifier

    @classmethod
    def open(cls, note: str | bytes) -> Rotation:
        """The rotation in a note, once both signatures hold. Raises :class:`VerificationFailed`.

        That two keys agree says nothing yet: one of them must be trusted (:func:`trusted`).
        """
        # (1) a checkpoint with exactly one extension line, which names two keys of this log
        taken = Note.parse(note)
        rotation = cls._read(Checkpoint.parse(taken.body))
        # (2) signed by both
        rotation.old.verify(taken)
        rotation.new.verify(taken)
        return rotation

    @classmethod
    def _read(cls, checkpoint: Checkpoint) -> Rotation:
        words = checkpoint.extensions[0].split(" ") if len(checkpoint.extensions) == 1 else []
        if len(words) != 3 or words[0] != _LINE:
            raise VerificationFailed("The note is not a rotation of a log's key.")
        old, new = Verifier.parse(words[1]), Verifier.parse(words[2])
        if not old.name == new.name == checkpoint.origin:
            raise VerificationFailed("The rotation names keys of another log.")
        if old == new:
            raise VerificationFailed("The rotation names one key twice.")
        return cls(checkpoint, old, new)


def sign(checkpoint: Checkpoint, old: Signer, new: Signer) -> str:
    """The rotation from one key to the other at a checkpoint, as a note."""
    line = f"{_LINE} {old.verifier.vkey} {new.verifier.vkey}"
    extended = Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root, (line,))
    return str(Note(extended.body, (old.signature(extended), new.signature(extended))))


def is_rotation(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint's extension says that it is a rotation; :meth:`Rotation.open` says whether it holds."""
    return any(line.startswith(f"{_LINE} ") for line in checkpoint.extensions)


def trusted(verifier: Verifier, notes: Iterable[str | bytes], now: Verifier | None = None) -> Verifier:
    """The log's present key, with the retired ones, for somebody who trusts ``verifier``, which may be any of them.

    ``notes`` are the log's rotations in order; ``now`` is the key that the log itself states: what leads beyond it was
    begun and never finished. Raises :class:`VerificationFailed` where they are not one chain that holds both.
    """
    chain = _chain(notes, now)
    keys = [chain[0].old, *(rotation.new for rotation in chain)] if chain else [now or verifier]
    if now is not None and now.name != verifier.name:
        raise VerificationFailed(f"That key is of {verifier.name}, and this log is {now.name}.", hint=_ANOTHER)
    for known in (verifier, now or verifier):
        if _bare(known) not in keys:
            raise VerificationFailed(f"No rotation of the log's key leads from or to {known.vkey}.", hint=_REPLACED)
    retired = tuple(Retired(rotation.old.key, rotation.checkpoint.size) for rotation in reversed(chain))
    return Verifier(verifier.name, keys[-1].key, retired)


def _chain(notes: Iterable[str | bytes], now: Verifier | None) -> list[Rotation]:
    """The rotations up to the one that ``now`` took over with, each beginning where the one before ended."""
    chain: list[Rotation] = []
    for number, note in enumerate(notes, 1):
        rotation = Rotation.open(note)
        if now is not None and rotation.old == _bare(now):
            break
        if chain and (rotation.old != chain[-1].new or rotation.checkpoint.size < chain[-1].checkpoint.size):
            raise VerificationFailed(f"Rotation {number} of the log's key does not follow from the one before.")
        chain.append(rotation)
    return chain


def _bare(verifier: Verifier) -> Verifier:
    return Verifier(verifier.name, verifier.key)
