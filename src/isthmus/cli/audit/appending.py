"""A file that entries are appended to, a line each, for an agent that ships what is written to it.

The file is the memory of what was told: whoever appends goes on after its last line. A line that a crash tore is cut
off first, so that what follows is never glued to it.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from isthmus.errors import InvalidRequest, VerificationFailed

#: Longer than any entry (65,535 bytes) with its line end.
_TAIL = 1 << 17


class Appending:
    """``last`` is the file's last whole line, without its end; ``next`` the entry after it. Both are ``None`` where the
    file is empty. One process at a time appends."""

    def __init__(self, path: Path) -> None:
        """Raises :class:`InvalidRequest`, before anything is changed, for a file that holds something else."""
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.last, torn = self._end()
        except BlockingIOError:
            raise InvalidRequest(f"Another process appends to {path}.", hint="One is enough: stop it first.") from None
        except OSError as error:
            raise InvalidRequest(f"{path} cannot be appended to: {error.strerror}.", hint="Check the path.") from error
        self.next = None if self.last is None else self._seq(self.last) + 1
        if torn:
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - torn)

    def write_line(self, entry: bytes, index: int) -> None:
        """The entry as it was hashed, and a line end. Raises :class:`VerificationFailed` for more than a line."""
        if b"\n" in entry:
            raise VerificationFailed(f"Entry {index} holds a line end.", details={"index": index})
        rest = memoryview(entry + b"\n")
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def flush(self) -> None:
        """What was written is on disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def _end(self) -> tuple[bytes | None, int]:
        """The last whole line, and how many bytes of a torn one follow it."""
        size = os.fstat(self._fd).st_size
        tail = os.pread(self._fd, _TAIL, max(0, size - _TAIL))
        whole, end, torn = tail.rpartition(b"\n")
        if not end and (size > _TAIL or not b"{".startswith(torn[:1])):
            raise self._strange()
        return (whole.rpartition(b"\n")[2] if end else None), len(torn)

    def _seq(self, line: bytes) -> int:
        try:
            entry = json.loads(line)
            seq = entry["seq"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._strange() from None
        if type(seq) is not int or seq < 0:
            raise self._strange()
        return seq

    def _strange(self) -> InvalidRequest:
        return InvalidRequest(
            f"{self._path} holds something else than a log's entries; it was left as it is.",
            hint="Name a file of its own: it is made if it is not there.",
        )
