"""Reading a long log: what a search, a story and a count cost. ``python -m benchmarks.audit_reading [ENTRIES]``."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from isthmus.governance.audit.answers.moments import Span
from isthmus.governance.audit.answers.search import Query, Scan, oldest_first
from isthmus.governance.audit.answers.sent import Recipient, count_sent
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.reading.proven import proven
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Journal, Place

_BATCH = 10_000


def pair(i: int) -> Iterator[dict[str, object]]:
    """An intent and its outcome, of the fields and sizes that the pipeline writes."""
    who: dict[str, object] = {
        "request": f"req_{i:024x}", "principal": f"key_{i % 50:012x}", "purpose": "support", "model": "closed/frontier",
        "label": {"level": "internal", "categories": ["personal"]},
    }  # fmt: skip
    yield {
        **who, "type": "intent", "asked": "auto", "provider": "openai_compatible", "vendor": "api.example.com",
        "locality": "api", "jurisdiction": "US", "retention": "none", "texts": 3, "images": 0, "characters": 1200,
        "rule": "vendors-with-terms", "obligations": ["mark"], "policy": "sha256:" + "a" * 64, "attempt": 1,
        "reason": "closed: the question asks for reasoning", "admitted": ["closed/frontier", "local/open"],
        "candidates": ["closed/frontier"], "denied": {"closed/second": "terms-expired"}, "findings": {"email": 1},
        "found": {}, "passages": [{"document": f"doc_{i % 999}", "chunk": "c1", "collection": "handbook"}],
        "prompt": "ab" * 32,
    }  # fmt: skip
    usage = {"prompt": 300, "completion": 80, "cached": 0, "reasoning": 0, "estimated": False}
    cost = {"amount": "0.002100", "currency": "USD"}
    facts = {
        "snapshot": "frontier-1",
        "weights": "",
        "finish": "stop",
        "usage": usage,
        "cost": cost,
        "answer": "cd" * 32,
    }
    yield {**who, "type": "outcome", **facts}


def fill(home: Path, entries: int) -> Reader:
    place = Place(home / "audit", home / "secrets" / "log-signing-key", "example.org/log")
    journal = Journal(place, lambda: datetime.now(UTC), Files())
    for start in range(0, entries // 2, _BATCH):
        events = [event for i in range(start, min(start + _BATCH, entries // 2)) for event in pair(i)]
        with journal.turn():
            journal.write(events)
            journal.flush()
    journal.close()
    return Reader(Folder(home / "audit"))


def measure(what: str, work: Callable[[], object]) -> None:
    began = time.process_time()
    found = work()
    print(f"{what}: {time.process_time() - began:.1f} s of CPU, {found}")


def main(entries: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reader = fill(Path(folder), entries)

        def count(query: Query) -> str:
            return f"{sum(1 for _ in Scan(oldest_first(reader), genuine=proven(reader)).find(query))} entries"

        print(f"{entries} entries")
        measure("a pass that checks nothing", lambda: f"{sum(1 for _ in oldest_first(reader))} entries")
        measure("one request", lambda: count(Query(request=frozenset({f"req_{entries // 3:024x}"}))))
        measure("one principal of 50", lambda: count(Query(principal=frozenset({"key_000000000007"}))))
        measure("every entry decoded", lambda: count(Query()))
        whom = Recipient("api.example.com")
        measure("what a vendor received", lambda: f"{count_sent(reader, whom, Span()).tally.total.attempts} attempts")
        print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB at most, filling included")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
