"""Which rows of the snapshot a principal may read: every score is counted inside this set, and nowhere else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from isthmus.data.passages import Snapshot
from isthmus.principals import Principal

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scope:
    """``rows``: the permitted rows of ``snapshot``, ascending. ``mask``: the same as one boolean a row."""

    snapshot: Snapshot
    rows: Rows
    mask: npt.NDArray[np.bool_]

    @property
    def whole(self) -> bool:
        return len(self.rows) == len(self.mask)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows of the snapshot, best first, with their scores (float64)."""

    rows: Rows
    scores: npt.NDArray[np.float64]


def best(rows: Rows, scores: npt.NDArray[np.float64], limit: int) -> Ranked:
    """The ``limit`` best; equal scores in the order of the rows, so that a run can be repeated."""
    if len(rows) > limit:
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        keep = scores >= least
        rows, scores = rows[keep], scores[keep]
    order = np.lexsort((rows, -scores))[:limit]
    return Ranked(rows[order], scores[order])


class Scopes:
    """Scopes of the latest snapshot, kept for the sets of groups that ask most recently."""

    def __init__(self, capacity: int = 64) -> None:
        self._capacity = capacity
        self._lock = Lock()
        self._version = -1
        self._kept: OrderedDict[object, Scope] = OrderedDict()

    def of(self, snapshot: Snapshot, principal: Principal, collections: Sequence[str]) -> Scope:
        """The rows that the principal may read in those collections (in all of them, where none is named)."""
        key = (principal.id, principal.groups, frozenset(collections))
        with self._lock:
            if self._version != snapshot.version:
                self._kept.clear()
                self._version = snapshot.version
            if key not in self._kept:
                self._kept[key] = _scope(snapshot, principal, frozenset(collections))
                while len(self._kept) > self._capacity:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def _scope(snapshot: Snapshot, principal: Principal, collections: frozenset[str]) -> Scope:
    allowed = [
        document
        for document, access in snapshot.access.items()
        if access.allows(principal) and (not collections or access.collection in collections)
    ]
    mask = np.isin(snapshot.documents, np.array(allowed, np.int64))
    return Scope(snapshot, np.flatnonzero(mask), mask)
