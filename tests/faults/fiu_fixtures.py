"""libfiu (https://blitiri.com.ar/p/libfiu/) around a process that knows nothing of it: calls of the C library fail when
``fiu-ctrl`` says so, in Python and in SQLite alike.

What it cannot fail: ``mkdir``, ``openat``, ``fstat``, and what is written through ``mmap`` (SQLite's index of its
write-ahead log); a program that makes system calls without the C library.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_LIBRARIES = Path("/usr/lib/fiu")


def environment(control: Path) -> dict[str, str]:
    """What ``fiu-run -x -f CONTROL`` sets."""
    libraries = (_LIBRARIES / name for name in ("fiu_run_preload.so", "fiu_posix_preload.so"))
    return {"LD_PRELOAD": " ".join(map(str, libraries)), "FIU_CTRL_FIFO": str(control), "FIU_ENABLE": ""}


class Injector:
    """Makes calls of the process ``pid`` fail, from outside."""

    def __init__(self, control: Path, pid: int) -> None:
        self._command = ["fiu-ctrl", "-f", str(control), str(pid)]

    def enable(self, point: str, error: int) -> None:
        """Every call fails with that errno."""
        self._send(f"enable name={point},failinfo={error}")

    def once(self, point: str, error: int) -> None:
        """The next call fails."""
        self._send(f"enable name={point},failinfo={error},onetime")

    def sometimes(self, point: str, error: int, chance: float) -> None:
        self._send(f"enable_random name={point},failinfo={error},probability={chance}")

    def disable(self, point: str) -> None:
        self._send(f"disable name={point}")

    def _send(self, order: str) -> None:
        command = [self._command[0], "-c", order, *self._command[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20, env={**os.environ})
        assert done.returncode == 0, done.stderr
