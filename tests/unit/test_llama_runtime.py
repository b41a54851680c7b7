"""The memory budget: loaded once, the longest idle goes first, what is in use stays."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import pytest
from llama_clock import ManualClock

from isthmus.errors import ModelUnavailable
from isthmus.models.llama_cpp.runtime import Runtime


@dataclass
class Weights:
    """``cost`` bytes; counts its loads; ``gate`` holds loading up, ``broken`` makes the next load fail."""

    name: str
    cost: int
    gate: threading.Event | None = None
    broken: bool = False
    loads: int = 0
    closed: int = 0

    def load(self) -> Loaded:
        self.loads += 1
        if self.gate is not None:
            self.gate.wait(5)
        if self.broken:
            raise ModelUnavailable("broken")
        return Loaded(self)


@dataclass
class Loaded:
    weights: Weights
    log: list[str] = field(default_factory=list)

    def close(self) -> None:
        self.weights.closed += 1


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def runtime(clock: ManualClock, budget: int = 100, wait: float = 0.2) -> Runtime[Loaded]:
    return Runtime(budget, 60.0, clock, wait=wait)


async def use(held: Runtime[Loaded], weights: Weights) -> None:
    async with held.using(weights) as loaded:
        assert loaded.weights is weights


async def emptied(held: Runtime[Loaded]) -> None:
    async with asyncio.timeout(5):
        while held.loaded:  # noqa: ASYNC110  the runtime tells nobody
            await asyncio.sleep(0.005)


async def test_concurrent_first_requests_load_once(clock: ManualClock) -> None:
    weights = Weights("a", 10)
    held = runtime(clock)
    await asyncio.gather(*(use(held, weights) for _ in range(8)))
    assert weights.loads == 1


async def test_the_longest_idle_goes_first(clock: ManualClock) -> None:
    a, b, c = Weights("a", 40), Weights("b", 40), Weights("c", 40)
    held = runtime(clock)
    for weights in (a, b, a, c):
        await use(held, weights)
        clock.seconds += 1
    assert held.loaded == ("a", "c")
    assert (a.closed, b.closed) == (0, 1)


async def test_what_can_never_fit_says_both_sizes(clock: ManualClock) -> None:
    with pytest.raises(ModelUnavailable, match=r"300 MB.*200 MB"):
        await use(runtime(clock, 200_000_000), Weights("big", 300_000_000))


async def test_a_model_in_use_is_never_unloaded(clock: ManualClock) -> None:
    a, b = Weights("a", 60), Weights("b", 60)
    held = runtime(clock)
    async with held.using(a):
        with pytest.raises(ModelUnavailable, match="a in use"):
            await use(held, b)
        clock.seconds += 1000
        await held.sweep()
        assert a.closed == 0
    await use(held, b)
    assert a.closed == 1


async def test_a_waiting_load_starts_when_the_other_model_is_left(clock: ManualClock) -> None:
    a, b = Weights("a", 60), Weights("b", 60)
    held = runtime(clock, wait=5)
    async with held.using(a):
        waiting = asyncio.create_task(use(held, b))
        await asyncio.sleep(0.02)
        assert b.loads == 0
    await waiting
    assert held.loaded == ("b",)


async def test_idle_models_are_unloaded_in_time(clock: ManualClock) -> None:
    a, b = Weights("a", 10), Weights("b", 10)
    held = runtime(clock)
    await use(held, a)
    clock.seconds += 45
    await use(held, b)
    clock.seconds += 30
    await held.sweep()
    assert held.loaded == ("b",)


async def test_the_sweeper_runs_between_start_and_stop(clock: ManualClock) -> None:
    a, b = Weights("a", 10), Weights("b", 10)
    held = runtime(clock)
    await held.start()
    await use(held, a)
    await emptied(held)
    await use(held, b)
    await held.stop()
    assert (a.closed, b.closed, held.loaded) == (1, 1, ())


async def test_a_load_that_fails_is_tried_anew(clock: ManualClock) -> None:
    weights = Weights("a", 80, broken=True)
    held = runtime(clock)
    results = await asyncio.gather(*(use(held, weights) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ModelUnavailable] * 3
    assert held.loaded == ()
    weights.broken = False
    await use(held, weights)


async def test_who_stops_waiting_does_not_stop_the_load(clock: ManualClock) -> None:
    weights = Weights("a", 10, gate=threading.Event())
    held = runtime(clock)
    impatient = asyncio.create_task(use(held, weights))
    patient = asyncio.create_task(use(held, weights))
    await asyncio.sleep(0.02)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert weights.gate is not None
    weights.gate.set()
    await patient
    assert weights.loads == 1


async def test_a_failed_load_that_nobody_awaits_holds_no_memory(clock: ManualClock) -> None:
    weights = Weights("a", 80, gate=threading.Event(), broken=True)
    held = runtime(clock)
    impatient = asyncio.create_task(use(held, weights))
    await asyncio.sleep(0.02)
    impatient.cancel()
    assert weights.gate is not None
    weights.gate.set()
    await emptied(held)
    await use(held, Weights("b", 80))
    await held.stop()


async def test_the_budget_holds_under_any_order_of_use(clock: ManualClock) -> None:
    every = [Weights(str(n), 10 * n) for n in range(1, 7)]
    held = runtime(clock, wait=5)

    async def worker(seed: int) -> None:
        for step in range(12):
            weights = every[(seed * 7 + step * step) % len(every)]
            async with held.using(weights):
                assert weights.loads == weights.closed + 1
                assert sum(one.cost for one in every if one.loads > one.closed) <= 100
                await asyncio.sleep(0.001)

    await asyncio.gather(*(worker(seed) for seed in range(4)))
    await held.stop()
    assert all(weights.loads == weights.closed for weights in every)
