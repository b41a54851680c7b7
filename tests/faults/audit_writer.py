"""A process that appends until it is killed: ``audit_writer.py HOME NAME COUNT``; prints ``INDEX NAME`` when told."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from audit_faults_fixtures import log


async def main(home: str, name: str, count: str) -> None:
    opened = log(Path(home))
    for start in range(0, int(count), 5):

        async def one(i: int) -> None:
            index = await opened.append({"type": "t", "name": f"{name}/{i}"}, flush=i % 2 == 0)
            os.write(1, f"{index} {name}/{i}\n".encode())

        await asyncio.gather(*(one(i) for i in range(start, start + 5)))
    await opened.stop()


asyncio.run(main(*sys.argv[1:]))
