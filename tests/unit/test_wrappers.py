"""The wrappers: admission, retries, the breaker, the queue and the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from isthmus.cards import Card
from isthmus.errors import (
    InvalidRequest,
    IsthmusError,
    ModelUnavailable,
    PolicyDenied,
    ReviewRequired,
    Upstream,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from isthmus.labels import INTERNAL, Label, Level
from isthmus.messages import ChatEvent, ChatRequest, EmbedRequest, Finish, Message, Started, Text, TextDelta, Usage
from isthmus.models.streams import closing
from isthmus.models.wrappers.admit import Admitted, AdmittedEmbedder
from isthmus.models.wrappers.breaker import Breaking
from isthmus.models.wrappers.concurrency import Limited
from isthmus.models.wrappers.deadline import Deadline
from isthmus.models.wrappers.retry import Retries, Retrying
from isthmus.principals import Principal
from isthmus.seams import Ask, ChatModel, Decision, Embeddings, Obligation

CARD = Card("closed/one", "openai")
ANNA = Principal("key-1", "Anna")
CONFIDENTIAL = Label(Level.CONFIDENTIAL)
WHOLE: tuple[ChatEvent, ...] = (Started("m"), TextDelta("Hello"), Usage(1, 1), Finish("stop"))


def ask(label: Label = INTERNAL) -> ChatRequest:
    return ChatRequest("r", ANNA, CARD.id, (Message("user", (Text("Hi.", label),)),), purpose="care")


class Played:
    """A model that plays one script a call (the last for ever after): events, an error to raise, or a wait."""

    def __init__(self, *scripts: Sequence[ChatEvent | BaseException | float]) -> None:
        self.card = CARD
        self.scripts = scripts
        self.calls = self.running = self.most = 0

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        script = self.scripts[min(self.calls, len(self.scripts) - 1)]
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for step in script:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.running -= 1


class Time:
    """A clock that moves only when someone sleeps on it, or a test moves it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


class Rule:
    """A policy of one decision, that keeps what it was asked."""

    hash = "sha256:p"

    def __init__(self, allowed: bool, *obligations: Obligation) -> None:
        self.decision = Decision(allowed, "clearance", "not cleared", self.hash, frozenset(obligations))
        self.asked: list[Ask] = []

    def decide(self, ask: Ask) -> Decision:
        self.asked.append(ask)
        return self.decision


async def run(model: ChatModel, request: ChatRequest | None = None) -> list[ChatEvent]:
    async with closing(model.stream(request or ask())) as events:
        return [event async for event in events]


async def failure(model: ChatModel) -> IsthmusError:
    with pytest.raises(IsthmusError) as caught:
        await run(model)
    return caught.value


# ---------------------------------------------------------------- all of them


def wrapped(model: ChatModel) -> list[ChatModel]:
    time = Time()
    return [
        Admitted(model, Rule(True)),
        Retrying(model, time),
        Breaking(model, time),
        Limited(model, 1),
        Deadline(model, 9.0),
    ]


async def test_a_wrapper_changes_no_event_and_passes_the_card_through() -> None:
    for wrapper in wrapped(Played(WHOLE)):
        assert wrapper.card is CARD
        assert await run(wrapper) == list(WHOLE)


@pytest.mark.parametrize("number", range(5))
async def test_closing_a_wrapper_closes_what_it_wraps(number: int) -> None:
    model = Played([*WHOLE[:2], 60.0])
    async with closing(wrapped(model)[number].stream(ask())) as events:
        await anext(events)
        assert model.running == 1
    assert model.running == 0


@pytest.mark.parametrize("number", range(5))
async def test_cancelling_a_wrapper_closes_what_it_wraps(number: int) -> None:
    model = Played([60.0])
    task = asyncio.create_task(run(wrapped(model)[number]))
    await asyncio.sleep(0.01)
    assert model.running == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.running == 0


# ---------------------------------------------------------------- admission


async def test_the_policy_is_asked_about_this_text_for_this_model_each_time() -> None:
    policy = Rule(True)
    model = Admitted(Played(WHOLE), policy)
    await run(model, ask(CONFIDENTIAL))
    await run(model, ask())
    assert policy.asked == [Ask(ANNA, CARD, CONFIDENTIAL, "care"), Ask(ANNA, CARD, INTERNAL, "care")]


async def test_a_denied_call_never_begins() -> None:
    model = Played(WHOLE)
    error = await failure(Admitted(model, Rule(False)))
    assert isinstance(error, PolicyDenied)
    assert "'clearance'" in error.message
    assert error.details == {"rule": "clearance", "model": CARD.id, "policy": "sha256:p"}
    assert model.calls == 0


async def test_an_obligation_that_nobody_meets_is_a_refusal() -> None:
    for obligation, kind in (("review", ReviewRequired), ("pseudonymise", PolicyDenied), ("mark", PolicyDenied)):
        model = Played(WHOLE)
        error = await failure(Admitted(model, Rule(True, obligation)))
        assert type(error) is kind
        assert error.details["obligations"] == [obligation]
        assert model.calls == 0


async def test_an_obligation_that_is_met_is_none() -> None:
    assert await run(Admitted(Played(WHOLE), Rule(True, "mark"), frozenset({"mark"}))) == list(WHOLE)
    error = await failure(Admitted(Played(WHOLE), Rule(True, "mark", "review"), frozenset({"mark"})))
    assert error.details["obligations"] == ["review"]


async def test_a_policy_that_breaks_stops_the_call() -> None:
    class Broken(Rule):
        def decide(self, ask: Ask) -> Decision:
            raise RuntimeError("broken")

    model = Played(WHOLE)
    with pytest.raises(RuntimeError):
        await run(Admitted(model, Broken(True)))
    assert model.calls == 0


class OneVector:
    card = Card("e", "local", "embedding")
    dimensions = 2
    calls = 0

    async def embed(self, request: EmbedRequest) -> Embeddings:
        self.calls += 1
        return Embeddings(np.array([[1, 0]], np.float32), 1)


async def test_an_embedder_is_admitted_too() -> None:
    request = EmbedRequest("r", ANNA, "e", (Text("Hi.", CONFIDENTIAL),), "care")
    embedder, policy = OneVector(), Rule(True)
    admitted = AdmittedEmbedder(embedder, policy)
    assert (admitted.card, admitted.dimensions) == (OneVector.card, 2)
    assert (await admitted.embed(request)).tokens == 1
    assert policy.asked == [Ask(ANNA, OneVector.card, CONFIDENTIAL, "care")]
    with pytest.raises(PolicyDenied):
        await AdmittedEmbedder(embedder, Rule(False)).embed(request)
    with pytest.raises(ReviewRequired):
        await AdmittedEmbedder(embedder, Rule(True, "review")).embed(request)
    assert embedder.calls == 1


# ---------------------------------------------------------------- retries


def with_status(status: int, **details: object) -> UpstreamFailed:
    return UpstreamFailed("failed", details={"upstream_status": status, **details})


def limited(retry_after: float | None) -> UpstreamRateLimited:
    return UpstreamRateLimited("slow", details={} if retry_after is None else {"retry_after": retry_after})


@pytest.mark.parametrize(
    "error",
    [UpstreamFailed("cut"), UpstreamTimeout("late"), with_status(500), with_status(503, retry_after=2.0), limited(2.0)],
    ids=repr,
)
async def test_what_another_try_may_cure_is_tried_again(error: Upstream) -> None:
    model, time = Played([error], [error], WHOLE), Time()
    assert await run(Retrying(model, time, jitter=lambda: 1.0)) == list(WHOLE)
    assert model.calls == 3
    asked = error.details.get("retry_after")
    assert time.slept == ([0.5, 1.0] if asked is None else [2.0, 2.0])


@pytest.mark.parametrize(
    "error",
    [
        with_status(401), with_status(404), limited(None), limited(9.0), with_status(503, retry_after=60.0),
        ModelUnavailable("open"), InvalidRequest("no"), PolicyDenied("no"),
    ],
    ids=repr,
)  # fmt: skip
async def test_what_no_try_cures_is_not(error: IsthmusError) -> None:
    model, time = Played([error]), Time()
    assert await failure(Retrying(model, time)) is error
    assert (model.calls, time.slept) == (1, [])


async def test_no_retry_once_anything_was_delivered() -> None:
    model = Played([Started("m"), UpstreamFailed("cut")], WHOLE)
    assert (await failure(Retrying(model, Time()))).message == "cut"
    assert model.calls == 1


@pytest.mark.parametrize("script", [(*WHOLE[:3], Finish("content_filter")), (Started("m"), Usage(), Finish("stop"))])
async def test_a_refusal_is_an_answer(script: Sequence[ChatEvent]) -> None:
    model = Played(script, WHOLE)
    assert await run(Retrying(model, Time())) == list(script)
    assert model.calls == 1


async def test_tries_end() -> None:
    model, time = Played([UpstreamFailed("cut")]), Time()
    assert isinstance(await failure(Retrying(model, time, Retries(attempts=4), lambda: 0.5)), UpstreamFailed)
    assert model.calls == 4
    assert time.slept == [0.25, 0.5, 1.0]


async def test_no_retry_starts_after_the_deadline() -> None:
    model, time = Played([UpstreamFailed("cut")]), Time()
    await failure(Retrying(model, time, Retries(attempts=9, base=4.0, within=10.0), lambda: 1.0))
    assert time.slept == [4.0]
    assert model.calls == 2


# ---------------------------------------------------------------- the breaker


async def opened(time: Time, *after: Sequence[ChatEvent | BaseException | float]) -> tuple[Breaking, Played]:
    model = Played(*[[UpstreamFailed("ill")]] * 3, *after)
    breaking = Breaking(model, time, failures=3, cool_down=10.0)
    for _ in range(3):
        assert type(await failure(breaking)) is UpstreamFailed
    return breaking, model


async def test_it_opens_and_says_for_how_long() -> None:
    time = Time()
    breaking, model = await opened(time, WHOLE)
    time.seconds += 4
    error = await failure(breaking)
    assert isinstance(error, ModelUnavailable)
    assert error.details["retry_after"] == 6.0
    assert model.calls == 3


async def test_it_closes_again_after_a_call_that_succeeds() -> None:
    time = Time()
    breaking, model = await opened(time, WHOLE, [UpstreamFailed("ill")], WHOLE)
    time.seconds += 10
    assert await run(breaking) == list(WHOLE)
    assert type(await failure(breaking)) is UpstreamFailed
    assert await run(breaking) == list(WHOLE)
    assert model.calls == 6


async def test_a_try_that_fails_opens_it_again() -> None:
    time = Time()
    breaking, _ = await opened(time, [UpstreamTimeout("ill")])
    time.seconds += 10
    assert type(await failure(breaking)) is UpstreamTimeout
    assert type(await failure(breaking)) is ModelUnavailable
    time.seconds += 10
    assert type(await failure(breaking)) is UpstreamTimeout


async def test_one_call_tries_at_a_time_and_one_that_goes_away_frees_its_place() -> None:
    time = Time()
    breaking, _ = await opened(time, [*WHOLE[:2], 60.0], WHOLE)
    time.seconds += 10
    async with closing(breaking.stream(ask())) as events:
        await anext(events)
        assert type(await failure(breaking)) is ModelUnavailable
    assert await run(breaking) == list(WHOLE)


@pytest.mark.parametrize(
    "error", [limited(1.0), InvalidRequest("no"), with_status(401), ModelUnavailable("busy")], ids=repr
)
async def test_what_does_not_say_that_the_server_is_ill_does_not_open_it(error: IsthmusError) -> None:
    model = Played([error])
    breaking = Breaking(model, Time(), failures=2)
    for _ in range(5):
        assert await failure(breaking) is error
    assert model.calls == 5


async def test_an_answer_in_between_starts_the_count_again() -> None:
    ill = [UpstreamFailed("ill")]
    model = Played(ill, WHOLE, ill, WHOLE, ill, WHOLE)
    breaking = Breaking(model, Time(), failures=2)
    for _ in range(3):
        await failure(breaking)
        async with closing(breaking.stream(ask())) as events:  # a caller that stops at the finish
            async for event in events:
                if isinstance(event, Finish):
                    break
    assert model.calls == 6


# ---------------------------------------------------------------- the queue


async def test_at_most_so_many_run_at_once_and_in_order() -> None:
    model = Played([Started("m"), 0.01, Finish("stop")])
    queue = Limited(model, 2)
    order: list[int] = []

    async def one(number: int) -> None:
        async with closing(queue.stream(ask())) as events:
            await anext(events)
            order.append(number)
            async for _ in events:
                pass

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(one(number))
    assert model.most == 2
    assert order == list(range(8))


async def test_a_turn_that_does_not_come() -> None:
    model = Played([60.0])
    queue = Limited(model, 1, wait=0.05)
    first = asyncio.create_task(run(queue))
    await asyncio.sleep(0)
    error = await failure(queue)
    assert isinstance(error, ModelUnavailable)
    assert error.details["retry_after"] == 0.05
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert model.calls == 1


async def test_who_goes_away_leaves_the_queue_and_no_place_is_lost() -> None:
    model = Played([0.02, *WHOLE])
    queue = Limited(model, 1)
    tasks = [asyncio.create_task(run(queue)) for _ in range(6)]
    await asyncio.sleep(0)
    for gone in tasks[1:4]:
        gone.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [False, True, True, True, False, False]
    assert model.calls == 3
    assert await run(queue) == list(WHOLE)


async def test_a_failure_frees_its_place() -> None:
    queue = Limited(Played([UpstreamFailed("cut")], WHOLE), 1, wait=0.05)
    await failure(queue)
    assert await run(queue) == list(WHOLE)


# ---------------------------------------------------------------- the deadline


@pytest.mark.parametrize("rest", [[60.0], [0.03, TextDelta("…")] * 100], ids=["silent", "never silent"])
async def test_a_call_that_takes_too_long_ends(rest: Sequence[ChatEvent | float]) -> None:
    model = Played([Started("m"), 0.02, TextDelta("Hello"), *rest])
    came: list[ChatEvent] = []

    async def call() -> None:
        async with closing(Deadline(model, 0.2).stream(ask())) as events:
            async for event in events:
                came.append(event)

    async with asyncio.timeout(2):
        with pytest.raises(UpstreamTimeout, match=CARD.id):
            await call()
    assert came[:2] == [Started("m"), TextDelta("Hello")]
    assert model.running == 0
