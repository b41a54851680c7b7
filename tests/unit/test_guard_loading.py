"""Guards by name, and several as one."""

from __future__ import annotations

import asyncio

import pytest

from isthmus.config import GuardSettings
from isthmus.errors import ConfigInvalid, GuardUnavailable
from isthmus.guardrails import load_guards
from isthmus.guardrails.loading import load
from isthmus.guardrails.pool import Pool
from isthmus.guardrails.together import Together
from isthmus.labels import Label, Level
from isthmus.seams import Finding, Stage, Verdict


class Scripted:
    """Answers with one verdict, or raises; counts how often it was asked."""

    def __init__(self, outcome: Verdict | Exception, name: str = "scripted") -> None:
        self.name = name
        self.asked = 0
        self._outcome = outcome

    async def check(self, text: str, stage: Stage) -> Verdict:
        self.asked += 1
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


PERSONAL = Verdict("allow", Label(Level.CONFIDENTIAL, frozenset({"personal"})), (Finding("IBAN", 0, 2),), "pii")
SECRET = Verdict("redact", Label(Level.RESTRICTED, frozenset({"secret"})), (Finding("key", 3, 5),), "secrets")
BLOCKED = Verdict("block", rule="topic")


async def test_labels_join_findings_add_up_and_the_strictest_action_wins() -> None:
    verdict = await Together([Scripted(PERSONAL), Scripted(SECRET), Scripted(Verdict())]).check("text", "input")
    assert verdict.label == Label(Level.RESTRICTED, frozenset({"personal", "secret"}))
    assert [one.kind for one in verdict.findings] == ["IBAN", "key"]
    assert (verdict.action, verdict.rule) == ("redact", "secrets")
    assert (await Together([Scripted(SECRET), Scripted(BLOCKED)]).check("text", "input")).rule == "topic"


@pytest.mark.parametrize("error", [GuardUnavailable("down"), ValueError("boom"), TimeoutError()])
async def test_one_that_cannot_tell_stops_all(error: Exception) -> None:
    with pytest.raises(GuardUnavailable):
        await Together([Scripted(PERSONAL), Scripted(error)]).check("text", "input")


async def test_a_text_is_checked_once_for_each_stage_and_a_failure_is_not_remembered() -> None:
    guard, broken = Scripted(PERSONAL), Scripted(ValueError())
    both = Together([guard], memory=2)
    for text, stage in (("a", "input"), ("a", "input"), ("a", "output"), ("\ud800", "input"), ("a", "input")):
        assert await both.check(text, stage) == PERSONAL  # type: ignore[arg-type]
    assert guard.asked == 4  # the third text pushed the first out
    for _ in range(2):
        with pytest.raises(GuardUnavailable):
            await Together([broken]).check("a", "input")
    assert broken.asked == 2


def test_built_ins_come_through_the_entry_points() -> None:
    pool = Pool()
    assert [load(name, GuardSettings(), pool).name for name in ("secrets", "pii")] == ["secrets", "pii"]
    with pytest.raises(ConfigInvalid, match="no guard 'nonsense'"):
        load("nonsense", GuardSettings(), pool)


def test_a_guard_that_cannot_watch_a_stream_is_refused_for_output() -> None:
    with pytest.raises(ConfigInvalid, match="cannot watch a stream"):
        load_guards(GuardSettings(output=["pii"]))


async def test_no_guards_means_no_workers() -> None:
    guards = load_guards(GuardSettings(input=[], output=["secrets"]))
    await guards.start()
    window = guards.window()
    assert await window.feed("hello ") + await window.close() == "hello "
    assert guards.input == ()
    await guards.stop()
    await asyncio.sleep(0)
