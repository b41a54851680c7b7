"""Keyword search: BM25 counted over the permitted chunks alone.

FTS5's own ``bm25()`` takes the number of documents, their average length and each term's frequency from the whole
index, so that scores would tell what is in documents that one may not read. Here FTS5 gives only where a term
stands; the statistics are those of the permitted rows (Robertson and Zaragoza, "The Probabilistic Relevance
Framework", 2009, section 3.4.3, with idf ≥ 0 as in Lucene).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from threading import Lock

import numpy as np
import numpy.typing as npt

from isthmus.data.passages import Passages, Snapshot
from isthmus.retrieval.scope import Ranked, Rows, Scope, best

K1, B = 1.5, 0.75


@dataclass(frozen=True, slots=True)
class Posting:
    """The rows of a snapshot that hold a term, ascending, and how often each does."""

    rows: Rows
    counts: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TermHits:
    """A term of the question and the permitted rows that hold it. ``idf`` is at its highest where none does."""

    term: str
    idf: float
    rows: Rows


@dataclass(frozen=True, slots=True)
class KeywordHits:
    ranked: Ranked
    terms: tuple[TermHits, ...]


class Postings:
    """Where terms stand, read from FTS5 once and kept while the snapshot is the same, the latest used ones first."""

    def __init__(self, passages: Passages, capacity: int = 4_000_000) -> None:
        self._passages = passages
        self._capacity = capacity  # rows in all: 16 bytes each
        self._lock = Lock()
        self._version, self._size = -1, 0
        self._kept: OrderedDict[str, Posting] = OrderedDict()

    def of(self, snapshot: Snapshot, term: str) -> Posting:
        with self._lock:
            if self._version != snapshot.version:
                self._kept.clear()
                self._version, self._size = snapshot.version, 0
            if term not in self._kept:
                numbers, counts = np.unique(self._passages.occurrences(term), return_counts=True)
                held = np.isin(numbers, snapshot.numbers, assume_unique=True)
                self._keep(term, Posting(snapshot.rows(numbers), counts[held].astype(np.float64)))
            self._kept.move_to_end(term)
            return self._kept[term]

    def _keep(self, term: str, posting: Posting) -> None:
        self._kept[term] = posting
        self._size += len(posting.rows)
        while self._size > self._capacity and len(self._kept) > 1:
            self._size -= len(self._kept.popitem(last=False)[1].rows)


def search(scope: Scope, postings: Postings, terms: Sequence[str], limit: int) -> KeywordHits:
    """The ``limit`` permitted rows that hold the terms best; rows that hold none are left out."""
    total, words = len(scope.rows), scope.snapshot.words
    usual = float(words[scope.rows].mean()) or 1.0 if total else 1.0
    scores = np.zeros(len(scope.mask))
    hits = []
    for term in dict.fromkeys(terms):
        posting = postings.of(scope.snapshot, term)
        permitted = scope.mask[posting.rows]
        rows, counts = posting.rows[permitted], posting.counts[permitted]
        idf = log(1 + (total - len(rows) + 0.5) / (len(rows) + 0.5))
        scores[rows] += idf * counts * (K1 + 1) / (counts + K1 * (1 - B + B * words[rows] / usual))
        hits.append(TermHits(term, idf, rows))
    found = np.flatnonzero(scores)
    return KeywordHits(best(found, scores[found], limit), tuple(hits))
