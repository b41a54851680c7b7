"""kill -9 of two writers at random moments, 500 times: is every acknowledged entry there, and does the log verify?

    python benchmarks/audit_crash.py [--runs 500] [--seed 1] [--folder DIR]

All runs share one home, so each also repairs what the one before left. Prints one JSON object; exit code 1 on a loss.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track

from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.storage import Folder

WRITER = Path(__file__).resolve().parents[1] / "tests" / "faults" / "audit_writer.py"


def run_once(home: Path, name: str, chance: random.Random) -> list[tuple[int, str]]:
    """Start two writers, kill each at a moment of its own; what they said was recorded."""
    commands = [[sys.executable, str(WRITER), str(home), f"{name}/{n}", "1000000"] for n in range(2)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    outputs = [child.stdout for child in children if child.stdout is not None]
    said = [output.readline() for output in outputs]
    for child in children:
        time.sleep(chance.uniform(0, 0.03))
        child.send_signal(signal.SIGKILL)
    for n, output in enumerate(outputs):
        said[n] += output.read()
        output.close()
        children[n].wait()
    lines = [line for output in said for line in output.decode().split("\n")[:-1]]
    return [(int(index), told) for index, told in (line.split(" ") for line in lines)]


def measure(home: Path, runs: int, chance: random.Random) -> dict[str, int]:
    said: list[tuple[int, str]] = []
    older: list[Signed] = []
    for run in track(range(runs), "kill -9", console=Console(stderr=True)):
        said += run_once(home, f"run{run}", chance)
        if (home / "audit" / "checkpoint").exists():  # else it died before its first flush
            older.append(Reader(Folder(home / "audit")).checkpoint())
    reader = Reader(Folder(home / "audit"))
    verified = verify(reader, older)
    entries = [entry for _, entry in reader.entries()]
    lost = sum(json.loads(entries[index])["name"] != told if index < len(entries) else True for index, told in said)
    repaired = sum(b'"type":"log.repaired"' in entry for entry in entries)
    size = verified.checkpoint.size
    return {"runs": runs, "acknowledged": len(said), "lost": lost, "repaired": repaired, "signed": size}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path())
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(dir=asked.folder, prefix=".crash-"))
    try:
        found = measure(home, asked.runs, random.Random(asked.seed))
    finally:
        shutil.rmtree(home)
    print(json.dumps(found))
    return int(found["lost"] > 0)


if __name__ == "__main__":
    sys.exit(main())
