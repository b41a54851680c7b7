"""What a process knows of the log between two turns, and how it comes to know it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from isthmus.governance.audit.notes.checkpoint import Signer
from isthmus.governance.audit.postgres import statements as say
from isthmus.governance.audit.postgres.failures import WENT_BACK, misplaced
from isthmus.governance.audit.postgres.identity import Place, first_signer, known_signer
from isthmus.governance.audit.postgres.pending import Pending
from isthmus.governance.audit.postgres.session import Call, Row, Session
from isthmus.governance.audit.reading.reader import Signed, read_checkpoint
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.entries import decode
from isthmus.governance.audit.tree.layout import WIDTH
from isthmus.governance.audit.tree.storage import Folder, Tiles
from isthmus.governance.audit.tree.tree import Tree
from isthmus.governance.audit.writing.sequencer import View, must_cover


@dataclass(slots=True)
class State:
    """``tip`` is the last leaf's hash: the database must still have it at the next turn. ``begun``: this turn begins
    the log."""

    signer: Signer
    tree: Tree
    pending: Pending
    begun: bool = False
    tip: bytes = field(default=b"")

    @property
    def size(self) -> int:
        return self.tree.size

    @property
    def last(self) -> int:
        """From where the next turn reads: our last entry on."""
        return max(0, self.size - 1)

    def push(self, entries: Iterable[bytes]) -> None:
        for entry in entries:
            self.tip = merkle.leaf_hash(entry)
            self.tree.push(self.tip)

    def follow(self, stated: Sequence[Row], rows: Sequence[Row]) -> bool:
        """Take in what others wrote, from our last entry on. False where all must be read again: the log has another
        key now, it went on without us for long, or our last entry is not there (behind a pooler the server may be
        another one now, which was behind). Raises :class:`VerificationFailed`."""
        same = bool(stated) and stated[0][0] == self.signer.verifier.vkey.encode()
        return same and len(rows) < say.BEHIND and self.take(rows)

    def take(self, rows: Sequence[Row]) -> bool:
        """Take in entries, of which the first is the last that we know. False where it is not."""
        if self.size:
            if not rows or say.number(rows[0][0]) != self.last or merkle.leaf_hash(rows[0][1] or b"") != self.tip:
                return False
            rows = rows[1:]
        self.push(_checked(rows, self.size))
        return True


def load(session: Session, kept: Tiles, place: Place, view: View | None) -> tuple[State, View | None]:
    """Begin a turn, and read the log: numbered as it is checked. The newest checkpoint comes too. ``kept`` is read from
    another connection, as receipts are, in any thread.

    Raises :class:`AuditUnavailable` and :class:`VerificationFailed`.
    """
    # (1) full tiles, before the turn: the log only grows, and nobody should wait while they are read
    (count,) = session.run([Call(say.SIZE)])
    pending = Pending(kept)
    tree = Tree(pending, pending.keep, say.number(count.rows[0][0]) // WIDTH)
    # (2) the turn, and the key; who comes first begins the log
    *_, stated = session.run([Call(say.BEGIN), Call(say.TURN), Call(say.STATE)])
    signer = _signer(session, stated.rows, place)
    state = State(signer, tree, pending, not stated.rows, tree.leaf(tree.size - 1) if tree.size else b"")
    # (3) the entries since
    full = True
    while full:
        (read,) = session.run([Call(say.READ, (say.bigint(state.last),))])
        full = len(read.rows) == say.BEHIND
        if not state.take(read.rows):
            raise misplaced(state.last)
    # (4) nothing that was signed for may be missing or different: what the database holds, what this process knows,
    #     and what this replica remembers from before it was started
    notes = [row[1] for row in stated.rows if row[1]]
    held = [Signed(signer.verifier.open(note), note.decode()) for note in notes]
    remembered = read_checkpoint(Folder(place.memory), signer.verifier)
    known = [*held, *([remembered] if remembered else []), *([Signed(view.checkpoint, view.note)] if view else [])]
    for signed in known:
        must_cover(state.tree, signed.checkpoint, WENT_BACK)
    newest = max(known, key=lambda signed: signed.checkpoint.size, default=None)
    return state, View(newest.checkpoint, newest.note, state.tree) if newest else None


def _signer(session: Session, stated: Sequence[Row], place: Place) -> Signer:
    if stated:
        (rotations,) = session.run([Call(say.ROTATIONS)])
        return known_signer(place, (stated[0][0] or b"").decode(), [note or b"" for (note,) in rotations.rows])
    signer = first_signer(place)
    session.run([Call(say.FOUND, (signer.verifier.vkey.encode(),))])
    return signer


def _checked(rows: Iterable[Row], begin: int) -> Iterable[bytes]:
    for index, (seq, entry) in enumerate(rows, begin):
        if say.number(seq) != index or entry is None or decode(entry, index) is None:
            raise misplaced(index)
        yield entry
