"""What the PII guard raises, and what it must leave alone: one real worker for the module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from guard_texts import LETTERS, ORDINARY, PERSONAL

from isthmus.errors import GuardUnavailable
from isthmus.guardrails import pii as module
from isthmus.guardrails.pii import Pii
from isthmus.guardrails.pool import Pool
from isthmus.labels import Level

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guard() -> AsyncIterator[Pii]:
    pool = Pool(timeout=60)
    yield Pii(pool)
    await pool.stop()


@pytest.mark.parametrize("name", LETTERS)
async def test_a_letter_about_a_patient_is_restricted(guard: Pii, name: str) -> None:
    verdict = await guard.check(LETTERS[name], "input")
    assert (verdict.label.level, verdict.label.categories) == (Level.RESTRICTED, {"personal", "health"})
    assert (verdict.action, verdict.rule) == ("allow", "pii.restricted")


@pytest.mark.parametrize("name", PERSONAL)
async def test_what_singles_a_person_out_is_confidential(guard: Pii, name: str) -> None:
    label = (await guard.check(PERSONAL[name], "input")).label
    assert (label.level, label.categories) == (Level.CONFIDENTIAL, {"personal"})


@pytest.mark.parametrize("text", ORDINARY)
async def test_an_ordinary_question_is_not_raised(guard: Pii, text: str) -> None:
    verdict = await guard.check(text, "input")
    assert (verdict.label.level, verdict.label.categories) == (Level.PUBLIC, frozenset())


@pytest.mark.parametrize("text", ["Write to jane.roe@example.org.", "Call me at +49 30 901820."])
async def test_one_way_to_reach_someone_is_internal(guard: Pii, text: str) -> None:
    label = (await guard.check(text, "input")).label
    assert (label.level, label.categories) == (Level.INTERNAL, frozenset())


async def test_findings_point_into_the_text_as_given(guard: Pii) -> None:
    text = "½ – the number is DE\u200b89 3704 0044\u00a00532 0130 00."
    found = [one for one in (await guard.check(text, "input")).findings if one.kind == "IBAN"]
    assert [text[one.start : one.end] for one in found] == ["DE\u200b89 3704 0044\u00a00532 0130 00"]


async def test_a_long_text_is_seen_to_its_end_and_across_cuts(guard: Pii) -> None:
    filler = "The committee met and agreed on the minutes of the meeting. "
    iban = "DE89 3704 0044 0532 0130 00"
    for length in (module.PIECE - 10, module.PIECE - module.OVERLAP, 3 * module.PIECE):
        text = (filler * (length // len(filler) + 1))[:length] + " " + iban + " " + filler
        found = [one for one in await guard.find(text) if one.kind == "IBAN"]
        assert [text[one.start : one.end] for one in found] == [iban]


async def test_what_is_too_long_to_check_does_not_pass(guard: Pii) -> None:
    with pytest.raises(GuardUnavailable, match="too long"):
        await guard.check("x" * (module.MAX_CHARACTERS + 1), "input")


async def test_lone_surrogates_and_nulls_are_checked_like_any_text(guard: Pii) -> None:
    found = await guard.find("\ud800\0 IBAN DE89370400440532013000 \udfff")
    assert "IBAN" in {one.kind for one in found}
