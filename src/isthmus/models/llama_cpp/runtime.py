"""Several models under one memory budget: loaded when first asked, unloaded when idle or when room is needed.

The rules: a model is loaded once however many ask for it together; what is in use is never unloaded; the model
unused for longest goes first; loads and unloads happen off the event loop. It knows nothing of llama.cpp.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from isthmus.errors import ModelUnavailable
from isthmus.seams import Clock

_MEGABYTE = 1_000_000


class Closable(Protocol):
    def close(self) -> None:
        """Give the memory back. May block."""
        ...


T = TypeVar("T", bound=Closable)
T_co = TypeVar("T_co", bound=Closable, covariant=True)


class Loadable(Protocol[T_co]):
    """A model that is not in memory yet. ``cost`` in bytes, once loaded; ``name`` identifies it."""

    @property
    def name(self) -> str: ...

    @property
    def cost(self) -> int: ...

    def load(self) -> T_co:
        """May block. Raises :class:`isthmus.errors.IsthmusError`."""
        ...


@dataclass(slots=True)
class _Seat(Generic[T]):
    cost: int
    loading: asyncio.Task[T]
    used: float
    users: int = 0

    @property
    def idle(self) -> bool:
        return self.users == 0 and self.loading.done()


class Runtime(Generic[T]):
    """``budget`` in bytes; ``idle``: seconds unused after which a model is unloaded; ``wait``: seconds that a request
    waits at most for models in use to make room. A ``seams.Part``."""

    def __init__(self, budget: int, idle: float, clock: Clock, *, wait: float = 60.0) -> None:
        self._budget = budget
        self._idle = idle
        self._clock = clock
        self._wait = wait
        self._seats: dict[str, _Seat[T]] = {}
        self._room = asyncio.Lock()
        self._left = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the models that hold memory."""
        return tuple(self._seats)

    @asynccontextmanager
    async def using(self, model: Loadable[T]) -> AsyncIterator[T]:
        """The loaded model, kept in memory for as long as the context lasts.

        Raises :class:`ModelUnavailable` where it cannot fit, now or ever, and what loading raises.
        """
        seat = await self._seat(model)
        seat.users += 1
        try:
            yield await asyncio.shield(seat.loading)  # who stops waiting does not stop the others' load
        finally:
            seat.users -= 1
            seat.used = self._clock.monotonic()
            self._left.set()

    async def start(self) -> None:
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """Unload everything; calls must have ended."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
            self._sweeper = None
        for name in self.loaded:
            await self._unload(name)

    async def sweep(self) -> None:
        """Unload what has been unused for ``idle`` seconds."""
        async with self._room:
            before = self._clock.monotonic() - self._idle
            for name in [name for name, seat in self._seats.items() if seat.idle and seat.used <= before]:
                await self._unload(name)

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(max(1.0, self._idle / 4))
            await self.sweep()

    async def _seat(self, model: Loadable[T]) -> _Seat[T]:
        if model.cost > self._budget:
            raise ModelUnavailable(
                f"{model.name} needs {_size(model.cost)} of memory; local models may use {_size(self._budget)}.",
                hint="Raise runtime.memory, give the model a smaller `context`, or take smaller weights.",
            )
        async with self._room:  # one at a time makes room; the queue is fair
            if model.name not in self._seats:
                await self._make_room(model)
                loading = asyncio.create_task(asyncio.to_thread(model.load))
                self._seats[model.name] = _Seat(model.cost, loading, self._clock.monotonic())
                loading.add_done_callback(partial(self._loaded, model.name))
            return self._seats[model.name]

    async def _make_room(self, model: Loadable[T]) -> None:
        try:
            async with asyncio.timeout(self._wait):
                while model.cost > self._budget - sum(seat.cost for seat in self._seats.values()):
                    await self._free_one()
        except TimeoutError:
            raise ModelUnavailable(
                f"There is no room for {model.name} ({_size(model.cost)}): {', '.join(self._seats)} in use.",
                hint="Try again shortly, or raise runtime.memory.",
            ) from None

    async def _free_one(self) -> None:
        """Unload the model that has been idle for longest, or wait until one is."""
        idle = [name for name, seat in self._seats.items() if seat.idle]
        if idle:
            await self._unload(min(idle, key=lambda name: self._seats[name].used))
            return
        self._left.clear()
        await self._left.wait()

    async def _unload(self, name: str) -> None:
        """The seat goes first, so that nobody sits down while the memory is given back."""
        seat = self._seats.pop(name)
        model = await seat.loading
        await asyncio.shield(asyncio.to_thread(model.close))

    def _loaded(self, name: str, loading: asyncio.Task[T]) -> None:
        """A load that failed holds no seat: the next request tries anew."""
        if loading.cancelled() or loading.exception() is not None:
            del self._seats[name]
        self._left.set()


def _size(count: int) -> str:
    return f"{count / _MEGABYTE:,.0f} MB"
