"""The log as the static site of C2SP tlog-tiles (https://c2sp.org/tlog-tiles): a path in, bytes out, over any storage.

Only what the newest checkpoint covers is there: the log in use is a little ahead of it, and what nobody signed for is
nobody's evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from isthmus.errors import NotFound
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.tree import proofs
from isthmus.governance.audit.tree.layout import HEIGHT, WIDTH
from isthmus.governance.audit.tree.storage import Storage
from isthmus.governance.audit.tree.stored import StoredTree

#: One spelling for each address: ASCII digits, no leading zeros, no `x000` in front, as the page prescribes. Six
#: groups of three digits name more tiles than a log can have.
_ADDRESS = re.compile(
    r"(?P<level>entries|[0-9]|[1-5][0-9]|6[0-3])"
    r"/(?P<number>(?!x000)(?:x[0-9]{3}/){0,5}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A tile's, or with ``level`` ``None`` a bundle's of entries."""

    level: int | None
    n: int
    width: int = WIDTH

    @classmethod
    def parse(cls, path: str) -> Address:
        """``LEVEL/N[.p/WIDTH]`` or ``entries/N[.p/WIDTH]``. Raises :class:`NotFound` for any other spelling."""
        found = _ADDRESS.fullmatch(path)
        if found is None:
            raise NotFound("This is not a tile's address.", hint="See https://c2sp.org/tlog-tiles for how they look.")
        level, number, width = found["level"], found["number"], found["width"]
        n = int(number.replace("x", "").replace("/", ""))
        return cls(None if level == "entries" else int(level), n, int(width or WIDTH))

    def within(self, size: int) -> bool:
        """Whether a log of that size has all of it."""
        return self.n * WIDTH + self.width <= size >> HEIGHT * (self.level or 0)


class Site:
    """Each method reads the storage anew, and blocks while it does; safe to use from several threads.

    All raise :class:`NotFound` before the first checkpoint, :class:`AuditUnavailable` where the storage cannot be read
    and :class:`VerificationFailed` where what it holds does not add up.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._tree = StoredTree(storage)

    def vkey(self) -> str:
        """The log's public key, as the log states it."""
        return self._reader().verifier.vkey

    def rotation(self, number: int) -> bytes:
        """A change of the log's key, from 1 on, as a note. Raises :class:`NotFound` where there was none."""
        notes = self._reader().rotations()
        if not 1 <= number <= len(notes):
            raise NotFound("The log's key was not changed so many times.")
        return notes[number - 1]

    def checkpoint(self) -> Signed:
        """The newest signed checkpoint."""
        return self._reader().checkpoint()

    def read(self, address: Address) -> bytes:
        """A tile or a bundle, exactly as wide as was asked. Raises :class:`NotFound` beyond the newest checkpoint."""
        size = self.checkpoint().checkpoint.size
        if not address.within(size):
            raise NotFound(f"The log's newest checkpoint covers {size} entries: that tile is not there (yet).")
        if address.level is None:
            return self._tree.bundle(address.n, address.width)
        return self._tree.tile(address.level, address.n, address.width)

    def inclusion(self, index: int, size: int | None) -> tuple[proofs.Inclusion, Signed]:
        """The proof, and the newest checkpoint; ``None`` is its size. Raises :class:`NotFound` beyond either."""
        newest, size = self._sized(size)
        try:
            return proofs.inclusion(newest.checkpoint.origin, self._tree, index, size), newest
        except IndexError:
            raise NotFound(f"There is no entry {index} among the first {size}.") from None

    def consistency(self, old: int, new: int | None) -> tuple[proofs.Consistency, Signed]:
        """The proof, and the newest checkpoint; ``None`` is its size. Raises :class:`NotFound` beyond either."""
        newest, new = self._sized(new)
        try:
            return proofs.consistency(newest.checkpoint.origin, self._tree, old, new), newest
        except IndexError:
            raise NotFound(f"A log of {new} entries has no older size {old}.") from None

    def _sized(self, size: int | None) -> tuple[Signed, int]:
        newest = self.checkpoint()
        if size is None:
            return newest, newest.checkpoint.size
        if size > newest.checkpoint.size:
            raise NotFound(f"The log's newest checkpoint covers {newest.checkpoint.size} entries, not {size}.")
        return newest, size

    def _reader(self) -> Reader:
        """Anew each time: the log's key may be another than before."""
        return Reader(self._storage)
