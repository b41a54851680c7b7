"""What the guards cost: ``python benchmarks/guards.py [FILE.jsonl]`` (texts to measure on; else built-in prose).

Prints the start of a cold pool (seconds), a check of 500 and of 2,000 characters (milliseconds, median and 95th
percentile), a remembered check and a piece of a stream (microseconds), and resident memory (MB) of both sides.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from isthmus.config import GuardSettings
from isthmus.guardrails import Guards, load_guards

PROSE = (
    "The committee met on Tuesday in Lisbon to review the draft that Maria Santos had sent round. Three members asked "
    "for more detail on the budget, which had grown from 1.2 to 1.4 million euros since March. The chair, Dr Alan "
    "Whitfield, reminded everyone that the deadline is in June and that the auditors of Keller & Partners will visit "
    "the site in Rotterdam before then. Nobody objected to the second proposal, though several found it too vague. "
)


def main() -> None:
    asyncio.run(_run(_prose(sys.argv[1:])))


def _prose(arguments: list[str]) -> str:
    if not arguments:
        return PROSE * 100
    lines = Path(arguments[0]).read_bytes().splitlines()
    return " ".join(msgspec.json.decode(line)["text"] for line in lines)


async def _run(prose: str) -> None:
    guards = load_guards(GuardSettings())
    before = _resident("self")
    began = time.perf_counter()
    await guards.start()
    print(f"start() returns after    {1000 * (time.perf_counter() - began):8.1f} ms")
    await guards.input[0].check("Warm-up.", "input")
    print(f"first verdict, cold pool {time.perf_counter() - began:8.2f} s")
    for size in (500, 2000):
        texts = [prose[at : at + size] for at in range(0, min(len(prose) - size, 40 * size), size)]
        await _timed(f"check, {size} characters", lambda text: guards.input[0].check(text, "input"), texts, "ms")
    await _timed("check, remembered", lambda text: guards.input[0].check(text, "input"), [prose[:500]] * 2000, "us")
    await _stream(guards, prose)
    worker = _resident(str(guards._pool.pids[0]))
    print(f"memory: gateway {before} -> {_resident('self')} MB, worker {worker} MB")
    await guards.stop()


async def _timed(name: str, call: Callable[[str], Awaitable[object]], texts: list[str], unit: str) -> None:
    times = []
    for text in texts:
        began = time.perf_counter()
        await call(text)
        times.append(time.perf_counter() - began)
    times.sort()
    factor = 1e3 if unit == "ms" else 1e6
    print(
        f"{name:24} {factor * times[len(times) // 2]:8.2f} {unit} p50 {factor * times[len(times) * 95 // 100]:8.2f} p95"
    )


async def _stream(guards: Guards, prose: str) -> None:
    pieces = [f" {word}" for word in prose[:60_000].split()]
    window = guards.window()
    began = time.perf_counter()
    for piece in pieces:
        await window.feed(piece)
    print(f"{'a piece of a stream':24} {1e6 * (time.perf_counter() - began) / len(pieces):8.2f} us mean")


def _resident(process: str) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 // 1_000_000


if __name__ == "__main__":
    main()
