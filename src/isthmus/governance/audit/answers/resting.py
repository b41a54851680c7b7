"""Reading beside whoever answers questions: work a little, rest as long, so that other threads are not kept waiting.

Python runs one thread at a time, and one that computes is asked to let go only after 5 ms: a server's loop would wait
that long at each of its steps. Letting go without a rest (``sleep(0)``) was measured to change nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
#: Seconds of work, and then of rest.
_BEAT_S = 0.002


def resting(values: Iterable[_T]) -> Iterator[_T]:
    """The same values; what is done with each counts as work."""
    since = time.perf_counter()
    for value in values:
        yield value
        if time.perf_counter() - since > _BEAT_S:
            time.sleep(_BEAT_S)
            since = time.perf_counter()
