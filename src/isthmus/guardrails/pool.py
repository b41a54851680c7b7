"""Worker processes for heavy guards: started early, replaced when they die, killed when they hang.

Whatever goes wrong with a check raises :class:`GuardUnavailable`: the caller stops. The next check finds a fresh
worker. Not ``ProcessPoolExecutor``: there one dead worker breaks the pool, and one that hangs cannot be killed alone;
and not ``multiprocessing``, whose children import the caller's main module.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from isthmus.errors import GuardUnavailable
from isthmus.guardrails.frames import Question, Reply, Row, frame

_COMMAND = (sys.executable, "-P", "-m", "isthmus.guardrails.worker")
#: All that a worker sees of the environment: no secrets.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "SYSTEMROOT")
_T = TypeVar("_T")
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")


class Pool:
    """``workers`` processes; a check waits for a free one. ``timeout`` in seconds bounds a whole check, the wait and
    a cold start included. ``warm`` names the jobs to run once at the start, so that the first request finds all
    loaded. Works without ``start``: then a worker starts with its first check."""

    def __init__(
        self, workers: int = 1, timeout: float = 30.0, *, warm: Sequence[str] = (), command: Sequence[str] = _COMMAND
    ) -> None:
        self._timeout = timeout
        self._warm = tuple(warm)
        self._workers = [_Worker(command) for _ in range(workers)]
        self._free: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._tasks: set[asyncio.Task[Any]] = set()
        for worker in self._workers:
            self._free.put_nowait(worker)

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def start(self) -> None:
        """Begin warming up, in the background: the server is ready before its guards are, and checks wait."""
        while not self._free.empty():
            self._spawn(self._warm_up(self._free.get_nowait()))

    async def stop(self) -> None:
        """End the processes."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._workers:
            await worker.kill()

    async def ask(self, job: str, text: str) -> list[Row]:
        """What the job finds in the text. Raises :class:`GuardUnavailable`."""
        # A caller that goes away must not leave half an exchange in the pipe: the exchange runs to its end by itself.
        reply = await asyncio.shield(self._spawn(self._ask(job, text)))
        if reply.error:
            raise GuardUnavailable(f"A guard failed ({reply.error}).", hint="`isthmus doctor` says what is missing.")
        return reply.rows

    def _spawn(self, work: Coroutine[None, None, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[_T]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # read here too, in case that the caller is gone

    async def _ask(self, job: str, text: str) -> Reply:
        try:
            async with asyncio.timeout(self._timeout):
                worker = await self._free.get()
                return await self._on(worker, job, text)
        except TimeoutError as error:
            raise GuardUnavailable(f"A guard did not finish within {self._timeout:g} seconds.") from error

    async def _on(self, worker: _Worker, job: str, text: str) -> Reply:
        try:
            return await worker.ask(job, text)
        except BaseException:
            await worker.kill()
            raise
        finally:
            self._free.put_nowait(worker)

    async def _warm_up(self, worker: _Worker) -> None:
        try:
            async with asyncio.timeout(max(self._timeout, 60.0)):
                for job in self._warm:
                    await worker.ask(job, "")
        except (TimeoutError, GuardUnavailable):
            await worker.kill()  # the first check starts it again, and says what is wrong
        finally:
            self._free.put_nowait(worker)


class _Worker:
    """One process and its pipe, started when first asked and again after it died."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def ask(self, job: str, text: str) -> Reply:
        try:
            return await self._exchange(msgspec.json.encode(Question(job, text)))
        except (OSError, EOFError, msgspec.DecodeError) as error:
            raise GuardUnavailable("A guard's process ended before it answered.") from error

    async def _exchange(self, body: bytes) -> Reply:
        if self.pid is None:
            await self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(frame(body))
        await self._process.stdin.drain()
        length = int.from_bytes(await self._process.stdout.readexactly(4), "big")
        return msgspec.json.decode(await self._process.stdout.readexactly(length), type=Reply)

    async def _start(self) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _THREADS
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, env=environment, close_fds=True
        )

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
