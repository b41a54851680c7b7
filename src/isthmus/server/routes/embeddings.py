"""POST /v1/embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Send

from isthmus.orchestration.pipeline import Pipeline
from isthmus.server import http
from isthmus.server.door import Call
from isthmus.wire import openai_embeddings


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Handles a call of the door."""

    pipeline: Pipeline

    async def __call__(self, call: Call, send: Send) -> None:
        asked = openai_embeddings.decode(call.body, call.id, call.principal, call.typed)
        embedded = await self.pipeline.embed(asked.request)
        payload = openai_embeddings.encode(asked, embedded.embeddings, embedded.facts)
        await http.send(send, 200, payload, [(b"x-request-id", call.id.encode())])
