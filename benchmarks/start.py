"""How long `isthmus serve` takes until /readyz answers, and what it holds then, without a local model loaded.

    python -m benchmarks.start [--rounds 7]

A home folder of its own; the first round (which makes keys, database and log, and compiles modules) is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


def start(home: Path) -> tuple[float, float]:
    """Seconds until ready, and resident MB of the gateway's process (guards' workers are others)."""
    address = home / "run" / "server.json"
    began = time.monotonic()
    command = [sys.executable, "-m", "isthmus", "--home", str(home), "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=home)
    try:
        while not (address.exists() and (text := address.read_text(encoding="utf8"))):
            time.sleep(0.005)
        with urllib.request.urlopen(json.loads(text)["url"] + "/readyz", timeout=5) as answer:
            assert json.load(answer)["ready"]
        ready = time.monotonic() - began
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf8")
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        return ready, resident / 1024
    finally:
        process.terminate()
        process.wait()


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        measured = [start(Path(folder)) for _ in range(rounds + 1)][1:]
    seconds, megabytes = ([row[column] for row in measured] for column in (0, 1))
    print(f"ready after {statistics.median(seconds):.2f} s (of {rounds}: {min(seconds):.2f} to {max(seconds):.2f})")
    print(f"resident {statistics.median(megabytes):.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    main(parser.parse_args().rounds)
