"""A witness: C2SP tlog-witness (https://c2sp.org/tlog-witness), without its HTTP.

It cosigns a log's checkpoint once it has checked that the tree it cosigned before is its beginning. What it is about to
cosign is on its disk before the cosignature exists, under one lock: it never cosigns two trees of which one is not the
beginning of the other, also when it is killed, also when two requests come at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Verifier
from isthmus.governance.audit.notes.cosignature import Cosigner
from isthmus.governance.audit.notes.rotation import Rotation, is_rotation, trusted
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.witness.state import Seen, WitnessState
from isthmus.governance.audit.witness.submission import SIZE, Submission


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status, a body, and the body's media type."""

    status: int
    body: str
    kind: str = "text/plain; charset=utf-8"


class Witness:
    """A witness of the logs whose keys it is given. ``now`` gives aware datetimes. Safe to use from several threads.

    A key stands for those that rotations lead to: the log submits its rotations like any checkpoint, and they are kept.
    Several keys of one log may be given. One that no rotation links counts alone: so an operator says which key he
    means, whatever was submitted.
    """

    def __init__(
        self, cosigner: Cosigner, logs: Iterable[Verifier], state: WitnessState, now: Callable[[], datetime]
    ) -> None:
        self._cosigner, self._state, self._now = cosigner, state, now
        self._logs: dict[str, list[Verifier]] = {}
        for log in logs:
            self._logs.setdefault(log.name, []).append(log)
        self._lock = threading.Lock()

    @property
    def vkey(self) -> str:
        return self._cosigner.verifier.vkey

    def add_checkpoint(self, body: bytes) -> Answer:
        """The answer to ``POST /add-checkpoint``.

        Raises :class:`OSError` and :class:`isthmus.errors.AuditUnavailable` where the state cannot be read or written:
        then nothing was cosigned.
        """
        try:
            asked = Submission.parse(body)
        except VerificationFailed as error:
            return Answer(400, f"{error.message}\n")
        if asked.checkpoint.origin not in self._logs:
            return Answer(404, "This witness does not know the log.\n")
        with self._lock:
            return self._add(asked, asked.checkpoint.origin)

    def _add(self, asked: Submission, origin: str) -> Answer:
        """Numbered in the specification's order; alone under the lock."""
        seen = self._state.of(origin)
        size, root = asked.checkpoint.size, asked.checkpoint.root
        # (1) a key that is trusted for the log signed
        try:
            by = self._signed_by(asked, seen)
            rotations = _rotations(asked, seen, by)
        except VerificationFailed as error:
            return Answer(403, f"{error.message}\n")
        # (2) it goes on from what was cosigned last
        if asked.old > size:
            return Answer(400, "The old size is larger than the checkpoint's.\n")
        contradicts = size == seen.size and root != seen.root
        if contradicts and seen.note:
            self._state.keep_evidence(origin, seen, str(asked.note))
        if contradicts or asked.old != seen.size:
            return Answer(409, f"{seen.size}\n", SIZE)
        if not merkle.consistent(seen.size, seen.root, size, root, asked.proof):
            return Answer(422, "The proof does not lead from the tree that was cosigned last to this one.\n")
        # (3) on disk first, then cosigned
        self._state.put(origin, Seen(size, root, str(asked.note), rotations))
        return Answer(200, self._cosigner.cosign(asked.note.body, int(self._now().timestamp())).line)

    def _signed_by(self, asked: Submission, seen: Seen) -> Verifier:
        """The key that signed. Raises :class:`VerificationFailed` unless one that is trusted, as far as it is, did."""
        failed = VerificationFailed("No key is trusted for this log.")
        for given in self._logs[asked.checkpoint.origin]:
            verifier = _following(given, seen.rotations)
            try:
                last = verifier.verify(asked.note)
            except VerificationFailed as error:
                failed = error
                continue
            if last is None or asked.checkpoint.size <= last:
                return verifier
            failed = VerificationFailed(f"The key that signed was retired at {last} entries.")
        raise failed


def _following(given: Verifier, rotations: tuple[str, ...]) -> Verifier:
    """The key with those that rotations link to it."""
    try:
        return trusted(given, rotations)
    except VerificationFailed:  # they are about another key
        return given


def _rotations(asked: Submission, seen: Seen, by: Verifier) -> tuple[str, ...]:
    """The log's rotations once this is accepted. A chain that another key leads on from is not that key's."""
    if not is_rotation(asked.checkpoint):
        return seen.rotations
    note, rotation = str(asked.note), Rotation.open(str(asked.note))
    if rotation.old.key != by.key:  # submitted again, or by a key that is retired
        return seen.rotations
    goes_on = bool(seen.rotations) and Rotation.open(seen.rotations[-1]).new == rotation.old
    return (*seen.rotations, note) if goes_on else (note,)
