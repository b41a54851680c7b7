"""A replica that appends until it is killed: ``database_writer.py HOME DSN NAME COUNT``.

Prints ``INDEX NAME FLUSHED`` when it is told that an entry is recorded; goes on after what it is told is not.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from audit_replicas import log, place
from isthmus.errors import AuditUnavailable


async def main(home: str, dsn: str, name: str, count: str) -> None:
    opened = log(place(Path(home), dsn), patience=2.0)
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
