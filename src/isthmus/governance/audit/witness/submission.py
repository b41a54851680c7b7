"""The body of a tlog-witness ``add-checkpoint`` request (https://c2sp.org/tlog-witness), both ways.

::

    old SIZE\\n
    HASH of the consistency proof, in base64\\n   (0 to 63 of them)
    \\n
    the checkpoint, a signed note
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.notes.note import Note, decode, encode

#: A proof between any two trees that fit 63 bits is no longer.
_LONGEST_PROOF = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")

#: The media type of a 409's body, which is the size that the witness holds.
SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Submission:
    """``old`` is the size that the witness cosigned last, ``proof`` leads from there to the note's checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: Note

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint.parse(self.note.body)

    @classmethod
    def parse(cls, body: bytes) -> Submission:
        """Nothing is verified yet. Raises :class:`VerificationFailed` for whatever is not exactly such a request."""
        head, blank, note = body.partition(b"\n\n")
        try:
            old, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise VerificationFailed("The old size and the proof are not ASCII.") from None
        size = _OLD.fullmatch(old)
        if size is None or not blank:
            raise VerificationFailed(
                "The request must be a line `old SIZE`, the proof, an empty line, and a checkpoint."
            )
        if len(lines) > _LONGEST_PROOF:
            raise VerificationFailed(f"The proof has {len(lines)} lines; {_LONGEST_PROOF} are the most.")
        proof = tuple(decode(line, "A line of the proof") for line in lines)
        if any(len(step) != 32 for step in proof):
            raise VerificationFailed("A line of the proof is not a SHA-256 hash.")
        submission = cls(int(size[1]), proof, Note.parse(note))
        Checkpoint.parse(submission.note.body)
        return submission

    def __bytes__(self) -> bytes:
        head = "".join(f"{line}\n" for line in (f"old {self.old}", *map(encode, self.proof)))
        return f"{head}\n{self.note}".encode()
