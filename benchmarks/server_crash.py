"""kill -9 of a whole server at a random moment, many times: is every answer in the log, and all that was sent?

    python benchmarks/server_crash.py [--runs 500] [--seed 1] [--folder DIR]

Six clients ask a local model and a vendor's stand-in, half of them for streams. All runs share one home. Prints one
JSON object, also when it is interrupted; exit code 1 where an answer has no entry, what the vendor received has no
intent, a checkpoint does not hold, or less was charged than the log tells of.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import track

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "faults")]

from server_crash_story import Kept, live, site, spent  # noqa: E402

from flow.served import vendor  # noqa: E402


def measure(home: Path, runs: int, chance: random.Random) -> dict[str, object]:
    kept, faults, slow, done = Kept(home), set[str](), 0, 0
    with vendor() as outside, suppress(KeyboardInterrupt):
        served, key = site(home, outside)
        for done in track(range(1, runs + 1), "kill -9", console=Console(stderr=True)):
            try:
                kept.take(live(served, key, outside, f"life{done}", chance), outside)
            except AssertionError as error:
                if "no server after" not in str(error):  # what a busy machine does; the next run starts it again
                    raise
                slow += 1
            if done % 10 == 0:
                faults |= set(kept.faults())
    faults |= set(kept.faults())
    facts = {"answers": len(kept.answers), "sent": len(kept.received), "charged": str(spent(home))}
    return {"runs": done, "slow_starts": slow, **facts, "faults": sorted(faults)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path())
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(dir=asked.folder, prefix=".crash-")).resolve()
    try:
        found = measure(home, asked.runs, random.Random(asked.seed))
    finally:
        shutil.rmtree(home)
    print(json.dumps(found))
    return int(bool(found["faults"]))


if __name__ == "__main__":
    sys.exit(main())
