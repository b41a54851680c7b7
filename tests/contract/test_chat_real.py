"""What every chat model promises, asked of those that run here for real: the 0.5B in this process."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.openai_compatible_fixtures import WEATHER, complete
from isthmus.cards import Card
from isthmus.clock import SystemClock
from isthmus.config import Home, ModelSettings
from isthmus.errors import ConfigInvalid
from isthmus.labels import INTERNAL
from isthmus.messages import ChatRequest, Finish, JsonFormat, Message, Sampling, Started, Text, TextDelta, Usage
from isthmus.models import weights
from isthmus.models.provider import ProviderContext, load
from isthmus.models.streams import closing
from isthmus.models.transport import AiohttpTransport
from isthmus.principals import Principal
from isthmus.seams import ChatModel

STARTER = "starter/qwen2.5-coder-0.5b"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}

pytestmark = [pytest.mark.model, pytest.mark.timeout(120)]


@asynccontextmanager
async def real() -> AsyncIterator[ChatModel]:
    if weights.locate(STARTER) is None:
        pytest.skip(f"{STARTER} is not here: run `make install`")
    try:
        factory = load("llama_cpp")
    except ConfigInvalid as error:
        pytest.skip(f"the provider llama_cpp is not installed: {error.message}")
    transport = AiohttpTransport()
    provider = factory(ProviderContext(Home(Path("nowhere")), transport, SystemClock()))
    settings = ModelSettings(
        id="local/small", provider="llama_cpp", weights=STARTER, locality="in_process", context=2048
    )
    await provider.start()
    try:
        yield provider.chat(settings, Card("local/small", "llama_cpp", locality="in_process"))
    finally:
        await provider.stop()
        await transport.close()


def ask(text: str, tokens: int = 48, **changes: Any) -> ChatRequest:
    sampling = Sampling(temperature=0.0, max_tokens=tokens, seed=1, stop=changes.pop("stop", ()))
    messages = (
        Message("system", (Text("Answer in one short sentence.", INTERNAL, "system"),)),
        Message("user", (Text(text, INTERNAL),)),
    )
    return ChatRequest("r", Principal("key-1", "Anna"), "local/small", messages, sampling=sampling, **changes)


async def test_one_model_keeps_every_promise() -> None:
    """One test, because loading takes longer than all of it."""
    async with real() as model:
        await _answers_in_order(model)
        await _stops(model)
        await _writes_json(model)
        await _calls_a_tool(model)
        await _can_be_cancelled(model)


async def _answers_in_order(model: ChatModel) -> None:
    async with closing(model.stream(ask("What is the capital of France?"))) as events:
        came = [event async for event in events]
    kinds = [type(event) for event in came]
    assert kinds[0] is Started
    assert kinds[-2:] == [Usage, Finish]
    assert kinds.count(Started) == kinds.count(Usage) == kinds.count(Finish) == 1
    assert kinds.count(TextDelta) > 1
    assert "Paris" in "".join(event.text for event in came if isinstance(event, TextDelta))
    usage = came[-2]
    assert isinstance(usage, Usage)
    assert usage.prompt > 10
    assert usage.completion > 1
    assert not usage.estimated


async def _stops(model: ChatModel) -> None:
    short = await complete(model, ask("Count from one to fifty.", 4))
    assert (short.finish, short.usage.completion <= 4) == ("length", True)
    stopped = await complete(model, ask("Say exactly: alpha beta gamma", stop=("beta",)))
    assert "beta" not in stopped.text
    assert stopped.finish == "stop"


async def _writes_json(model: ChatModel) -> None:
    answer = await complete(model, ask("Where is the Eiffel tower?", format=JsonFormat(SCHEMA)))
    assert set(json.loads(answer.text)) == {"city"}


async def _calls_a_tool(model: ChatModel) -> None:
    answer = await complete(model, ask("What is the weather in Bern?", tools=(WEATHER,), tool_choice="required"))
    assert answer.finish == "tool_calls"
    assert answer.tool_calls[0].name == "weather"
    assert answer.tool_calls[0].id
    assert isinstance(json.loads(answer.tool_calls[0].arguments), dict)


async def _can_be_cancelled(model: ChatModel) -> None:
    async with closing(model.stream(ask("Count from one to five hundred.", 1000))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    started = time.monotonic()
    assert (await complete(model, ask("Say hello.", 8))).text
    assert time.monotonic() - started < 20
