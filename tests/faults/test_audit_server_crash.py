"""A real server, killed while it answers: benchmarks/server_crash.py does it many times."""

from __future__ import annotations

import random
from pathlib import Path

from server_crash_story import Kept, live, site

from flow.served import vendor


def test_kill_9_of_a_server_loses_no_answer_and_hides_nothing_that_was_sent(tmp_path: Path) -> None:
    chance, kept = random.Random(11), Kept(tmp_path)
    with vendor() as outside:
        served, key = site(tmp_path, outside)
        for life in range(3):
            kept.take(live(served, key, outside, f"life{life}", chance), outside)
            assert list(kept.faults()) == []
    assert len(kept.answers) > 10
    assert len(kept.received) > 5
