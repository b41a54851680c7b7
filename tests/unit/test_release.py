"""Stop 7: what the model says becomes what the client gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from isthmus.errors import GuardBlocked, UpstreamFailed
from isthmus.messages import (
    ChatEvent,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
    fold,
)
from isthmus.orchestration.release import Release
from isthmus.orchestration.streams import Primed

SECRET = "hunter2"


@dataclass
class HoldBack:
    """A window that waits for the end, then redacts one word; it blocks on another."""

    held: str = ""
    closed: bool = False

    async def feed(self, text: str) -> str:
        self.held += text
        if "forbidden" in self.held:
            raise GuardBlocked("No.")
        return ""

    async def close(self) -> str:
        self.closed = True
        return self.held.replace(SECRET, "[redacted]")


class Upper:
    """A stage before the window."""

    def feed(self, text: str) -> str:
        return text.upper()

    def close(self) -> str:
        return "!"


@dataclass
class Source:
    """A stream that knows whether it was closed."""

    events: Sequence[ChatEvent]
    closed: bool = field(default=False)

    async def stream(self) -> AsyncIterator[ChatEvent]:
        try:
            for event in self.events:
                yield event
        finally:
            self.closed = True


async def released(events: Sequence[ChatEvent], **release) -> list[ChatEvent]:
    return [event async for event in Release(HoldBack, **release).events(Source(events).stream())]


async def test_every_kind_of_text_passes_a_window_of_its_own():
    out = fold(
        await released(
            [
                Started("m"), TextDelta("a hun"), ReasoningDelta("b hunter2"), RefusalDelta("c hunter2"),
                ToolCallDelta(0, '{"x": "hunt', "call_0", "f"), ToolCallDelta(1, '{"y": "hunter2"}', "call_1", "g"),
                TextDelta("ter2"), ToolCallDelta(0, 'er2"}'), Usage(1, 2), Finish("stop"),
            ]
        )
    )  # fmt: skip
    assert out.text == "a [redacted]"
    assert out.reasoning == "b [redacted]"
    assert out.refusal == "c [redacted]"
    assert [call.arguments for call in out.tool_calls] == ['{"x": "[redacted]"}', '{"y": "[redacted]"}']
    assert (out.usage.total, out.finish) == (3, "stop")


async def test_the_stage_comes_before_the_window():
    assert fold(await released([TextDelta("ab"), Finish("stop")], stage=Upper())).text == "AB!"


async def test_logprobs_spell_out_tokens_so_they_go_only_with_text_that_was_not_changed():
    token = {"token": "x"}
    same = fold(await released([TextDelta("fine", (token,)), Finish("stop")]))
    assert (same.text, same.logprobs) == ("fine", (token,))
    changed = fold(await released([TextDelta(SECRET, (token,)), Finish("stop")]))
    assert (changed.text, changed.logprobs) == ("[redacted]", ())


async def test_a_window_that_blocks_ends_the_stream_and_closes_the_model():
    source = Source([TextDelta("for"), TextDelta("bidden"), Finish("stop")])
    with pytest.raises(GuardBlocked):
        _ = [event async for event in Release(HoldBack).events(source.stream())]
    assert source.closed


async def test_what_a_cut_stream_left_in_the_window_is_not_released():
    assert fold(await released([TextDelta("half of a sec")])).text == ""


async def test_a_primed_stream_is_closed_even_if_nobody_iterates_it():
    source = Source([TextDelta("a"), TextDelta("b")])
    primed = await Primed.start(source.stream())
    assert not source.closed
    await primed.aclose()
    assert source.closed


async def test_a_primed_stream_gives_everything_once_and_raises_what_comes_before_the_first_event():
    primed = await Primed.start(Source([TextDelta("a"), TextDelta("b")]).stream())
    assert [event async for event in primed] == [TextDelta("a"), TextDelta("b")]

    async def fails() -> AsyncIterator[ChatEvent]:
        raise UpstreamFailed("No.")
        yield

    with pytest.raises(UpstreamFailed):
        await Primed.start(fails())
