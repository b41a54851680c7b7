"""What is asked by HTTP reads a part of the log, says which, and answers as reading all of it would."""

from __future__ import annotations

import resource
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isthmus.errors import InvalidRequest, NotFound
from isthmus.governance.audit.answers.bounded import account, count_within
from isthmus.governance.audit.answers.moments import Span
from isthmus.governance.audit.answers.pages import newest_page, oldest_page
from isthmus.governance.audit.answers.resting import resting
from isthmus.governance.audit.answers.search import Query, Scan, oldest_first
from isthmus.governance.audit.answers.sent import Recipient, count_sent
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.layout import bundle_path
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Journal, Place
from unit.audit_reading_fixtures import START, Ticking, call, ended, write

WHOM = Recipient("closed/frontier", frozenset({"closed/frontier"}))
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def embedded(i: int) -> dict[str, Any]:
    """The query that was embedded for a request, before its own intent."""
    return call(i, request=f"emb_{i}", of=f"req_{i}", model="local/embed")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """3000 entries, a minute from each to the next: 1000 requests, each with a query that was embedded for it; the
    first was looked into long afterwards."""
    events = [event for i in range(1000) for event in (embedded(i), call(i), ended(call(i)))]
    opened = {"type": "content.opened", "request": "req_0", "by": "uid:0", "why": "a complaint"}
    return write(tmp_path_factory.mktemp("home"), [*events, opened], MINUTE)


def whole(reader: Reader, request: str) -> list[int]:
    """What reading all finds."""
    return [one.index for one in Scan(oldest_first(reader)).find(Query(request=frozenset({request})))]


@pytest.mark.parametrize("i", [0, 1, 85, 86, 500, 998, 999])
def test_a_story_is_the_one_that_reading_all_tells(reader: Reader, i: int) -> None:
    found = account(reader, f"req_{i}")
    assert [one.index for one in found.found] == whole(reader, f"req_{i}")
    assert found.complete
    assert found.next <= 3 * i
    assert 3 * i - found.next < 600, "it does not go on to the beginning"


def test_a_story_that_lies_far_back_is_found_page_by_page(reader: Reader) -> None:
    before: int | None = None
    for _ in range(3):
        with pytest.raises(NotFound) as nothing:
            account(reader, "req_500", before, most=400)
        before = int(str(nothing.value.details["before_entry"]))
        assert f"before_entry={before}" in nothing.value.hint
    found = account(reader, "req_500", before, most=400)
    assert [one.index for one in found.found] == whole(reader, "req_500")


def test_a_story_that_a_page_cuts_says_so(reader: Reader) -> None:
    found = account(reader, "req_500", 1502, most=1)
    assert ([one.index for one in found.found], found.complete, found.next) == ([1500, 1501], False, 1500)
    assert account(reader, "req_500", 1502).complete


def test_no_such_request(reader: Reader) -> None:
    with pytest.raises(NotFound, match="no entry of this request"):
        account(reader, "nobody")
    with pytest.raises(NotFound, match="on, the log has none"):
        account(reader, "nobody", most=3000)
    for before in (0, 1):
        with pytest.raises(NotFound):
            account(reader, "req_500", before)
    assert account(reader, "req_999", 10**17).complete


@pytest.mark.parametrize(
    ("since", "until"),
    [(0, None), (0, 10), (49, 50), (47.5, 48.5), (-5, 1), (25, 25.2), (200, 300), (200, None), (-9, -8)],
)
def test_a_count_is_the_one_that_reading_all_gives(reader: Reader, since: float, until: float | None) -> None:
    span = Span(START + since * HOUR, None if until is None else START + until * HOUR)
    counted, within = count_within(reader, WHOM, span)
    assert counted.as_dict() == count_sent(reader, WHOM, span).as_dict()
    if until is not None:
        assert len(within) <= (until - since + 2) * 60 + 3 * 256


def test_a_time_with_too_much_in_it_is_refused_before_it_is_read(reader: Reader) -> None:
    span = Span(START)
    with pytest.raises(InvalidRequest, match=r"^from: that time has about 3001 entries") as refused:
        count_within(reader, WHOM, span, most=1000)
    assert "isthmus audit sent" in refused.value.hint
    counted, within = count_within(reader, WHOM, Span(START + 48 * HOUR), most=1000)
    assert (counted.tally.total.attempts > 0, len(within) <= 1000) == (True, True)


def test_a_clock_that_jumps_within_an_hour_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, [event for i in range(300) for event in (call(i), ended(call(i)))], timedelta(seconds=10))
    # set back by half an hour: what follows lies in times that were there before
    place = Place(tmp_path / "audit", tmp_path / "secrets" / "log-signing-key", "example.org/log")
    journal = Journal(place, Ticking(timedelta(seconds=10), START + timedelta(minutes=70)), Files())
    journal.commit([event for i in range(300, 600) for event in (call(i), ended(call(i)))], flush=True)
    journal.close()
    reader = Reader(Folder(tmp_path / "audit"))
    for minutes in range(0, 200, 7):
        span = Span(START + minutes * MINUTE, START + (minutes + 5) * MINUTE)
        assert count_within(reader, WHOM, span)[0].as_dict() == count_sent(reader, WHOM, span).as_dict()


def test_an_empty_log_has_nothing(tmp_path: Path) -> None:
    reader = write(tmp_path, [])
    assert count_within(reader, Recipient("m", frozenset({"m"})), Span(datetime(2020, 1, 1, tzinfo=UTC)))[1] == range(0)
    with pytest.raises(NotFound):
        account(reader, "req_1")


def test_what_was_changed_is_told_and_not_shown(tmp_path: Path) -> None:
    reader = write(tmp_path, [event for i in range(200) for event in (call(i), ended(call(i)))])
    bundle = bundle_path(tmp_path / "audit", 0)
    bundle.write_bytes(bundle.read_bytes().replace(b'"finish":"stop"', b'"finish":"stoq"', 1))
    found = account(reader, "req_0")
    assert ([one.index for one in found.found], found.broken) == ([0], (1,))
    counted, _ = count_within(reader, WHOM, Span(START))
    assert (counted.broken, counted.tally.total.answered) == ((1,), 199)
    assert newest_page(reader, Query(request=frozenset({"req_0"})), None, 10).broken == (1,)
    assert oldest_page(reader, Query(request=frozenset({"req_0"})), 0, 10).broken == (1,)


def test_work_is_broken_by_rests() -> None:
    """A rest is a sleep, which gives the processor away of one's own will."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    for _ in resting(range(20)):
        end = time.thread_time() + 0.003
        while time.thread_time() < end:
            pass
    assert resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before >= 20
