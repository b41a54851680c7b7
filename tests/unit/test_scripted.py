"""The scripted model: what the script says, with a chat model's manners."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_clock import ManualClock

from isthmus.cards import Card
from isthmus.config import Home, ModelSettings
from isthmus.errors import ModelUnavailable, UpstreamFailed
from isthmus.labels import PUBLIC
from isthmus.messages import ChatRequest, Completion, EmbedRequest, Message, Sampling, Text, TextDelta, fold
from isthmus.models.provider import ProviderContext
from isthmus.models.scripted import Scripted, ScriptedProvider
from isthmus.models.transport import AiohttpTransport
from isthmus.principals import Principal

CARD = Card("local/scripted", "scripted")


def made(options: dict[str, Any], clock: ManualClock | None = None) -> Scripted:
    context = ProviderContext(Home(Path("home")), AiohttpTransport(), clock or ManualClock())
    model = ScriptedProvider(context).chat(ModelSettings(id="m", provider="scripted", options=options), CARD)
    assert isinstance(model, Scripted)
    return model


def ask(text: str = "one two", **sampling: Any) -> ChatRequest:
    message = Message("user", (Text(text, PUBLIC),))
    return ChatRequest("r", Principal("p", "t"), "m", (message,), sampling=Sampling(**sampling))


async def answer(model: Scripted, request: ChatRequest) -> Completion:
    return fold([event async for event in model.stream(request)])


async def test_replies_come_in_turn_and_over_again() -> None:
    model = made({"replies": ["First one.", "Second."]})
    assert [(await answer(model, ask())).text for _ in range(3)] == ["First one.", "Second.", "First one."]
    assert len(model.requests) == 3


async def test_words_stream_and_are_counted() -> None:
    model = made({"echo": True})
    events = [event async for event in model.stream(ask("one  two\nthree"))]
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["one  ", "two\n", "three"]
    whole = fold(events)
    assert (whole.usage.prompt, whole.usage.completion, whole.finish) == (3, 3, "stop")


async def test_stop_and_max_tokens_are_obeyed() -> None:
    model = made({"echo": True})
    assert (await answer(model, ask("a b c d", max_tokens=2))).text == "a b "
    assert (await answer(model, ask("a b c d", max_tokens=2))).finish == "length"
    stopped = await answer(model, ask("a b c d", stop=("d", "c")))
    assert (stopped.text, stopped.finish) == ("a b ", "stop")


async def test_calls_reasoning_and_refusals() -> None:
    reply = {"reasoning": "hm", "refusal": "no", "calls": [{"name": "f", "arguments": {"x": 1}}, {"name": "g"}]}
    whole = await answer(made({"replies": [reply]}), ask())
    assert (whole.reasoning, whole.refusal, whole.finish) == ("hm", "no", "tool_calls")
    assert [(call.name, json.loads(call.arguments)) for call in whole.tool_calls] == [("f", {"x": 1}), ("g", {})]
    assert whole.usage.reasoning == 1


async def test_failures_happen_when_they_are_due() -> None:
    model = made(
        {"replies": ["a b c"], "failures": [{"call": 2}, {"call": 3, "error": "model_unavailable", "after": 2}]}
    )
    await answer(model, ask())
    with pytest.raises(UpstreamFailed):
        await anext(model.stream(ask()))
    events = model.stream(ask())
    assert len([await anext(events) for _ in range(2)]) == 2
    with pytest.raises(ModelUnavailable):
        await anext(events)
    assert (await answer(model, ask())).finish == "stop"


async def test_a_cut_stream_has_no_finish() -> None:
    whole = await answer(made({"replies": ["a b"], "failures": [{"call": 1, "error": "cut", "after": 2}]}), ask())
    assert (whole.text, whole.finish) == ("a ", None)


async def test_delays_are_the_clocks() -> None:
    clock = ManualClock()
    await answer(made({"replies": ["a b"], "delay": 2.0}, clock), ask())
    assert clock.seconds == 2.0 * 5  # started, two words, usage, finish


async def test_the_embedder_puts_like_by_like() -> None:
    context = ProviderContext(Home(Path("home")), AiohttpTransport(), ManualClock())
    settings = ModelSettings(id="e", provider="scripted", kind="embedding", options={"dimensions": 256})
    embedder = ScriptedProvider(context).embedder(settings, CARD)
    texts = tuple(Text(text, PUBLIC) for text in ("red apple", "red pear", "blue sky", ""))
    vectors = (await embedder.embed(EmbedRequest("r", Principal("p", "t"), "e", texts))).vectors
    assert vectors.shape == (4, 256)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
