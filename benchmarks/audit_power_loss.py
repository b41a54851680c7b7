"""Power lost at a random operation, three times in each log's life, taking any part of what was not synced.

    python benchmarks/audit_power_loss.py [--runs 1000] [--seed 1] [--folder DIR]

Each run is a log with two writers, told from a seed (tests/faults/power_loss_story.py). Prints one JSON object, also
when it is interrupted; exit code 1 where a flushed entry or a published checkpoint is gone, or a log does not open
again by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "faults"))

from power_loss_story import outlive

_LOSSES = 3


def measure(folder: Path, seeds: range) -> dict[str, object]:
    faults, done = list[str](), 0
    with suppress(KeyboardInterrupt):
        for seed in track(seeds, "power losses", console=Console(stderr=True)):
            with tempfile.TemporaryDirectory(dir=folder, prefix=".power-") as home:
                if wrong := asyncio.run(outlive(Path(home).resolve(), seed, _LOSSES)):
                    faults.append(wrong)
            done += 1
    return {"runs": done, "losses": done * _LOSSES, "faults": faults}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path())
    asked = parser.parse_args()
    found = measure(asked.folder, range(asked.seed, asked.seed + asked.runs))
    print(json.dumps(found))
    return int(bool(found["faults"]))


if __name__ == "__main__":
    sys.exit(main())
