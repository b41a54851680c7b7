"""What the record does with a decision that says keep: sealed before it is recorded, and nothing ends well without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.cards import Card
from isthmus.config import Home
from isthmus.errors import StoreUnavailable
from isthmus.governance.audit.commitments import opens
from isthmus.labels import INTERNAL
from isthmus.messages import ChatRequest, Completion, EmbedRequest, Message, Text, ToolCall
from isthmus.orchestration.admission import Admission
from isthmus.orchestration.label import Findings
from isthmus.orchestration.record import Ended, Intent, Recorder, content
from isthmus.principals import Principal
from isthmus.seams import Decision
from unit.vault_fixtures import World

ADA = Principal("key_ada", "Ada")
CARD = Card("closed/frontier", "openai")
KEEP = Decision(True, "keep-it", "", "sha256:0", frozenset({"keep", "mark"}))
LEAVE = replace(KEEP, obligations=frozenset({"mark"}))
TURNS = (
    Message("system", (Text("Be brief.", INTERNAL),)),
    Message("user", (Text("Where is it?", INTERNAL), Text("And since when?", INTERNAL))),
)
REQUEST = ChatRequest("req_1", ADA, CARD.id, TURNS)
CALLS = (ToolCall("call_1", "look", '{"at": "it"}'),)
ANSWER = Completion("On the shelf.", "They ask where.", tool_calls=CALLS, finish="stop")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = World(Home(tmp_path / "home"))
    await opened.log.start()
    yield opened
    await opened.close()


def intent(decision: Decision) -> Intent:
    return Intent(Admission({CARD.id: decision}, (CARD,), "sha256:0"), CARD, "named", Findings())


def full(world: World) -> None:
    """The database may not grow any more."""
    with world.database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


async def test_prompt_and_answer_are_kept_as_they_were_committed_to(world: World) -> None:
    recorder = Recorder(world.log, world.vault)
    await recorder.intent(REQUEST, intent(KEEP))
    await recorder.outcome(REQUEST, Ended(CARD, KEEP, ANSWER))
    kept = {one.kind: one for one in world.vault.opened("req_1")}
    texts = {kind: one.text for kind, one in kept.items()}
    assert texts == {
        "prompt": "Be brief.\x1eWhere is it?\x1eAnd since when?",
        "answer": "On the shelf.",
        "reasoning": "They ask where.",
        "calls": '[{"name": "look", "arguments": "{\\"at\\": \\"it\\"}"}]',
    }
    first, last = world.entries()
    salt = world.vault.salt(ADA.id, "req_1") or b""
    assert opens(first["prompt"], salt, content(REQUEST))
    assert opens(last["answer"], salt, "On the shelf.")
    assert first["sealed"] | last["sealed"] == {kind: one.digest for kind, one in kept.items()}


async def test_what_is_not_to_be_kept_is_not(world: World) -> None:
    recorder = Recorder(world.log, world.vault)
    await recorder.intent(REQUEST, intent(LEAVE))
    await recorder.outcome(REQUEST, Ended(CARD, LEAVE, ANSWER))
    assert world.vault.opened("req_1") == []
    assert all(not {"kept", "sealed"} & set(entry) for entry in world.entries())


async def test_an_empty_answer_that_was_cut_is_kept_as_such(world: World) -> None:
    recorder = Recorder(world.log, world.vault)
    await recorder.outcome(REQUEST, Ended(CARD, KEEP, Completion(""), "upstream_failed"))
    assert [(one.kind, one.text) for one in world.vault.opened("req_1")] == [("answer", "")]
    assert world.entries()[0]["error"] == "upstream_failed"


async def test_texts_to_embed_are_kept_too(world: World) -> None:
    request = EmbedRequest("req_2", ADA, CARD.id, (Text("one", INTERNAL), Text("two", INTERNAL)))
    await Recorder(world.log, world.vault).intent(request, intent(KEEP))
    assert [one.text for one in world.vault.opened("req_2")] == ["one\x1etwo"]


async def test_a_prompt_that_cannot_be_kept_is_no_intent(world: World) -> None:
    await world.vault.commit(ADA.id, "req_0", "she is known")
    full(world)
    large = replace(REQUEST, messages=(Message("user", (Text("large " * 50_000, INTERNAL),)),))
    with pytest.raises(StoreUnavailable):
        await Recorder(world.log, world.vault).intent(large, intent(KEEP))
    assert world.entries() == []


async def test_an_answer_that_cannot_be_kept_is_recorded_and_does_not_end_well(world: World) -> None:
    recorder = Recorder(world.log, world.vault)
    await recorder.intent(REQUEST, intent(KEEP))
    full(world)
    with pytest.raises(StoreUnavailable):
        await recorder.outcome(REQUEST, Ended(CARD, KEEP, replace(ANSWER, text="large " * 50_000)))
    outcome = world.entries()[-1]
    assert (outcome["type"], outcome["error"]) == ("outcome", "store_unavailable")
    assert not {"answer", "kept", "sealed"} & set(outcome)
    assert [one.kind for one in world.vault.opened("req_1")] == ["prompt"]
