"""What the log costs: CPU and delay of an entry at a steady rate, and the most it takes in.

    python benchmarks/audit.py [--rate 500] [--seconds 10] [--folder DIR]

The folder decides the disk. CPU is the whole process's, with the load generator's own cost measured and taken away.
``floor`` is what a group costs whoever writes the code: one append and fdatasync(2), one Ed25519 signature.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from isthmus.clock import SystemClock
from isthmus.governance.audit.writing.journal import Place
from isthmus.governance.audit.writing.log import Log

EVENT = {
    "type": "outcome",
    "request": "req-0123456789abcdef",
    "principal": "key-0123456789ab",
    "purpose": "",
    "label": {"level": "internal", "categories": []},
    "model": "qwen2.5-coder-1.5b",
    "rule": "local-models-see-everything",
    "policy": "sha256:" + "a" * 64,
    "reason": "auto: the request asks for no reasoning",
    "admitted": ["qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b", "frontier-1"],
    "finish": "stop",
    "usage": {"prompt": 812, "completion": 96, "cached": 0, "reasoning": 0, "estimated": False},
    "cost": {"amount": "0.000000", "currency": "USD"},
    "answer": "b" * 64,
}


async def steady(work: Callable[[], Awaitable[object]], rate: int, seconds: float) -> tuple[list[float], float]:
    """Start ``rate`` pieces of work a second, whatever the earlier ones do. Delays in ms, and CPU seconds."""
    delays, tasks, cpu, began = list[float](), list[asyncio.Task[None]](), time.process_time(), time.monotonic()

    async def one() -> None:
        started = time.perf_counter()
        await work()
        delays.append((time.perf_counter() - started) * 1e3)

    for i in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + i / rate - time.monotonic()))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    return sorted(delays), time.process_time() - cpu


def floor(folder: Path) -> dict[str, float]:
    """CPU in µs of what no group can do without."""
    key, file = Ed25519PrivateKey.generate(), os.open(folder / "floor", os.O_RDWR | os.O_CREAT)

    def sync(i: int) -> None:
        os.pwrite(file, b"x" * 700, i * 700)
        os.fdatasync(file)

    def cost(work: Callable[[int], object], n: int) -> float:
        began = time.process_time()
        for i in range(n):
            work(i)
        return round((time.process_time() - began) / n * 1e6, 1)

    return {"sync_us": cost(sync, 300), "signature_us": cost(lambda i: key.sign(b"x" * 150), 1000)}


async def nothing() -> None:
    await asyncio.sleep(0)


async def measure(folder: Path, rate: int, seconds: float) -> dict[str, object]:
    log = Log.in_folder(Place(folder / "audit", folder / "secrets" / "key"), SystemClock())
    await log.start()

    async def flushed() -> None:
        await log.append(EVENT, flush=True)

    async def answered() -> None:  # what a request to a local model does
        await log.append(EVENT, flush=False)
        await log.receipt(await log.append(EVENT, flush=True))

    _, idle = await steady(nothing, rate, seconds)
    found: dict[str, object] = {"rate": rate, "floor": floor(folder)}
    for name, work, entries in (("append", flushed, 1), ("request", answered, 2)):
        delays, cpu = await steady(work, rate, seconds)
        n = len(delays)
        found[name] = {
            "ms_p50": round(delays[n // 2], 2),
            "ms_p99": round(delays[int(n * 0.99)], 2),
            "cpu_us_per_entry": round((cpu - idle) / n / entries * 1e6, 1),
        }
    cpu, began, n = time.process_time(), time.monotonic(), 20_000
    for _ in range(n // 500):
        await asyncio.gather(*(flushed() for _ in range(500)))
    found["throughput"] = {
        "entries_per_second": round(n / (time.monotonic() - began)),
        "cpu_us_per_entry": round((time.process_time() - cpu) / n * 1e6, 1),
    }
    await log.stop()
    found["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--folder", type=Path, default=Path())
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=asked.folder, prefix=".bench-"))
    try:
        print(json.dumps(uvloop.run(measure(folder, asked.rate, asked.seconds)), indent=2))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
