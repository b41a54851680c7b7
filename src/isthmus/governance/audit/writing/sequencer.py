"""What the log stands on: something that gives every entry its place, for one process or for many.

A sequencer is shared by the event loop's thread (``write_now``) and the log's own (the rest); its methods may be called
from both. Any number of processes may have one over the same log: whoever writes first catches up with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from isthmus.errors import AuditUnavailable, IsthmusError, VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.tree.entries import encode
from isthmus.governance.audit.tree.tree import Tree

#: An entry's index, or why the event cannot be recorded.
Result: TypeAlias = int | IsthmusError


@dataclass(frozen=True, slots=True)
class View:
    """A checkpoint, its signed note, and a tree that covers it: what receipts are made from, in any thread."""

    checkpoint: Checkpoint
    note: str
    tree: Tree


class Sequencer(Protocol):
    """Every method raises :class:`isthmus.errors.AuditUnavailable` where the log cannot be written or does not add up,
    forgets what it knew, and begins anew with the next call."""

    @property
    def view(self) -> View | None:
        """The newest checkpoint that this process signed or read; ``None`` before the first."""
        ...

    def write_now(self, event: Mapping[str, object]) -> Result | None:
        """Write an event without waiting for anybody: ``None`` where that is not possible at this moment."""
        ...

    def commit(self, events: Sequence[Mapping[str, object]], *, flush: bool) -> list[Result]:
        """Write events in order. With ``flush``, everything written so far is on disk, and signed for, on return."""
        ...

    def close(self) -> None:
        """Let go of what is held open; the next call opens it again."""
        ...


def record(sequencer: Sequencer, event: Mapping[str, object]) -> int:
    """One event, on disk: for commands. Its index; raises :class:`AuditUnavailable`."""
    (result,) = sequencer.commit([event], flush=True)
    if isinstance(result, IsthmusError):
        raise result
    return result


def encode_all(
    events: Sequence[Mapping[str, object]], begin: int, now: Callable[[], datetime]
) -> tuple[list[Result], list[bytes]]:
    """For each event its result, and the entries from ``begin`` on: one that cannot be recorded takes no place."""
    results, entries = list[Result](), list[bytes]()
    for event in events:
        index = begin + len(entries)
        try:
            entries.append(encode(event, index, now()))
            results.append(index)
        except AuditUnavailable as error:
            results.append(error)
    return results, entries


def must_cover(tree: Tree, checkpoint: Checkpoint, hint: str = "") -> None:
    """Raises :class:`VerificationFailed` where entries that were signed for are missing (``hint`` is what to do then)
    or were changed."""
    if tree.size < checkpoint.size:
        raise VerificationFailed(
            f"Entry {tree.size} is missing: a signed checkpoint covers {checkpoint.size} entries.",
            hint=hint,
            details={"index": tree.size},
        )
    if tree.root(checkpoint.size) != checkpoint.root:
        raise VerificationFailed(
            f"An entry before {checkpoint.size} was changed: the entries do not lead to the signed root.",
            hint="Run `isthmus audit verify`, also with a checkpoint that you kept: it names the entry.",
        )
