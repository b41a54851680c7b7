"""The same answers from a log that replicas share in a database: a reader asks the seam, and never where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit_replicas import place, sequencer
from isthmus.governance.audit.answers.evidence import write_evidence
from isthmus.governance.audit.answers.moments import Span
from isthmus.governance.audit.answers.pages import newest_page
from isthmus.governance.audit.answers.search import Query, Scan, newest_first, oldest_first
from isthmus.governance.audit.answers.sent import Recipient, count_sent
from isthmus.governance.audit.postgres.storage import Rows
from isthmus.governance.audit.reading.reader import Reader
from postgres_server import postgres
from unit.audit_reading_fixtures import call, ended


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """600 entries."""
    home = tmp_path_factory.mktemp("home")
    with postgres() as server:
        dsn = server.dsn(server.database())
        with closing(sequencer(place(home, dsn))) as writer:
            writer.commit([event for i in range(300) for event in (call(i), ended(call(i)))], flush=True)
        rows = Rows(dsn)
        yield Reader(rows)
        rows.close()


def test_search_pages_and_both_directions(reader: Reader) -> None:
    up = list(oldest_first(reader))
    assert [index for index, _ in up] == list(range(600))
    assert list(newest_first(reader)) == up[::-1]
    query = Query(principal=frozenset({"key_1"}), type=frozenset({"outcome"}))
    assert len(list(Scan(oldest_first(reader)).find(query))) == 100
    page = newest_page(reader, query, None, 3)
    assert [one.index for one in page.found] == [597, 591, 585]
    assert newest_page(reader, query, 10**18, 3).found == page.found


def test_what_a_vendor_received_with_evidence(reader: Reader, tmp_path: Path) -> None:
    span = Span(datetime(2020, 1, 1, tzinfo=UTC))
    answer = count_sent(reader, Recipient("api.vendor.example"), span)
    assert (answer.tally.total.attempts, answer.tally.total.answered) == (300, 300)
    assert write_evidence(reader, answer, tmp_path / "evidence") == 600
