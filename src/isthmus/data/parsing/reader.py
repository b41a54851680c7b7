"""Parsing in a process of its own, so that a hostile file ends that process and not the server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass

import msgspec

from isthmus.data.chunking import Chunk
from isthmus.data.parsing.child import LENGTH, Answer, Task
from isthmus.data.parsing.parsed import Parsed
from isthmus.errors import DocumentRejected

#: Names of the environment that the child needs to find its libraries; it gets no other, and so no secret.
_PASSED = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")
_SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A parsed file and its chunks, in order."""

    parsed: Parsed
    chunks: tuple[Chunk, ...]


class Reader:
    """One child reads file after file; it is killed where it takes more than ``seconds`` for one, or dies where it
    needs more than ``memory`` bytes, and the next file gets a new one. Calls wait for each other."""

    def __init__(self, *, seconds: int = 60, memory: int = 2_000_000_000) -> None:
        self._seconds = seconds
        self._memory = memory
        self._child: Process | None = None
        self._turn = asyncio.Lock()

    async def read(self, data: bytes, name: str) -> Reading:
        """Text and chunks. Raises :class:`DocumentRejected`, saying what is wrong and what to do."""
        task = msgspec.msgpack.encode(Task(name, data))
        async with self._turn:
            answer = await self._ask(task)
        if answer.parsed is None:
            raise DocumentRejected(answer.message, hint=answer.hint)
        return Reading(answer.parsed, answer.chunks)

    async def start(self) -> None:
        """Nothing to do: the child starts with the first file."""

    async def stop(self) -> None:
        async with self._turn:
            await self._end()

    async def _ask(self, task: bytes) -> Answer:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._exchange(task)
        except TimeoutError as error:
            raise DocumentRejected(
                f"It took longer than {self._seconds} seconds to read.", hint="Split the file, or convert it to text."
            ) from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise DocumentRejected(
                "The parser died on it (too much memory, or a fault in the file).",
                hint="Open the file in its own program and save it again, or split it.",
            ) from error

    async def _exchange(self, task: bytes) -> Answer:
        done = False
        try:
            child = await self._alive()
            if child.stdin is None or child.stdout is None:
                raise ConnectionError("The parser has no pipes.")
            child.stdin.write(LENGTH.pack(len(task)) + task)
            await child.stdin.drain()
            length = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))[0]
            answer = msgspec.msgpack.decode(await child.stdout.readexactly(length), type=Answer)
            done = True
            return answer
        finally:
            if not done:  # also when cancelled: a half-read answer must not meet the next file
                await self._end()

    async def _alive(self) -> Process:
        if self._child is None or self._child.returncode is not None:
            await self._end()
            command = (sys.executable, "-P", "-m", "isthmus.data.parsing.child", str(self._seconds), str(self._memory))
            self._child = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, cwd="/", env=_environment()
            )
        return self._child

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await asyncio.shield(child.communicate())


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED if name in os.environ} | _SINGLE_THREAD
