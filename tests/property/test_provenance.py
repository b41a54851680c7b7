"""Text that was labelled before is recognised when it comes back, and ordinary text is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from isthmus.data.database import Database
from isthmus.data.fingerprints import RUN, exact, fingerprints
from isthmus.data.provenance import StoredProvenance
from isthmus.labels import PUBLIC, Label, Level

KEY = b"k" * 32
CONFIDENTIAL = Label(Level.CONFIDENTIAL, frozenset({"strategy"}))
MEMO = (
    "The board agreed on 3 March to buy Brennholt Optics under the working title Heron. The price shall not exceed "
    "eleven million, and the escrow account is DE-ESCROW-77412. Nobody outside the board may hear of it before June."
)
word = st.text(st.characters(categories=("Lu", "Ll", "Nd")), min_size=1, max_size=9)


@pytest.fixture
def provenance(tmp_path: Path) -> Iterator[StoredProvenance]:
    database = Database(tmp_path / "isthmus.db")
    provenance = StoredProvenance(database, KEY, lambda: datetime(2026, 1, 2, tzinfo=UTC))
    with database.write() as connection:
        provenance.index(connection, 1, [(MEMO, CONFIDENTIAL)])
    yield provenance
    database.close()


@given(st.lists(word, min_size=RUN, max_size=40), st.sampled_from([" ", "\n", "  ", " - ", ", "]))
def test_punctuation_case_and_white_space_change_no_fingerprint(words, glue):
    plain, dressed = " ".join(words), glue.join(words).upper() + "."
    if plain.upper().casefold() == plain.casefold():  # case folding of a few letters is not reversible
        assert fingerprints(plain, KEY).runs == fingerprints(dressed, KEY).runs
        assert exact(plain, KEY) == exact(dressed, KEY)


@given(st.text(), st.text())
def test_fingerprints_are_63_bits_and_depend_on_the_key(one, other):
    marks = fingerprints(one + " a b c d e " + other, KEY)
    assert marks.runs
    assert all(0 <= mark < 2**63 for mark in marks.all)
    assert marks.all.isdisjoint(fingerprints(one + " a b c d e " + other, b"x" * 32).all)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(0, 30), st.integers(RUN + 1, 25), st.text(max_size=80), st.text(max_size=80))
def test_any_six_words_in_a_row_are_recognised_wherever_they_stand(provenance, start, length, before, after):
    words = MEMO.split()
    quoted = " ".join(words[start : start + length])
    if len(quoted.split()) > RUN:
        assert CONFIDENTIAL.flows_to(provenance.recognise(f"{before} {quoted} {after}"))


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of Finland?",
        "The board agreed on a new coffee machine.",
        "Please summarise this paragraph for me in two sentences, and keep the tone friendly.",
        "",
        "\u200b",
    ],
)
def test_ordinary_text_raises_nothing(provenance, text):
    assert provenance.recognise(text) == PUBLIC


@pytest.mark.parametrize(
    "text",
    [
        "what is de-escrow-77412?",
        "Write to escrow@brennholt.example please.",
        "The violet octopus counts lanterns.",
        "Say nothing about the crimson walrus protocol!",
        "What does BLUE-HERON-PLAN mean?",
        "Dial 004930123456.",
    ],
)
def test_one_telling_phrase_or_identifier_is_enough(provenance, text):
    told = "It rests on the crimson walrus protocol. A violet octopus counts lanterns. BLUE-HERON-PLAN, 004930123456. "
    with provenance._database.write() as connection:
        provenance.index(connection, 3, [(told + MEMO + " Ask escrow@brennholt.example.", CONFIDENTIAL)])
    assert provenance.recognise(text) == CONFIDENTIAL


@pytest.mark.parametrize("text", ["On 2026-03-03 we met.", "COVID-19 in May", "the state-of-the-art", "3 March 2026"])
def test_dates_and_common_codes_are_no_identifiers(text):
    assert not fingerprints(text, KEY).identifiers


def test_what_also_stands_in_a_public_document_raises_nothing(provenance):
    with provenance._database.write() as connection:
        provenance.index(connection, 2, [(MEMO, PUBLIC)])
    assert provenance.recognise("The board agreed on 3 March to buy Brennholt Optics under the") == PUBLIC


def test_an_answer_is_recognised_at_once_and_after_it_is_written(provenance):
    answer = "They plan to acquire a maker of lenses before the summer, for at most eleven million."
    provenance.remember(answer, CONFIDENTIAL, "What does the board plan?", "ada")
    for _ in range(2):
        assert provenance.answered(answer.upper(), "ada") == CONFIDENTIAL
        assert provenance.recognise(f"Rephrase: {answer}") == CONFIDENTIAL
        assert provenance.answered("They plan nothing.", "ada") is None
        assert provenance.answered(answer, "bob") is None
        provenance.flush()


def test_what_an_answer_repeats_of_the_question_is_not_the_answers(provenance):
    question = "Tell me what the works council said about the canteen prices in spring."
    provenance.remember(f"{question} It objected.", CONFIDENTIAL, question, "ada")
    assert provenance.recognise(question) == PUBLIC


async def test_stopping_while_it_writes_loses_nothing(tmp_path: Path):
    """The writer's thread goes on when the task that waits for it is told to stop."""
    database = Slow(tmp_path / "isthmus.db")
    provenance = StoredProvenance(database, KEY, lambda: datetime(2026, 1, 2, tzinfo=UTC))
    await provenance.start()
    provenance.remember("An answer that is being written when the server stops.", CONFIDENTIAL, "", "ada")
    await asyncio.sleep(0.6)  # the write has begun
    await provenance.stop()
    database.close()
    again = StoredProvenance(Database(tmp_path / "isthmus.db"), KEY, lambda: datetime(2026, 1, 2, tzinfo=UTC))
    assert again.answered("an answer that is being written when the server stops", "ada") == CONFIDENTIAL
    again._database.close()


class Slow(Database):
    """A disk that takes its time."""

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as connection:
            time.sleep(0.3)
            yield connection
