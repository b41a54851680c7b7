"""Retrieval, in order: embed the question, search densely and by keyword, fuse, fetch, drop repetitions, judge."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from isthmus.data.passages import Passages
from isthmus.data.words import LONGEST, Words
from isthmus.errors import StoreUnavailable
from isthmus.messages import EmbedRequest, Passage, Text
from isthmus.principals import Principal
from isthmus.retrieval import dense, keyword
from isthmus.retrieval.fusion import distinct, fuse
from isthmus.retrieval.relevance import Relevance, measure
from isthmus.retrieval.scope import Ranked, Scope, Scopes
from isthmus.retrieval.stopwords import STOPWORDS
from isthmus.seams import Embedder, Retrieval

#: How many rows each search gives to the fusion, and how many terms of a question are searched for, at most.
DEPTH, TERMS = 100, 64
#: Rows fetched beyond twice those asked for, to stand in for repetitions.
SPARE = 8

_NOTHING = Retrieval((), False, "There is no document here that you may read.")


class HybridRetriever:
    """The seam ``Retriever``. ``embedder`` is an admitted one: it asks the policy with the question's own label."""

    def __init__(
        self, passages: Passages, embedder: Embedder, words: Words | None = None, relevance: Relevance | None = None
    ) -> None:
        self._passages = passages
        self._embedder = embedder
        self._words = words or Words()
        self._relevance = relevance or Relevance()
        self._scopes = Scopes()
        self._postings = keyword.Postings(passages)
        self._ignored = frozenset(term for word in STOPWORDS for term in self._words.terms(word))

    async def retrieve(
        self,
        query: Text,
        principal: Principal,
        *,
        collections: Sequence[str],
        limit: int,
        purpose: str = "",
        of: str = "",
    ) -> Retrieval:
        """The best passages for the question in those collections (in all, where none is named).

        Raises what the embedder raises, and :class:`StoreUnavailable`.
        """
        asked = replace(query, text=query.text[:LONGEST].encode("utf8", "replace").decode())
        if not asked.text.strip():
            return Retrieval((), False, "The question is empty.")
        vector = await self._embed(asked, principal, purpose, of)
        return await asyncio.to_thread(self._search, asked.text, vector, principal, tuple(collections), limit)

    async def _embed(self, query: Text, principal: Principal, purpose: str, of: str) -> npt.NDArray[np.float32]:
        id = f"retrieve_{secrets.token_hex(8)}"
        request = EmbedRequest(id, principal, self._embedder.card.id, (query,), purpose, kind="query", of=of)
        vector: npt.NDArray[np.float32] = (await self._embedder.embed(request)).vectors[0]
        return vector

    def _search(
        self, text: str, vector: npt.NDArray[np.float32], principal: Principal, collections: Sequence[str], limit: int
    ) -> Retrieval:
        scope = self._scopes.of(self._passages.current(), principal, collections)
        if not len(scope.rows):
            return _NOTHING
        if scope.snapshot.vectors.shape[1] != len(vector):
            raise StoreUnavailable(
                "The stored vectors are not this embedder's.",
                hint="Set knowledge.embedder back, or ingest the documents again.",
            )
        close = dense.search(scope, vector, DEPTH)
        worded = keyword.search(scope, self._postings, self._terms(text), DEPTH)
        fused = fuse([close, worded.ranked], 2 * limit + SPARE)
        passages = distinct(self._fetch(scope, fused, principal), limit)
        relevant, reason = self._relevance.judge(measure(close, worded, fused.rows, self._ignored))
        return Retrieval(passages, relevant and bool(passages), reason)

    def _terms(self, text: str) -> list[str]:
        terms = list(dict.fromkeys(self._words.terms(text)))
        return ([term for term in terms if term not in self._ignored] or terms)[:TERMS]

    def _fetch(self, scope: Scope, fused: Ranked, principal: Principal) -> list[Passage]:
        """The passages in order. The store checks the reader again: one that changed since the snapshot is absent."""
        numbers = scope.snapshot.numbers[fused.rows].tolist()
        found = self._passages.read(numbers, principal)
        scored = zip(numbers, fused.scores.tolist(), strict=True)
        return [replace(found[number], score=score) for number, score in scored if number in found]
