"""A proof that stands alone: C2SP tlog-proof (https://c2sp.org/tlog-proof). Pure.

::

    c2sp.org/tlog-proof@v1\\n
    index INDEX\\n
    HASH in base64, from the leaf's sibling to the root's child\\n …
    \\n
    the signed checkpoint, as the log issued it
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Verifier
from isthmus.governance.audit.tree import merkle

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_EXTRA = "extra "
_HASH = 32


@dataclass(frozen=True, slots=True)
class Proof:
    """That the entry ``index`` is in the log that ``note`` signs for. ``path`` holds hashes of 32 bytes."""

    index: int
    path: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        hashes = (base64.b64encode(step).decode() for step in self.path)
        return "\n".join([_HEADER, f"index {self.index}", *hashes, "", self.note])

    @classmethod
    def parse(cls, text: str) -> Proof:
        """The proof in a text; nothing of it is checked yet. Raises :class:`VerificationFailed`."""
        head, blank, note = text.partition("\n\n")
        lines = head.split("\n")
        if lines[0] != _HEADER or not blank:
            raise VerificationFailed("This is not a proof: it must begin with c2sp.org/tlog-proof@v1.")
        rest = lines[2:] if lines[1:] and lines[1].startswith(_EXTRA) else lines[1:]  # nothing vouches for extra data
        if not rest or (found := _INDEX.fullmatch(rest[0])) is None:
            raise VerificationFailed("The proof does not say which entry it is for.")
        return cls(int(found[1]), tuple(map(_decode, rest[1:])), note)

    def check(self, entry: bytes, verifier: Verifier) -> Checkpoint:
        """The checkpoint, once it is signed and the path leads from the entry to it. Raises
        :class:`VerificationFailed`."""
        checkpoint = verifier.open(self.note)
        root = merkle.root_from_inclusion(merkle.leaf_hash(entry), self.index, checkpoint.size, self.path)
        if root != checkpoint.root:
            raise VerificationFailed(
                f"The proof does not lead from entry {self.index} to its checkpoint.", details={"index": self.index}
            )
        return checkpoint


def _decode(line: str) -> bytes:
    try:
        step = base64.b64decode(line.encode("ascii"), validate=True)
    except ValueError:
        step = b""
    if len(step) != _HASH or base64.b64encode(step).decode() != line:
        raise VerificationFailed("The proof has a line that is not a hash in base64.")
    return step


def prove(index: int, entry: bytes, checkpoint: Checkpoint, note: str, node: merkle.Node) -> Proof:
    """The proof for an entry, checked against the root that was signed. Raises :class:`VerificationFailed`."""
    path = merkle.inclusion_proof(index, checkpoint.size, node)
    if merkle.root_from_inclusion(merkle.leaf_hash(entry), index, checkpoint.size, path) != checkpoint.root:
        raise VerificationFailed(
            f"Entry {index} does not lead to the signed checkpoint.",
            hint="Run `isthmus audit verify`: it names what was changed.",
            details={"index": index},
        )
    return Proof(index, path, note)
