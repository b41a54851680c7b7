"""Reading a log: stories, both directions, pages, times, and logs that are short, torn, empty, huge or broken."""

from __future__ import annotations

import itertools
import json
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isthmus.errors import InvalidRequest, NotFound, VerificationFailed
from isthmus.governance.audit.answers.bounded import account
from isthmus.governance.audit.answers.moments import Span, moment, span
from isthmus.governance.audit.answers.naming import requests_like, slip, unknown
from isthmus.governance.audit.answers.pages import MOST_READ, newest_page, oldest_page
from isthmus.governance.audit.answers.search import Found, Query, Scan, newest_first, oldest_first, signed_size
from isthmus.governance.audit.answers.story import About, Story, tell
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.layout import bundle_path
from isthmus.governance.audit.tree.storage import Folder
from unit.audit_reading_fixtures import START, call, ended, write

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def found(reader: Reader, **fields: str) -> list[Found]:
    query = Query(**{name: frozenset({value}) for name, value in fields.items()})
    return list(Scan(oldest_first(reader)).find(query))


def story(tmp_path: Path, *events: dict[str, Any]) -> Story:
    about = About("req_1")
    return tell("req_1", *about.sorted(Scan(oldest_first(write(tmp_path, events))).find(about)))


def told(told: Story) -> dict[str, list[str]]:
    by: dict[str, list[str]] = {}
    for step in told.steps:
        by.setdefault(step.what, []).append(step.told)
    return by


# ---------------------------------------------------------------- stories


def test_a_story_from_the_question_to_the_answer(tmp_path: Path) -> None:
    other, intent = call(2), call(1)
    one = story(tmp_path, other, intent, ended(other), ended(intent))
    assert (one.request, one.end, one.tone) == ("req_1", "answered by closed/frontier", "good")
    assert one.began == START + timedelta(milliseconds=500)
    assert [step.index for step in one.steps if step.what in ("sent", "answered")] == [1, 3]
    assert one.steps[-1].after == 0.5
    assert told(one) == {
        "asked": ["by key_1, for support"],
        "labelled": ["internal · personal"],
        "found": ["email × 2"],
        "grounded": ["on 1 passage of handbook (doc_9)"],
        "admitted": ["closed/frontier, local/echo"],
        "denied": ["closed/second by terms-expired"],
        "routed": ["to closed/frontier (auto was asked for), which vendors-with-terms admits"],
        "why": ["the question asks for reasoning"],
        "rule": ["asks: mark"],
        "sent": [
            "to closed/frontier at api.vendor.example:8443: it left the premises; this entry was on disk first; "
            "2 texts, 120 characters"
        ],
        "terms": ["keeps nothing, contract DPA-1, processed in US"],
        "answered": ["closed/frontier, 100 tokens in and 20 out, 0.000600 USD, finish: stop"],
    }


def test_a_failover_is_told_once_each(tmp_path: Path) -> None:
    first = call(1)
    second = call(1, model="local/echo", locality="in_process", vendor="", provider="scripted", attempt=2)
    one = story(tmp_path, first, ended(first, "failed"), second, ended(second, finish="length"))
    by = told(one)
    assert by["failed"] == ["closed/frontier: upstream_timeout; it may have received the text"]
    assert [line.split(":")[0] for line in by["sent"]] == [
        "to closed/frontier at api.vendor.example",
        "to local/echo, attempt 2",
    ]
    assert (len(by["asked"]), len(by["labelled"]), len(by["denied"])) == (1, 1, 1)
    assert one.end == "answered by local/echo"


def test_what_was_never_asked_has_received_nothing(tmp_path: Path) -> None:
    intent = call(1)
    one = story(
        tmp_path, ended(intent, "failed", code="budget_exceeded"), ended(intent, "stopped", code="budget_exceeded")
    )
    assert told(one)["failed"] == ["closed/frontier: budget_exceeded; it was not asked"]
    assert one.end == "failed: budget_exceeded"


def test_a_refusal_names_each_rule(tmp_path: Path) -> None:
    rules = {"closed/a": "terms-expired", "closed/b": "terms-expired", "local/c": "not-cleared"}
    stop = ended(call(1, model="auto"), "stopped", code="no_admissible_model", rules=rules)
    one = story(tmp_path, stop)
    assert (one.end, one.tone) == ("refused: no_admissible_model", "bad")
    assert told(one)["denied"] == ["local/c by not-cleared", "closed/a, closed/b by terms-expired"]
    (tmp_path / "two").mkdir()
    named = ended(call(1), "stopped", code="policy_denied", rule="terms-expired")
    assert told(story(tmp_path / "two", named))["denied"] == ["closed/frontier by terms-expired"]


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ([call(1)], "unfinished: no entry says how it ended. It is still going on, or its server died"),
        ([call(1), ended(call(1), error="cancelled", finish="cut")], "cut short: cancelled"),
        ([call(1), ended(call(1), "stopped", code="cancelled")], "the client left"),
        ([ended(call(1), "abstained", reason="cosine .1")], "answered without a model: nothing relevant was found"),
        ([{"type": "content.opened", "request": "req_1", "by": "uid:0", "why": "a complaint"}], "unfinished"),
        ([{"type": "of.the.future", "request": "req_1", "shape": [{"x": None}]}], "unfinished"),
    ],
    ids=["open", "cut", "left", "abstained", "opened", "unknown"],
)  # fmt: skip
def test_how_a_request_ended(tmp_path: Path, events: list[dict[str, Any]], end: str) -> None:
    assert story(tmp_path, *events).end.startswith(end)


def test_a_query_that_was_embedded_belongs_to_its_request(tmp_path: Path) -> None:
    embed = call(7, of="req_1", model="closed/embed")
    done = {**ended(embed), "of": "req_1", "texts": 1, "tokens": 9}
    for name in ("usage", "finish", "snapshot", "answer"):
        del done[name]
    one = story(tmp_path, embed, done)
    assert told(one)["embedded"] == ["closed/embed, 1 text of 9 tokens embedded, 0.000600 USD"]
    assert one.tone == "open", "the request itself has not ended"


def test_an_entry_of_any_depth_is_told(tmp_path: Path) -> None:
    deep: Any = "end"
    for _ in range(300):
        deep = {"a": [deep]}
    assert story(tmp_path, {"type": "new", "request": "req_1", "deep": deep}).steps[0].told == "deep: a: a: a: …"


@pytest.mark.parametrize(
    ("later", "fate"),
    [
        ({"type": "subject.erased", "subject": "key_1"}, "; destroyed since, by the erasure: entry 2"),
        ({"type": "content.expired", "before": "2026-03-02T00:00:00+00:00"}, "; destroyed since, by its age: entry 2"),
        ({"type": "subject.erased", "subject": "key_2"}, ""),
        ({"type": "content.expired", "before": "2026-02-01T00:00:00+00:00"}, ""),
        ({"type": "content.expired", "before": "yesterday"}, ""),
    ],
)  # fmt: skip
def test_what_was_kept_says_what_became_of_it(tmp_path: Path, later: dict[str, Any], fate: str) -> None:
    intent = call(1, kept=True)
    one = story(tmp_path, intent, ended(intent, kept=True), later)
    assert told(one)["kept"] == [f"the text that was sent, sealed{fate}", f"the answer, sealed{fate}"]
    assert {step.index for step in one.steps} == {0, 1}, "what became of it is no step of the request"


def test_the_bounded_story_says_it_too(tmp_path: Path) -> None:
    intent = call(1, kept=True)
    reader = write(tmp_path, [intent, ended(intent), {"type": "subject.erased", "subject": "key_1"}, call(2)])
    found = account(reader, "req_1")
    assert ([one.index for one in found.found], [one.index for one in found.later]) == ([0, 1], [2])


def test_an_erasure_from_before_destroyed_nothing_of_it(tmp_path: Path) -> None:
    intent = call(1, kept=True)
    one = story(tmp_path, {"type": "subject.erased", "subject": "key_1"}, intent, ended(intent))
    assert told(one)["kept"] == ["the text that was sent, sealed"]


def test_an_opening_says_who_and_why(tmp_path: Path) -> None:
    events = [{"type": kind, "request": "req_1", "by": "uid:0"} for kind in ("content.opened", "content.disclosed")]
    assert told(story(tmp_path, {**events[0], "why": "a complaint"}, events[1])) == {
        "opened": ["by uid:0: a complaint"],
        "disclosed": ["by uid:0"],
    }


# ---------------------------------------------------------------- names


def test_a_request_is_found_by_how_its_id_begins(tmp_path: Path) -> None:
    reader = write(tmp_path, [call(1), call(10), call(2, request="req_ab12"), call(3, request="req_x", of="req_ab77")])
    for given, meant in [
        ("req_1", ["req_1"]), ("req_10", ["req_10"]), ("req_ab1", ["req_ab12"]), ("chatcmpl-ab12", ["req_ab12"]),
        ("req_ab", ["req_ab12", "req_ab77"]), ("", []), ("req_9", []), ("key_1", []), ("q_1", []), ("chatcmpl-zz", []),
    ]:  # fmt: skip
        assert requests_like(oldest_first(reader), given) == meant
    many = write(tmp_path / "many", [call(i) for i in range(20, 60)])
    assert len(requests_like(oldest_first(many), "req_")) == 6


def test_names_that_no_entry_has(tmp_path: Path) -> None:
    reader = write(tmp_path, [call(1), ended(call(1))])
    names = {"principal": {"key_1", "bob"}, "rule": {"typo"}, "type": {"intent"}}
    query = Query(**{field: frozenset(some) for field, some in names.items()})  # type: ignore[arg-type]
    assert unknown(oldest_first(reader), query) == {"principal": ["bob"], "rule": ["typo"]}
    assert slip("principal", "bob").startswith("No entry has the principal 'bob': a principal is a key's id")


# ---------------------------------------------------------------- both directions


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_both_directions_and_pages_tell_the_same(tmp_path: Path, size: int) -> None:
    reader = write(tmp_path, [{"type": "a" if i % 3 else "b", "i": i} for i in range(size)])
    up, down = list(oldest_first(reader)), list(newest_first(reader))
    assert [index for index, _ in up] == list(range(size))
    assert down == up[::-1]
    assert list(newest_first(reader, 256)) == up[:256][::-1]
    assert list(oldest_first(reader, 256)) == up[256:]
    query = Query(type=frozenset({"b"}))
    wanted = [index for index in range(size) if index % 3 == 0]
    start, seen = 0, list[int]()
    while True:
        page = oldest_page(reader, query, start, 7)
        seen += [one.index for one in page.found]
        start = page.next
        if page.complete:
            break
    assert (seen, start) == (wanted, size)
    before: int | None = None
    seen = []
    while True:
        page = newest_page(reader, query, before, 7)
        seen += [one.index for one in page.found]
        before = page.next
        if page.complete:
            break
    assert seen == wanted[::-1]


def test_what_is_not_signed_for_yet_is_read_too(tmp_path: Path) -> None:
    reader = write(tmp_path, [{"type": "a"}] * 300)
    note = (tmp_path / "audit" / "checkpoint").read_bytes()
    write(tmp_path, [{"type": "b"}] * 400)
    for slot in ("checkpoint", "checkpoint.alternate"):
        (tmp_path / "audit" / slot).write_bytes(note)
    assert signed_size(reader) == 300
    assert [index for index, _ in newest_first(reader)] == list(range(699, -1, -1))


def test_an_empty_log_a_torn_entry_and_no_log(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Reader(Folder(tmp_path / "nobody"))
    reader = write(tmp_path, [])
    assert (list(oldest_first(reader)), list(newest_first(reader)), signed_size(reader)) == ([], [], 0)
    reader = write(tmp_path, [call(1), call(2)])
    bundle = bundle_path(tmp_path / "audit", 0)
    bundle.write_bytes(bundle.read_bytes() + b"\x00\x40{half")
    assert [one.index for one in found(reader, principal="key_2")] == [1]
    assert [index for index, _ in newest_first(reader)] == [1, 0]


def test_half_a_log_is_no_answer(tmp_path: Path) -> None:
    reader = write(tmp_path, [{"type": "a"}] * 600)
    bundle_path(tmp_path / "audit", 1).unlink()
    for entries in (oldest_first(reader), newest_first(reader)):
        with pytest.raises(VerificationFailed, match="Entry 256 is missing"):
            list(entries)


def test_an_entry_that_was_changed_is_told(tmp_path: Path) -> None:
    reader = write(tmp_path, [call(1), call(2), call(3)])
    bundle = bundle_path(tmp_path / "audit", 0)
    bundle.write_bytes(bundle.read_bytes().replace(b'"seq":1', b'"seq":7'))
    scan = Scan(oldest_first(reader))
    assert [one.index for one in scan.find(Query())] == [0, 2]
    assert (scan.broken, scan.read, scan.last) == ([1], 3, 2)


def test_a_large_log_in_little_time_and_memory(tmp_path: Path) -> None:
    """10,000 entries of about a kilobyte: found by their bytes, so that few are decoded; one bundle at a time."""
    events = itertools.chain.from_iterable((call(i), ended(call(i))) for i in range(5000))
    reader = write(tmp_path, events)
    began = time.process_time()
    assert [one.index for one in found(reader, request="req_4321")] == [8642, 8643]
    assert len(found(reader, principal="key_1", type="outcome")) == 1667
    assert time.process_time() - began < 10
    tracemalloc.start()
    try:
        assert sum(1 for _ in Scan(oldest_first(reader)).find(Query(label=frozenset({"internal"})))) == 10_000
        assert sum(1 for _ in itertools.islice(newest_first(reader), 5000)) == 5000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert MOST_READ < 100_000, "a page's work is bounded"


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-03", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-14", datetime(2026, 3, 14, tzinfo=UTC)),
        ("2026-03-14T09:30:00Z", datetime(2026, 3, 14, 9, 30, tzinfo=UTC)),
        ("2026-03-14T09:30:00.5+02:00", datetime(2026, 3, 14, 7, 30, 0, 500_000, tzinfo=UTC)),
        (" 7d ", datetime(2026, 3, 7, 12, tzinfo=UTC)),
        ("12h", datetime(2026, 3, 14, tzinfo=UTC)),
        ("90m", datetime(2026, 3, 14, 10, 30, tzinfo=UTC)),
    ],
)
def test_moments_as_people_write_them(written: str, meant: datetime) -> None:
    assert moment(written, "from", NOW) == meant


@pytest.mark.parametrize(
    "written",
    ["", "yesterday", "2026-13", "2026-02-30", "2026-03-14T09:30:00", "999999d", "0001-01-01T00:00:00+14:00", "٣d",
     "7 d", "\x1b[31m", "2026-03-14 09:30", "1e3d", "-1d", "x" * 5000],
)  # fmt: skip
def test_what_is_no_moment_names_its_field(written: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        moment(written, "until", NOW)
    assert error.value.message.startswith("until: ")
    assert len(error.value.message) < 200


def test_a_span_holds_its_beginning_and_not_its_end() -> None:
    march = span("2026-03", "2026-04", NOW)
    assert march.holds(datetime(2026, 3, 1, tzinfo=UTC))
    assert not march.holds(datetime(2026, 4, 1, tzinfo=UTC))
    assert not march.holds(None)
    assert Span().holds(None)
    assert march.as_dict() == {"from": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"}
    for until in ("2026-03", "2026-02"):
        with pytest.raises(InvalidRequest, match="until"):
            span("2026-03", until, NOW)


def test_a_story_is_plain_data(tmp_path: Path) -> None:
    json.dumps(story(tmp_path, call(1), ended(call(1))).as_dict())
