"""Checking a log against what its reader trusts: the key, older checkpoints, receipts.

:func:`verify` reads every entry. It proves that nothing changed before any checkpoint that the reader kept elsewhere;
it cannot prove that everything was logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.reading.blame import first_difference
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.recomputed import RecomputedTree, read_bundle
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.entries import decode
from isthmus.governance.audit.tree.layout import WIDTH, number
from isthmus.governance.audit.tree.storage import Storage
from isthmus.governance.audit.tree.stored import StoredTree
from isthmus.seams import Receipt


@dataclass(frozen=True, slots=True)
class Verified:
    """What holds: the log's newest checkpoint, the older sizes that are its beginning, entries not yet signed for."""

    checkpoint: Checkpoint
    older: tuple[int, ...]
    pending: int


def nobody(done: int, of: int) -> None:
    """Whom progress is told where nobody looks."""


def verify(reader: Reader, older: Iterable[Signed] = (), told: Callable[[int, int], None] = nobody) -> Verified:
    """Check the whole log. Raises :class:`VerificationFailed`, naming the entry where that can be told.

    ``told`` hears how many entries of how many were read.
    """
    # (1) what was signed: the newest checkpoint, and the older ones (their signatures were checked as they were opened)
    newest = reader.checkpoint().checkpoint
    held = [signed.checkpoint for signed in older]
    for one in held:
        if one.size > newest.size:
            raise _failed(
                newest.size, f"A checkpoint that you hold covers {one.size} entries; the log has {newest.size}."
            )
    # (2) every entry is what a log holds at its place, up to the first that is not
    found = _read(reader.storage, newest.size, told)
    # (3) the entries lead to every root that was signed
    intact = 0
    for one in sorted((*held, newest), key=lambda checkpoint: checkpoint.size):
        if one.size > found.tree.size or found.tree.root(one.size) != one.root:
            raise _blamed(reader.storage, one, found, intact)
        intact = one.size
    if found.broken is not None:
        raise _failed(found.tree.size, found.broken)
    # (4) the hashes that are kept for others to read are those of the entries
    if misfit := found.misfit or _misfit_above(reader.storage, found.tree):
        raise VerificationFailed(
            f"{misfit} does not fit its entries, which are what was signed.", hint=_DERIVED, details={"tile": misfit}
        )
    # (5) what is not signed for yet is at least in its place
    return Verified(newest, tuple(one.size for one in held), _pending(reader, newest.size))


@dataclass(frozen=True, slots=True)
class _Found:
    """The tree of the entries that are in their place; why the first one that is not is not; the first tile that does
    not fit them."""

    tree: RecomputedTree
    broken: str | None
    misfit: str | None


def _read(storage: Storage, size: int, told: Callable[[int, int], None]) -> _Found:
    tree, broken, misfit = RecomputedTree(storage), None, None
    while tree.size < size and broken is None:
        n = tree.size // WIDTH
        entries, broken = read_bundle(storage, n, min(WIDTH, size - tree.size))
        leaves = [merkle.leaf_hash(entry) for entry in entries]
        misfit = misfit or _misfit(storage, 0, n, leaves)
        tree.push(leaves)
        told(tree.size, size)
    return _Found(tree, broken, misfit)


def _blamed(storage: Storage, signed: Checkpoint, found: _Found, intact: int) -> VerificationFailed:
    """Names the first entry that is not the one that was signed for, or the fewest entries that it must be among."""
    among = first_difference(signed, found.tree, StoredTree(storage)) or range(signed.size)
    if found.broken is not None and among.stop > found.tree.size:
        return _failed(found.tree.size, found.broken)
    if len(among) == 1:
        return _failed(among.start, f"Entry {among.start} was changed, or is not in its place.")
    start, last = max(intact, among.start), min(signed.size, among.stop) - 1
    message = f"An entry from {start} to {last} is not what was signed in the checkpoint of {signed.size}."
    return VerificationFailed(message, details={"index": start, "last": last})


def _misfit_above(storage: Storage, tree: RecomputedTree) -> str | None:
    """The first tile above the entries' own that does not fit what lies beneath it."""
    level, count = 1, tree.size // WIDTH
    while count:
        for n in range(-(-count // WIDTH)):
            if misfit := _misfit(storage, level, n, tree.hashes(level, n, min(WIDTH, count - n * WIDTH))):
                return misfit
        level, count = level + 1, count // WIDTH
    return None


def _misfit(storage: Storage, level: int, n: int, hashes: Iterable[bytes]) -> str | None:
    """The tile's name, if it is wrong. One that is missing or short is not: it is computed when it is needed."""
    own, kept = b"".join(hashes), b""
    with suppress(OSError):
        kept = storage.tile(level, n) or b""
    fits = len(kept) <= WIDTH * 32 and (own.startswith(kept) or kept.startswith(own))
    return None if fits else f"tile/{level}/{number(n)}"


def _pending(reader: Reader, size: int) -> int:
    """How many entries follow those that are signed for. Raises :class:`VerificationFailed` for what is none."""
    count = 0
    for index, entry in reader.entries(size):
        if decode(entry, index) is None:
            raise _failed(index, f"Entry {index} is not what a log holds at that place.")
        count += 1
    return count


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


def _failed(index: int, message: str) -> VerificationFailed:
    return VerificationFailed(message, details={"index": index})


_DERIVED = "Keep a copy of that file and remove it: the log computes it again."
