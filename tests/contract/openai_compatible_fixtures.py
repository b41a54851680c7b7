"""Making models of rows, requests, and running them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from contract.replay import Replay, Reply, replaying
from isthmus.cards import Card
from isthmus.config import Home, ModelSettings
from isthmus.labels import INTERNAL, Label, Level
from isthmus.messages import ChatRequest, Completion, Message, Text, Tool, fold
from isthmus.models.openai_compatible.provider import OpenAICompatible
from isthmus.models.provider import ProviderContext
from isthmus.models.streams import closing
from isthmus.models.transport import AiohttpTransport
from isthmus.principals import Principal
from isthmus.seams import ChatModel, Transport

KEY = "sk-canary-8ae1f6"
ANNA = Principal("key-canary-77", "Canary Anna", groups=frozenset({"canary-group"}))
LABEL = Label(Level.CONFIDENTIAL, frozenset({"canary-category"}), frozenset({"CH"}))
WEATHER = Tool("weather", "The weather of a city.", {"type": "object", "properties": {"city": {"type": "string"}}})


class NoClock:
    """No adapter needs the time; the transport has the loop's."""

    def now(self) -> datetime:
        raise AssertionError

    def monotonic(self) -> float:
        raise AssertionError

    async def sleep(self, seconds: float) -> None:
        raise AssertionError


def ask(text: str = "Say hello.", **changes: Any) -> ChatRequest:
    """A request that carries everything that must stay here: who, why, and the label."""
    plain: dict[str, Any] = {
        "messages": (
            Message("system", (Text("Be brief.", INTERNAL, "system"),)),
            Message("user", (Text(text, LABEL),)),
        ),
        "purpose": "canary-purpose",
        "floor": LABEL,
    }
    return ChatRequest("req-canary-1", ANNA, "some/model", **plain | changes)


def settings(row: str, url: str, **changes: Any) -> ModelSettings:
    base = {"azure_openai": url}.get(row, f"{url}/v1")
    plain: dict[str, Any] = {
        "id": "some/model",
        "provider": row,
        "base_url": base,
        "model": "m",
        "timeout": 5.0,
        "api_key": "${VENDOR}",
    }
    return ModelSettings(**plain | changes)


def provider(transport: Transport) -> OpenAICompatible:
    return OpenAICompatible(ProviderContext(Home(Path("nowhere")), transport, NoClock(), environment={"VENDOR": KEY}))


@asynccontextmanager
async def model_of(row: str, *replies: Reply, **changes: Any) -> AsyncIterator[tuple[ChatModel, Replay]]:
    """The row's model, in front of a server that replays."""
    async with replaying(*replies) as replay:
        transport = AiohttpTransport()
        try:
            yield provider(transport).chat(settings(row, replay.url, **changes), Card("some/model", row)), replay
        finally:
            await transport.close()


async def complete(model: ChatModel, request: ChatRequest) -> Completion:
    async with closing(model.stream(request)) as events:
        return fold([event async for event in events])
