"""An embedder behind OpenAI's protocol."""

from __future__ import annotations

import numpy as np

from isthmus.cards import Card
from isthmus.errors import UpstreamFailed
from isthmus.messages import EmbedRequest
from isthmus.models.openai_compatible import failures
from isthmus.models.openai_compatible.endpoint import Endpoint, read
from isthmus.seams import Embeddings
from isthmus.wire.openai_upstream_embeddings import decode_embeddings, encode_embeddings

BATCH = 64  # texts a call: vendors bound the tokens of one (Mistral at 16,384)
MOST_BYTES = 16_000_000  # of one call's answer: 64 vectors of 3072 numbers are 4 MB


class OpenAICompatibleEmbedder:
    """``dimensions`` is what the model's vectors have, as the settings declare it; an answer of another size fails."""

    def __init__(self, card: Card, endpoint: Endpoint, dimensions: int) -> None:
        self._card = card
        self._endpoint = endpoint
        self._dimensions = dimensions

    @property
    def card(self) -> Card:
        return self._card

    @property
    def dimensions(self) -> int:
        return self._dimensions

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Raises :class:`Upstream` where the server fails, and :class:`InvalidRequest` where it refuses the text."""
        vectors = np.empty((len(request.texts), self._dimensions), np.float32)
        tokens = 0
        for start in range(0, len(request.texts), BATCH):
            texts = [text.text for text in request.texts[start : start + BATCH]]
            rows, read_tokens = decode_embeddings(await self._call(encode_embeddings(texts, self._endpoint.model)))
            vectors[start : start + BATCH] = self._unit(rows, len(texts))
            tokens += read_tokens
        return Embeddings(vectors, tokens)

    async def _call(self, body: bytes) -> bytes:
        response = await self._endpoint.post("/embeddings", body)
        try:
            if response.status != 200:
                raise (await failures.of(response, body)).error(self._card.id)
            return await read(response, MOST_BYTES)
        finally:
            await response.close()

    def _unit(self, rows: list[list[float]], count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        if [len(row) for row in rows] != [self._dimensions] * count:
            raise UpstreamFailed(
                f"The model's server did not send {count} vectors of {self._dimensions} numbers.",
                hint="Check the model's `options.dimensions`.",
            )
        vectors = np.asarray(rows, np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(np.isfinite(norms) & (norms > 0)):
            raise UpstreamFailed("The model's server sent a vector that has no direction.")
        return np.asarray(vectors / norms, np.float32)
