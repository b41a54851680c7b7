"""A search finds exactly what a slow and simple look at every entry finds, and a page after page finds the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.governance.audit.answers.moments import Span
from isthmus.governance.audit.answers.search import FIELDS, Query, Scan
from isthmus.governance.audit.answers.story import tell
from isthmus.governance.audit.answers.tally import Tally
from isthmus.governance.audit.tree.entries import encode
from isthmus.labels import Level

START = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = st.sampled_from(
    ["a", "b", "document", "document.added", 'q"\\', "é\u202e", "\x1b[0m", "public", "café", "\ud800"]
)
LEVELS = st.sampled_from(["public", "internal", "confidential", "restricted", "secret", "Public"])
LABEL = st.fixed_dictionaries({}, optional={"level": LEVELS, "categories": st.lists(NAMES, max_size=2)})
PASSAGES = st.lists(st.fixed_dictionaries({}, optional={"document": NAMES, "collection": NAMES}), max_size=2)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "type": NAMES, "request": NAMES, "of": NAMES, "principal": NAMES, "by": NAMES, "subject": NAMES,
        "key": NAMES | st.fixed_dictionaries({"id": NAMES}), "model": NAMES, "collection": NAMES, "document": NAMES,
        "passages": PASSAGES, "label": LABEL, "highest": LABEL, "rule": NAMES, "code": NAMES, "error": NAMES,
        "denied": st.dictionaries(NAMES, NAMES, max_size=2), "rules": st.dictionaries(NAMES, NAMES, max_size=2),
    },
)  # fmt: skip
#: Any shape at all, where ours should be.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
WILD = st.dictionaries(
    st.sampled_from(["type", "request", "label", "highest", "passages", "key", "denied", "rules", "usage", "cost",
                     "findings", "kept", "model", "provider", "vendor", "terms", "admitted", "error", "code"]), JSON,
)  # fmt: skip
FEW = {name: st.frozensets(LEVELS if name == "label" else NAMES, min_size=1, max_size=3) for name in FIELDS}
#: One or two fields at a time: all of them together find nothing.
NAMED = st.lists(st.sampled_from(FIELDS), max_size=2).flatmap(
    lambda some: st.fixed_dictionaries({name: FEW[name] for name in some})
)
QUERY = st.builds(
    lambda named, at_least, time: Query(**named, at_least=at_least, time=time),
    NAMED,
    st.none() | st.sampled_from(Level),
    st.builds(
        lambda a, b: Span(None if a is None else START + a, None if b is None else START + b),
        *2 * [st.none() | st.timedeltas(timedelta(0), timedelta(seconds=20))],
    ),
)


def log(events: list[dict[str, Any]]) -> list[bytes]:
    return [encode(event, index, START + timedelta(seconds=index)) for index, event in enumerate(events)]


def strings(*values: object) -> set[str]:
    return {value for value in values if isinstance(value, str) and value}


def told(event: dict[str, Any], field: str) -> set[str]:
    """What an entry says of a field, spelled out."""
    labels, passages = [event.get("label", {}), event.get("highest", {})], event.get("passages", [])
    key = event.get("key")
    match field:
        case "type":
            kind = event.get("type", "")
            return strings(kind, kind.split(".")[0])
        case "request":
            return strings(event.get("request"), event.get("of"))
        case "principal":
            return strings(*(event.get(name) for name in ("principal", "by", "subject")),
                           key["id"] if isinstance(key, dict) else key)  # fmt: skip
        case "collection" | "document":
            return strings(event.get(field), *(passage.get(field) for passage in passages))
        case "label":
            return strings(*(label.get("level") for label in labels))
        case "category":
            return strings(*(one for label in labels for one in label.get("categories", [])))
        case "rule":
            return strings(event.get("rule"), *event.get("denied", {}).values(), *event.get("rules", {}).values())
        case "code":
            return strings(event.get("code"), event.get("error"))
    return strings(event.get(field))


def wanted(event: dict[str, Any], query: Query) -> bool:
    for field in FIELDS:
        if getattr(query, field) and not getattr(query, field) & told(event, field):
            return False
    if query.at_least is not None:
        order = ["public", "internal", "confidential", "restricted"]
        ranks = [order.index(level) if level in order else 9 for level in told(event, "label")]
        if not any(rank >= query.at_least for rank in ranks):
            return False
    at = datetime.fromisoformat(event["time"])
    after = query.time.since is None or at >= query.time.since
    return after and (query.time.until is None or at < query.time.until)


@settings(deadline=None, max_examples=300)
@given(st.lists(EVENT, max_size=8), QUERY)
def test_a_search_finds_what_a_slow_look_finds(events: list[dict[str, Any]], query: Query) -> None:
    entries = log(events)
    found = [one.index for one in Scan(enumerate(entries)).find(query)]
    assert found == [index for index, entry in enumerate(entries) if wanted(json.loads(entry), query)]


@settings(deadline=None, max_examples=200)
@given(st.lists(WILD, max_size=4), QUERY)
def test_no_shape_stops_a_reader(events: list[dict[str, Any]], query: Query) -> None:
    entries = log(events)
    matching = [index for index, entry in enumerate(entries) if query.matches(json.loads(entry))]
    assert [one.index for one in Scan(enumerate(entries)).find(query)] == matching
    found = list(Scan(enumerate(entries)).find(Query()))
    assert len(found) == len(events)
    json.dumps(tell("a", found).as_dict())
    tally = Tally()
    for one in found:
        tally.begin(one)
        tally.end(one)
    tally.close()
    json.dumps(tally.as_dict())


@settings(deadline=None)
@given(EVENT)
def test_a_query_for_what_an_entry_says_finds_it(event: dict[str, Any]) -> None:
    (entry,) = log([event])
    for field in FIELDS:
        for name in told(json.loads(entry), field):
            query = Query(**{field: frozenset({name})})
            assert [one.index for one in Scan([(0, entry)]).find(query)] == [0], f"{field} is {name}"
