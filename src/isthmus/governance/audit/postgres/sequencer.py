"""A sequencer over PostgreSQL: the servers of any number of hosts share one log without gaps, and cannot fork it.

A turn is one transaction under an advisory lock, in two round trips: read what others wrote, then write, sign, commit.
Nothing is told before COMMIT has returned. Where its outcome is not known (the connection was lost) everyone is told
that it failed, and the entries may be there. After any error all that was known is forgotten and the next turn reads
the database again, so the log comes back by itself once the database does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import psycopg

from isthmus.errors import IsthmusError
from isthmus.governance.audit.files import Files, make_folders
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.postgres import statements as say
from isthmus.governance.audit.postgres.failures import Complaint, unavailable
from isthmus.governance.audit.postgres.identity import Place, settle
from isthmus.governance.audit.postgres.rotating import next_signer, take_over
from isthmus.governance.audit.postgres.session import Call, Session
from isthmus.governance.audit.postgres.state import State, load
from isthmus.governance.audit.postgres.storage import Rows
from isthmus.governance.audit.postgres.tables import PATIENCE_S, open_session
from isthmus.governance.audit.tree.entries import encode
from isthmus.governance.audit.writing.rotating import Rotated
from isthmus.governance.audit.writing.sequencer import Result, View, encode_all
from isthmus.governance.audit.writing.slots import Slots


class DatabaseSequencer:
    """A :class:`isthmus.governance.audit.writing.sequencer.Sequencer`."""

    def __init__(self, place: Place, now: Callable[[], datetime], patience: float = PATIENCE_S) -> None:
        """``now`` gives aware datetimes; ``patience``: seconds to wait for a turn."""
        self._place, self._now, self._patience = place, now, patience
        self._mutex = threading.Lock()
        self._rows, self._complaint = Rows(place.dsn, patience), Complaint()
        self._memory = Slots(place.memory, Files())
        self._session: Session | None = None
        self._state: State | None = None
        self.view: View | None = None

    def write_now(self, event: Mapping[str, object]) -> Result | None:
        """Never: a database is always waited for."""
        return None

    def commit(self, events: Sequence[Mapping[str, object]], *, flush: bool) -> list[Result]:
        """For each event its index, or why it cannot be recorded; with ``flush``, all on disk and signed for."""
        with self._mutex, self._forgetting():
            # (1) the turn: what others wrote is read
            session, state = self._turn()
            # (2) the entries, each in its place
            results, entries = encode_all(events, state.size, self._now)
            begin = state.size
            state.push(entries)
            # (3) the signature over all that there is now
            signed = self._signed(state) if flush else None
            # (4) committed: only then does anybody hear of it
            _commit(session, state, [*_append(begin, entries), *_sign(signed)], flush=flush)
            if state.begun:
                settle(self._place.key, state.signer.verifier)
                state.begun = False
            if signed is not None:
                self._publish(signed)
            self._complaint.over()
            return results

    def rotate(self, *, by: str, why: str) -> Rotated:
        """Let the key that lies beside the old one take over (:mod:`isthmus.governance.audit.notes.rotation`); the old
        one is destroyed, here now and on each other replica at its next turn. Raises :class:`AuditUnavailable`."""
        with self._mutex, self._forgetting():
            session, state = self._turn()
            old, new = state.signer, next_signer(self._place, state.signer)
            # (1) the entry that says so, which is the last that the old key signs for
            facts = {"old": old.verifier.vkey, "new": new.verifier.vkey, "by": by, "why": why}
            begin = state.size
            entry = encode({"type": "log.key_rotated", **facts}, begin, self._now())
            state.push([entry])
            checkpoint = Checkpoint(old.verifier.name, state.size, state.tree.root())
            # (2) all of it, or nothing
            _commit(session, state, [*_append(begin, [entry]), *take_over(checkpoint, old, new)], flush=True)
            # (3) the old private key ceases to be; where this is not reached, the next turn does it
            settle(self._place.key, new.verifier)
            self._forget()
        return Rotated(old.verifier.vkey, new.verifier.vkey, checkpoint.size)

    def close(self) -> None:
        """Let go of the connections; the next call opens them again."""
        with self._mutex:
            self._forget()

    def _connected(self) -> Session:
        if self._session is None:
            make_folders(Files(), self._place.memory)
            self._session = open_session(self._place.dsn, self._patience)
        return self._session

    def _turn(self) -> tuple[Session, State]:
        """A transaction that has the turn, and what is known in it. A connection that was lost since the last turn is
        made anew: nothing of this one was written yet."""
        for _ in range(2):
            fresh, session = self._session is None, self._connected()
            try:
                state = self._state = self._caught_up(session)
                break
            except psycopg.OperationalError:
                if fresh or not session.lost:
                    raise
                self._forget()
        return session, state

    def _caught_up(self, session: Session) -> State:
        """In a transaction that has the turn."""
        if (state := self._state) is not None:
            begin = [Call(say.BEGIN), Call(say.TURN), Call(say.STATE), Call(say.READ, (say.bigint(state.last),))]
            *_, stated, read = session.run(begin)
            if state.follow(stated.rows, read.rows):
                return state
            session.run([Call(say.ROLLBACK)])
        state, view = load(session, self._rows, self._place, self.view)
        self.view = view or self.view
        return state

    def _signed(self, state: State) -> View | None:
        """A checkpoint of all that there is; ``None`` where the newest one covers it."""
        view = self.view
        if view is not None and view.tree is state.tree and view.checkpoint.size == state.size:
            return None
        checkpoint = Checkpoint(state.signer.verifier.name, state.size, state.tree.root())
        return View(checkpoint, state.signer.sign(checkpoint), state.tree)

    def _publish(self, view: View) -> None:
        self.view = view
        self._memory.keep(view.checkpoint.size, view.note.encode())

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """After any error nothing that was known of the database is relied on."""
        try:
            yield
        except (psycopg.Error, IsthmusError, OSError) as error:
            self._forget()
            self._complaint.say(error)
            raise unavailable(error) from error
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self._state = None
        self._memory.close()
        self._rows.close()
        if self._session is not None:
            self._session.close()
            self._session = None


def _append(begin: int, entries: Sequence[bytes]) -> list[Call]:
    return [Call(say.APPEND, (say.bigint(begin), say.byteas(entries)))] if entries else []


def _sign(view: View | None) -> list[Call]:
    return [] if view is None else [Call(say.SIGN, (say.bigint(view.checkpoint.size), view.note.encode()))]


def _commit(session: Session, state: State, calls: Sequence[Call], *, flush: bool) -> None:
    tiles = dict(state.pending.tiles)
    kept = [Call(say.KEEP, (say.smallint(level), say.bigint(n), tile)) for (level, n), tile in tiles.items()]
    lazy = [] if flush else [Call(say.LAZY)]
    *_, end = session.run([*calls, *kept, *lazy, Call(say.COMMIT)])
    if end.tag != b"COMMIT":
        raise psycopg.OperationalError("The transaction was not committed.")
    for key in tiles:  # from here on the database has them
        del state.pending.tiles[key]
