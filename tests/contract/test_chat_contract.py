"""What every chat model promises, asked of every row of the table over a real socket.

A new OpenAI-compatible provider needs a row, and a ``Wire`` in ``wires.py``; ``test_every_row_has_a_replay`` says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from contract.openai_compatible_fixtures import KEY, WEATHER, ask, complete, model_of
from contract.replay import HANG, PAUSE, Reply, whole
from contract.wires import CALLS, TEXT, WIRES, Wire
from isthmus.errors import (
    ContextTooLong,
    InvalidRequest,
    IsthmusError,
    UpstreamFailed,
    UpstreamRateLimited,
)
from isthmus.labels import INTERNAL
from isthmus.messages import (
    ChatEvent,
    Finish,
    Image,
    JsonFormat,
    Message,
    Sampling,
    Started,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from isthmus.models.openai_compatible.rows import ROWS
from isthmus.models.streams import closing
from isthmus.seams import ChatModel

ALL = pytest.mark.parametrize("row", sorted(ROWS))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NO_SCHEMA = {"deepseek", "text_generation_webui"}

#: Everything that a body may hold; what is not here must never leave.
SENT = {
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens",
    "stop", "seed", "random_seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "tools",
    "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort",
}  # fmt: skip


def test_every_row_has_a_replay() -> None:
    assert set(WIRES) == set(ROWS)


def _text(row: str) -> tuple[Wire, Reply]:
    return WIRES[row], Reply(pieces=WIRES[row].text)


@ALL
async def test_text(row: str) -> None:
    wire, reply = _text(row)
    async with model_of(row, reply) as (model, _):
        answer = await complete(model, ask())
    assert answer.text == TEXT
    assert answer.reasoning == wire.reasoning
    assert answer.finish == "stop"
    assert (answer.model, answer.fingerprint) == (wire.model, wire.fingerprint or answer.fingerprint)
    if wire.usage is not None:
        assert answer.usage == wire.usage
    else:
        assert answer.usage.estimated
        assert answer.usage.prompt >= 4
        assert answer.usage.completion >= 4


@ALL
async def test_the_order_of_events(row: str) -> None:
    """Started first, deltas, one usage, and the finish last."""
    async with model_of(row, _text(row)[1]) as (model, _), _collected(model) as events:
        kinds = [type(event) for event in events]
    assert kinds[0] is Started
    assert kinds[-2:] == [Usage, Finish]
    assert kinds.count(Started) == kinds.count(Usage) == kinds.count(Finish) == 1


@ALL
async def test_words_come_as_they_are_written(row: str) -> None:
    """Nothing is held back: a word is here before the next one is sent."""
    wire, _ = _text(row)
    cut = next(i for i, piece in enumerate(wire.text) if isinstance(piece, bytes) and "Grüezi".encode() in piece) + 1
    async with model_of(row, Reply(pieces=(*wire.text[:cut], HANG))) as (model, _):
        async with asyncio.timeout(2), closing(model.stream(ask())) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    assert event.text == "Grüezi"
                    return
    pytest.fail("the first word did not come")


@ALL
async def test_parallel_tool_calls(row: str) -> None:
    wire = WIRES[row]
    async with model_of(row, Reply(pieces=wire.tools)) as (model, replay):
        answer = await complete(model, ask(tools=(WEATHER,), tool_choice="required", parallel_tool_calls=True))
    assert tuple((call.name, call.arguments) for call in answer.tool_calls) == CALLS
    ids = [call.id for call in answer.tool_calls]
    assert all(ids)
    assert len(set(ids)) == 2
    assert answer.finish == "tool_calls"
    sent = replay.received[0].json
    assert sent["tools"][0]["function"]["parameters"] == WEATHER.parameters
    assert sent.get("tool_choice") == {"mistral": "any", "ollama": None}.get(row, "required")


@ALL
async def test_a_conversation_with_tool_results_goes_out_whole(row: str) -> None:
    call = ToolCall("call_a", *CALLS[0])
    messages = (
        Message("user", (Text("Weather?", INTERNAL),)),
        Message("assistant", (), (call,)),
        Message("tool", (Text("sunny", INTERNAL, "tool"),), tool_call_id="call_a"),
    )
    async with model_of(row, _text(row)[1]) as (model, replay):
        await complete(model, ask(messages=messages))
    assert replay.received[0].json["messages"] == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": CALLS[0][1]}}
            ],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "call_a"},
    ]


@ALL
async def test_stop_and_sampling(row: str) -> None:
    sampling = Sampling(temperature=0.0, top_p=0.5, max_tokens=7, stop=("END", "\n\n"), seed=3)
    async with model_of(row, _text(row)[1]) as (model, replay):
        await complete(model, ask(sampling=sampling))
    sent = replay.received[0].json
    dialect = ROWS[row].dialect
    assert (sent["temperature"], sent["top_p"], sent["stop"]) == (0.0, 0.5, ["END", "\n\n"])
    assert sent[dialect.max_tokens] == 7
    assert sent.get(dialect.seed) == (None if "seed" in dialect.omit else 3)
    assert sent["stream"] is True
    assert ("stream_options" in sent) is ("stream_options" not in dialect.omit)


@ALL
async def test_json_schema(row: str) -> None:
    """The schema goes out, or the request is refused before anything does: it is never quietly dropped."""
    async with model_of(row, _text(row)[1]) as (model, replay):
        if row in NO_SCHEMA:
            with pytest.raises(InvalidRequest, match="JSON"):
                await complete(model, ask(format=JsonFormat(SCHEMA)))
            assert replay.received == []
            return
        await complete(model, ask(format=JsonFormat(SCHEMA)))
    format = replay.received[0].json["response_format"]
    assert format.get("value", format.get("json_schema", {}).get("schema")) == SCHEMA


@ALL
async def test_an_image_goes_out(row: str) -> None:
    messages = (Message("user", (Text("What is it?", INTERNAL), Image("data:image/png;base64,AA==", INTERNAL))),)
    async with model_of(row, _text(row)[1]) as (model, replay):
        await complete(model, ask(messages=messages))
    content = replay.received[0].json["messages"][0]["content"]
    assert content[0] == {"type": "text", "text": "What is it?"}
    assert content[1]["image_url"]["url"] == "data:image/png;base64,AA=="


@ALL
async def test_only_the_conversation_leaves(row: str) -> None:
    """Who asks, why, and the label are in no byte that was sent; the key is in its header alone."""
    async with model_of(row, _text(row)[1]) as (model, replay):
        await complete(model, ask(tools=(WEATHER,), reasoning_effort="low", sampling=Sampling(logprobs=True)))
    received = replay.received[0]
    assert set(received.json) <= SENT
    everything = f"{received.line}{received.headers}{received.body.decode()}"
    assert "canary" not in everything.replace(KEY, "").lower()
    assert "confidential" not in everything.lower()
    assert [name for name, value in received.headers.items() if KEY in value] == [ROWS[row].header.lower()]
    assert KEY not in received.line
    assert received.headers.keys() <= {
        "host", "accept", "accept-encoding", "user-agent", "content-length", "content-type", ROWS[row].header.lower(),
    }  # fmt: skip


@ALL
async def test_the_address(row: str) -> None:
    async with model_of(row, _text(row)[1]) as (model, replay):
        await complete(model, ask())
    method, target, _ = replay.received[0].line.split(" ")
    expected = {"azure_openai": "/openai/deployments/m/chat/completions"}.get(row, "/v1/chat/completions")
    assert (method, urlsplit(target).path) == ("POST", expected)
    assert urlsplit(target).query == {"azure_openai": "api-version=2024-10-21"}.get(row, "")


@ALL
async def test_closing_the_stream_closes_the_socket(row: str) -> None:
    wire, _ = _text(row)
    async with model_of(row, Reply(pieces=(*wire.text[:4], HANG))) as (model, replay):
        async with closing(model.stream(ask())) as events:
            await anext(events)
        async with asyncio.timeout(2):
            await replay.received[0].gone.wait()


@ALL
async def test_cancelling_the_caller_closes_the_socket(row: str) -> None:
    async with model_of(row, Reply(pieces=(HANG,))) as (model, replay):
        task = asyncio.create_task(complete(model, ask()))
        async with asyncio.timeout(2):
            await replay.arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await replay.received[0].gone.wait()


@ALL
async def test_an_unstreamed_answer_is_taken_whole(row: str) -> None:
    """Some servers do not stream what they are asked to stream."""
    message = {"role": "assistant", "content": TEXT}
    usage = {"prompt_tokens": 12, "completion_tokens": 5}
    payload = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "length"}], "usage": usage}
    async with model_of(row, whole(200, payload)) as (model, _):
        answer = await complete(model, ask())
    assert (answer.text, answer.finish, answer.usage) == (TEXT, "length", Usage(12, 5))


@ALL
async def test_a_connection_is_used_again(row: str) -> None:
    wire, _ = _text(row)
    async with model_of(row, Reply(pieces=(*wire.text, PAUSE))) as (model, replay):  # the end of the body comes late
        for _ in range(3):
            await complete(model, ask())
    assert (replay.connections, len(replay.received)) == (1, 3)


ERRORS = [
    (401, UpstreamFailed, "api_key"),
    (403, UpstreamFailed, "api_key"),
    (402, UpstreamFailed, "credit"),
    (404, UpstreamFailed, "`model`"),
    (400, InvalidRequest, ""),
    (422, InvalidRequest, ""),
    (429, UpstreamRateLimited, "rate"),
    (500, UpstreamFailed, ""),
    (503, UpstreamFailed, ""),
    (302, UpstreamFailed, "base_url"),
]


@ALL
@pytest.mark.parametrize(("status", "kind", "word"), ERRORS)
async def test_errors(row: str, status: int, kind: type[IsthmusError], word: str) -> None:
    """The vendor's text may quote the prompt, and some quote the key: neither is in what a user sees."""
    body = {"error": {"message": f"secret prompt; Incorrect API key {KEY}", "type": "secret prompt", "code": None}}
    async with model_of(row, whole(status, body, **{"Retry-After": "7", "Location": "/elsewhere"})) as (model, replay):
        with pytest.raises(kind) as caught:
            await complete(model, ask())
    shown = json.dumps(caught.value.as_dict()) + repr(caught.value)
    assert "secret prompt" not in shown
    assert KEY not in shown
    assert word in shown
    assert caught.value.details["upstream_status"] == status
    assert caught.value.details["retry_after"] == 7.0
    assert len(replay.received) == 1


@ALL
async def test_a_conversation_too_long(row: str) -> None:
    async with model_of(row, WIRES[row].too_long) as (model, _):
        with pytest.raises(ContextTooLong):
            await complete(model, ask())


@ALL
async def test_a_filtered_answer_is_an_answer(row: str) -> None:
    wire, _ = _text(row)
    pieces = tuple(
        piece.replace(b'"stop"', b'"content_filter"') if isinstance(piece, bytes) else piece for piece in wire.text
    )
    pieces = tuple(piece.replace(b'"eos"', b'"content_filter"') for piece in pieces if isinstance(piece, bytes))
    async with model_of(row, Reply(pieces=pieces)) as (model, _):
        assert (await complete(model, ask())).finish == "content_filter"


@asynccontextmanager
async def _collected(model: ChatModel) -> AsyncIterator[list[ChatEvent]]:
    async with closing(model.stream(ask())) as events:
        yield [event async for event in events]
