"""Whose turn it is to write: an exclusive flock for one group at a time, so that processes share one log."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from isthmus.errors import AuditUnavailable

#: A turn is a few writes: well under a millisecond, a few where a file is begun. Whoever holds it longer hangs.
_PATIENCE_S = 10.0


class Lock:
    """A lock on a folder itself: there is no file that somebody could delete. The kernel frees it when its holder
    dies. Not for several threads at once."""

    def __init__(self, folder: Path, patience: float = _PATIENCE_S) -> None:
        self._folder, self._patience = folder, patience
        self._fd: int | None = None

    def take(self) -> bool:
        """Take it if nobody holds it. Raises :class:`OSError` where the folder is gone, or is another than it was."""
        if self._fd is None:
            self._fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._must_be_in_place(self._fd)
        return True

    def wait(self) -> None:
        """Take it. Raises :class:`AuditUnavailable` where another process does not let go."""
        deadline = time.monotonic() + self._patience
        while not self.take():
            if time.monotonic() > deadline:
                raise AuditUnavailable(
                    f"Another process has held the log's lock for {self._patience:.0f} s.",
                    hint=f"Find it with: fuser {self._folder}",
                )
            time.sleep(0.0005)

    def _must_be_in_place(self, fd: int) -> None:
        """Whoever comes later locks what has the name now: two would write at once, each to a log of its own."""
        try:
            there = os.path.samestat(os.fstat(fd), os.stat(self._folder))
        except FileNotFoundError:
            there = False
        if not there:
            self.close()
            raise OSError(errno.ESTALE, f"the folder {self._folder} was moved away or replaced")

    def release(self) -> None:
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
