"""Reciprocal rank fusion, and one of each among passages that say the same.

The fusion is Cormack, Clarke and Büttcher's (SIGIR 2009): it needs no scores that can be compared, only ranks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from isthmus.messages import Passage
from isthmus.retrieval.scope import Ranked, best

K = 60
_WORD = re.compile(r"\w+")


def fuse(rankings: Sequence[Ranked], limit: int, k: int = K) -> Ranked:
    """One ranking of all rows; the score of a row is the sum of ``1 / (k + rank)``, ranks counted from 1."""
    rows = np.concatenate([ranking.rows for ranking in rankings])
    ranks = np.concatenate([np.arange(1, len(ranking.rows) + 1) for ranking in rankings])
    unique, at = np.unique(rows, return_inverse=True)
    scores = np.bincount(at, weights=1.0 / (k + ranks), minlength=len(unique)).astype(np.float64)
    return best(unique, scores, limit)


def distinct(passages: Iterable[Passage], limit: int) -> tuple[Passage, ...]:
    """The first ``limit`` passages, without those whose words stand in an earlier one in the same order.

    Case, punctuation and white space do not count; a single other word or number does: two versions of a contract
    that differ in one figure are two facts.
    """
    kept: list[Passage] = []
    seen: list[str] = []
    for passage in passages:
        words = f" {' '.join(_WORD.findall(passage.text.casefold()))} "
        if any(words in earlier for earlier in seen):
            continue
        kept.append(passage)
        seen.append(words)
        if len(kept) == limit:
            break
    return tuple(kept)
