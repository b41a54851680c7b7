"""POST /v1/chat/completions. A whole answer is the fold of the same events that a stream sends."""

from __future__ import annotations

import time
from dataclasses import dataclass

from starlette.types import Send

from isthmus.errors import IsthmusError
from isthmus.messages import fold
from isthmus.models.streams import closing
from isthmus.orchestration.pipeline import Answer, Pipeline
from isthmus.server import http
from isthmus.server.door import Call
from isthmus.wire import openai_answer, openai_chat

_EVENT_STREAM = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


@dataclass(frozen=True, slots=True)
class Chat:
    """Handles a call of the door."""

    pipeline: Pipeline

    async def __call__(self, call: Call, send: Send) -> None:
        asked = openai_chat.decode(call.body, call.id, call.principal, call.typed)
        answer = await self.pipeline.open(asked.request, asked.knowledge)
        async with closing(answer.events):
            if asked.stream:
                await _stream(answer, asked.include_usage, send)
            else:
                await _whole(answer, send)


async def _whole(answer: Answer, send: Send) -> None:
    completion = fold([event async for event in answer.events])
    payload = openai_answer.completion(_wire_id(answer), int(time.time()), answer.model, completion, answer.facts)
    await http.send(send, 200, payload, [*_headers(answer), (b"x-isthmus-receipt", _receipt(answer))])


async def _stream(answer: Answer, include_usage: bool, send: Send) -> None:
    """Events as they come; the outcome is on disk before the last of them. A failure midway is an error event."""
    encoder = openai_answer.ChunkEncoder(_wire_id(answer), int(time.time()), answer.model, include_usage)
    await send({"type": "http.response.start", "status": 200, "headers": [*_EVENT_STREAM, *_headers(answer)]})
    try:
        async for event in answer.events:
            for chunk in encoder.chunks(event):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        last = b"".join(encoder.last(answer.facts)) + openai_answer.DONE
    except IsthmusError as error:
        last = openai_answer.frame(openai_answer.error(error, answer.id))
    await send({"type": "http.response.body", "body": last, "more_body": False})


def _wire_id(answer: Answer) -> str:
    return "chatcmpl-" + answer.id.removeprefix("req_")


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    label = ";".join(filter(None, [str(answer.label.level), ",".join(sorted(answer.label.categories))]))
    facts = {
        "x-request-id": answer.id,
        "x-isthmus-model": answer.model,
        "x-isthmus-reason": answer.reason,
        "x-isthmus-label": label,
    }
    return [(name.encode(), value.encode("ascii", "replace")) for name, value in facts.items()]


def _receipt(answer: Answer) -> bytes:
    """One line that names the entry: the log, the index, the leaf. The proof is in the body."""
    receipt = answer.facts["receipt"]
    return f"{receipt['log']} {receipt['index']} {receipt['leaf']}".encode("ascii", "replace")
