"""Clocks that jump, by a day or by years, in either direction: the order is that of ``seq``, and proofs do not care."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from audit_faults_fixtures import SteppingClock, place, told
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.log import Log

JUMPS = st.lists(st.integers(-3650, 3650), min_size=1, max_size=12)


@given(JUMPS)
@settings(max_examples=15, deadline=None)
async def test_entries_keep_their_order_and_checkpoints_hold(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[int]
) -> None:
    home, clock, older = tmp_path_factory.mktemp("home"), SteppingClock(), list[str]()
    opened, expected = Log.in_folder(place(home), clock), list[datetime]()
    for jump in jumps:
        clock.at += timedelta(days=jump)
        expected.append(clock.at + timedelta(milliseconds=1))
        await opened.append({"type": "t"}, flush=jump % 2 == 0)
        await opened.flush()
        older.append(opened.checkpoint())
    await opened.stop()
    reader = Reader(Folder(home / "audit"))
    verify(reader, [Signed(reader.verifier.open(note), note) for note in older])
    entries = [json.loads(entry) for entry in told(home)]
    assert [entry["seq"] for entry in entries] == list(range(len(jumps)))
    assert [datetime.fromisoformat(entry["time"]) for entry in entries] == expected
