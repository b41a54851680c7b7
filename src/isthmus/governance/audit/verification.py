"""Checking a log against what its reader trusts: the key, older checkpoints, receipts.

:func:`verify` reads every entry. It proves that nothing changed before any checkpoint that the reader kept elsewhere;
it cannot prove that everything was logged.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from isthmus.errors import VerificationFailed
from isthmus.governance.audit import merkle
from isthmus.governance.audit.checkpoint import Checkpoint
from isthmus.governance.audit.entries import decode
from isthmus.governance.audit.layout import WIDTH
from isthmus.governance.audit.reader import Reader, Signed
from isthmus.seams import Receipt


@dataclass(frozen=True, slots=True)
class Verified:
    """What holds: the log's newest checkpoint, the older sizes that are its beginning, entries not yet signed for."""

    checkpoint: Checkpoint
    older: tuple[int, ...]
    pending: int


def verify(reader: Reader, older: Iterable[Signed] = ()) -> Verified:
    """Check the whole log. Raises :class:`VerificationFailed`, naming the entry where that can be told."""
    # (1) what was signed: the newest checkpoint, and the older ones (their signatures were checked as they were opened)
    newest = reader.checkpoint().checkpoint
    held = [signed.checkpoint for signed in older]
    for one in held:
        if one.size > newest.size:
            raise _failed(
                newest.size, f"A checkpoint that you hold covers {one.size} entries; the log has {newest.size}."
            )
    # (2) every entry is what a log holds at its place, and its hash the one that was kept
    sizes = {one.size for one in (*held, newest)}
    roots, frontier, kept = {0: merkle.EMPTY}, merkle.Frontier(), _KeptHashes(reader)
    for index, entry in reader.entries():
        leaf = merkle.leaf_hash(entry)
        if decode(entry, index) is None or not kept.agree(index, leaf):
            raise _failed(index, f"Entry {index} was changed, or is not in its place.")
        frontier.push(leaf)
        if frontier.size in sizes:
            roots[frontier.size] = frontier.root()
    # (3) the entries lead to every root that was signed
    if frontier.size < newest.size:
        raise _failed(frontier.size, f"Entry {frontier.size} is missing: the checkpoint covers {newest.size} entries.")
    intact = 0
    for one in sorted((*held, newest), key=lambda checkpoint: checkpoint.size):
        if roots[one.size] != one.root:
            between = (
                f"An entry from {intact} to {one.size - 1} is not what was signed in the checkpoint of {one.size}."
            )
            raise _failed(intact, between)
        intact = one.size
    return Verified(newest, tuple(one.size for one in held), frontier.size - newest.size)


def verify_receipt(reader: Reader, receipt: Receipt) -> Signed:
    """Check a receipt against the log's key and its own proof, and its entry against the log.

    Returns the receipt's checkpoint, to be given to :func:`verify` as an older one.
    """
    # (1) its checkpoint is signed by the log's key, and is the one that the receipt speaks of
    signed = Signed(reader.verifier.open(receipt.checkpoint), receipt.checkpoint)
    stated = (receipt.log, receipt.size, receipt.root)
    if stated != (signed.checkpoint.origin, signed.checkpoint.size, signed.checkpoint.root.hex()):
        raise VerificationFailed("The receipt says other things than its checkpoint.")
    # (2) its proof leads from the leaf to that checkpoint's root
    try:
        leaf, proof = bytes.fromhex(receipt.leaf), [bytes.fromhex(step) for step in receipt.proof]
    except ValueError:
        raise VerificationFailed("The receipt's hashes are not hex.") from None
    if merkle.root_from_inclusion(leaf, receipt.index, receipt.size, proof) != signed.checkpoint.root:
        raise VerificationFailed(f"The receipt's proof does not lead from entry {receipt.index} to its checkpoint.")
    # (3) the log still holds that entry there
    for _, entry in reader.entries(receipt.index):
        if merkle.leaf_hash(entry) == leaf:
            return signed
        raise _failed(receipt.index, f"Entry {receipt.index} is not the one that the receipt was given for.")
    raise _failed(receipt.index, f"Entry {receipt.index} is missing; a receipt was given for it.")


class _KeptHashes:
    """Leaf hashes as the log's tiles keep them: they tell *which* entry was changed, where the root only tells that."""

    def __init__(self, reader: Reader) -> None:
        self._storage, self._n, self._tile = reader.storage, -1, b""

    def agree(self, index: int, leaf: bytes) -> bool:
        """False where a kept hash says otherwise; true where none is kept."""
        n, at = divmod(index, WIDTH)
        if n != self._n:
            self._n, self._tile = n, b""
            with suppress(OSError):
                self._tile = self._storage.tile(0, n) or b""
        known = self._tile[at * 32 : at * 32 + 32]
        return len(known) < 32 or known == leaf


def _failed(index: int, message: str) -> VerificationFailed:
    return VerificationFailed(message, details={"index": index})
