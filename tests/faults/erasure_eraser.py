"""A process that erases subjects until it is killed: ``erasure_eraser.py HOME SUBJECT…``; says when it begins each."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from isthmus.config import Home
from unit.vault_fixtures import World


async def main(home: str, *subjects: str) -> None:
    world = World(Home(Path(home)))
    await world.log.start()
    for subject in subjects:
        os.write(1, f"{subject}\n".encode())
        await world.erasures.erase(subject, by="uid:1", why="asked")
    await world.close()


asyncio.run(main(*sys.argv[1:]))
