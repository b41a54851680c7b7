"""Whether what was found is close enough to answer from: decided from scores, before any model is asked.

Small models invent an answer to whatever they are given, so the question of whether to answer is not put to them.
Two facts are weighed: the cosine of the closest permitted chunk, and how much of the question's content words
(weighted by how rare each is among the permitted chunks) stands in one of the best passages. The second carries
questions in languages that the embedder was not made for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import exp

import numpy as np

from isthmus.retrieval.keyword import KeywordHits, TermHits
from isthmus.retrieval.scope import Ranked, Rows

#: How many of the best rows are looked at for the coverage.
TOP = 4


@dataclass(frozen=True, slots=True)
class Evidence:
    """``cosine`` of the closest row; ``coverage``: the best row's share of the question's content words, 0 to 1."""

    cosine: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Relevance:
    """A logistic function of the evidence.

    The coefficients are those that ``benchmarks/relevance.py`` prints: fitted on the questions of three public
    collections (aerodynamics, medicine, finance) against their own and each other's documents, whole and in small
    sets of about 15 documents, and on questions that no collection answers. ``least`` is below one half: to refuse
    an answerable question costs more than to ask a model in vain.
    """

    cosine: float = 13.9
    coverage: float = 2.85
    constant: float = -6.16
    least: float = 0.3

    def probability(self, evidence: Evidence) -> float:
        score = self.cosine * evidence.cosine + self.coverage * evidence.coverage + self.constant
        return 1 / (1 + exp(-score))

    def judge(self, evidence: Evidence) -> tuple[bool, str]:
        """Whether to answer, and why, with the scores."""
        probability = self.probability(evidence)
        scores = f"cosine {evidence.cosine:.2f}, word coverage {evidence.coverage:.2f}, relevance {probability:.2f}"
        if probability >= self.least:
            return True, f"Relevant: {scores}."
        return False, f"Nothing found is close enough: {scores}, below {self.least:.2f}."


def measure(dense: Ranked, keyword: KeywordHits, top: Rows, ignored: Collection[str]) -> Evidence:
    """The evidence of one search; ``ignored`` terms (stop words) do not count as content."""
    content = [hit for hit in keyword.terms if hit.term not in ignored]
    cosine = float(dense.scores[0]) if len(dense.scores) else 0.0
    return Evidence(cosine, max((_share(content, row) for row in top[:TOP]), default=0.0))


def _share(content: list[TermHits], row: np.int64) -> float:
    total = sum(hit.idf for hit in content)
    return sum(hit.idf for hit in content if _holds(hit.rows, row)) / total if total else 0.0


def _holds(rows: Rows, row: np.int64) -> bool:
    at = int(np.searchsorted(rows, row))
    return at < len(rows) and rows[at] == row
