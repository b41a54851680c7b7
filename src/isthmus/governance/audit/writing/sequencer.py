"""What the log stands on: something that gives every entry its place, for one process or for many.

A sequencer is shared by the event loop's thread (``write_now``) and the log's own (the rest); its methods may be called
from both. Any number of processes may have one over the same log: whoever writes first catches up with the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from isthmus.errors import IsthmusError
from isthmus.governance.audit.notes.checkpoint import Checkpoint
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
