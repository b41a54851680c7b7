"""A replica that appends until it is killed: ``database_writer.py HOME DSN NAME COUNT [HANG_AT]``.

Prints ``INDEX NAME FLUSHED`` when it is told that an entry is recorded; goes on after what it is told is not. Stops
itself (SIGSTOP) at the HANG_AT-th entry, whose time it asks for within its turn.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from audit_replicas import place
from isthmus.clock import SystemClock
from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.postgres.sequencer import DatabaseSequencer
from isthmus.governance.audit.writing.log import Log


def clock(hang_at: int) -> Callable[[], datetime]:
    """A clock that stops the process when it is asked for so many times."""
    asked = 0

    def now() -> datetime:
        nonlocal asked
        asked += 1
        if asked == hang_at:
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # at once: this thread gets no further
        return SystemClock().now()

    return now


async def main(home: str, dsn: str, name: str, count: str, hang_at: str = "0") -> None:
    opened = Log(DatabaseSequencer(place(Path(home), dsn), clock(int(hang_at)), patience=2.0))
    for start in range(0, int(count), 5):

        async def one(i: int) -> None:
            flush = i % 2 == 0
            try:
                index = await opened.append({"type": "t", "name": f"{name}/{i}"}, flush=flush)
                os.write(1, f"{index} {name}/{i} {flush:d}\n".encode())
            except AuditUnavailable as error:
                os.write(2, f"{error.message}\n".encode())
                await asyncio.sleep(0.02)

        await asyncio.gather(*(one(i) for i in range(start, start + 5)))
    await opened.stop()


asyncio.run(main(*sys.argv[1:]))
