"""Embedding on behalf of others (a query, a document): what leaves the premises has its intent on disk first."""

from __future__ import annotations

import asyncio

from isthmus.cards import Card
from isthmus.messages import EmbedRequest
from isthmus.orchestration.admission import admit_embedder
from isthmus.orchestration.label import Findings
from isthmus.orchestration.record import Intent, Recorder
from isthmus.seams import Embedder, Embeddings, Policy


class RecordedEmbedder:
    """Wraps an embedder that asks the policy (``models.wrappers.admit``). A call inside the premises is part of the
    request or the ingest that made it, and is recorded there."""

    def __init__(self, embedder: Embedder, policy: Policy, recorder: Recorder) -> None:
        self._embedder = embedder
        self._policy = policy
        self._recorder = recorder

    @property
    def card(self) -> Card:
        return self._embedder.card

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Raises :class:`isthmus.errors.PolicyDenied`, and AuditUnavailable before anything leaves."""
        card = self._embedder.card
        if not card.leaves:
            return await self._embedder.embed(request)
        admission = admit_embedder(request, card, self._policy)
        await self._recorder.intent(request, Intent(admission, card, f"{request.kind} to embed", Findings()))
        try:
            embeddings = await self._embedder.embed(request)
        except BaseException as error:
            await asyncio.shield(self._recorder.stopped(request, error))
            raise
        await self._recorder.embedded(request, card, embeddings.tokens)
        return embeddings
