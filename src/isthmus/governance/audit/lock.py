"""Whose turn it is to write: an exclusive flock for one group at a time, so that processes share one log."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.errors import AuditUnavailable

#: A turn is one write and one sync: milliseconds. Whoever holds the lock longer hangs.
_PATIENCE_S = 10.0


class Lock:
    """A lock file. The kernel frees it when its holder dies."""

    def __init__(self, path: Path, patience: float = _PATIENCE_S) -> None:
        self._path, self._patience = path, patience
        self._fd: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises :class:`AuditUnavailable` where another process does not let go."""
        if self._fd is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._wait(self._fd)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _wait(self, fd: int) -> None:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AuditUnavailable(
                        f"Another process has held the log's lock for {self._patience:.0f} s.",
                        hint=f"Find it with: fuser {self._path}",
                    ) from None
                time.sleep(0.0005)
