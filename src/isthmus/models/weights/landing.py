"""A file on its way into the cache: hashed as it is written, renamed in one step once its digest holds."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from isthmus.errors import DigestMismatch, IsthmusError, ModelUnavailable

_CHUNK = 1 << 20


class Landing:
    """Writes ``target`` by way of ``target.part``, which a later run resumes; ``done`` bytes are there.

    A wrong digest, or more bytes than ``size``, raises :class:`DigestMismatch` and leaves nothing behind. Use it in
    a ``with`` statement, inside :func:`locked`. ``sha256`` and ``size`` are ``None`` where nobody has told them.
    """

    def __init__(self, target: Path, sha256: str | None, size: int | None) -> None:
        self._target = target
        self._part = self.part_of(target)
        self._sha256 = sha256
        self._size = size
        self._state = hashlib.sha256()
        self.done = 0

    @staticmethod
    def part_of(target: Path) -> Path:
        """Where the file is until it is whole."""
        return target.with_name(f"{target.name}.part")

    def __enter__(self) -> Landing:
        with disk(self._part):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("r+b" if self._part.exists() else "w+b")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk(self._part):
            self._file.close()
        if isinstance(error, DigestMismatch):
            self._part.unlink(missing_ok=True)

    def resume(self, step: int = 1) -> int:
        """Keep what an earlier run wrote, in whole steps of ``step`` bytes; gives the bytes kept."""
        with disk(self._part):
            length = self._file.seek(0, os.SEEK_END)
            self.restart(min(length, self._size or length) // step * step)
        return self.done

    def restart(self, keep: int = 0) -> None:
        """Go on after the first ``keep`` bytes, which are hashed again, and drop the rest."""
        with disk(self._part):
            self._file.truncate(keep)
            self._file.seek(0)
            self._state = hashlib.sha256()
            while chunk := self._file.read(_CHUNK):
                self._state.update(chunk)
        self.done = keep

    def write(self, chunk: bytes) -> None:
        """Append. Raises :class:`ModelUnavailable` where the disk is full."""
        self.done += len(chunk)
        if self._size is not None and self.done > self._size:
            raise DigestMismatch(f"{self._target.name} is longer than the {self._size:,} bytes that it must have.")
        self._state.update(chunk)
        with disk(self._part):
            self._file.write(chunk)

    def finish(self) -> str:
        """Check the digest, then commit. Gives the sha256 in lower-case hex."""
        sha256 = self.check()
        self.commit()
        return sha256

    def check(self) -> str:
        """The sha256 of what is there, in lower-case hex. Raises :class:`DigestMismatch`."""
        found = self._state.hexdigest()
        if self._sha256 is not None and found != self._sha256:
            raise DigestMismatch(
                f"{self._target.name} has the sha256 {found}, not {self._sha256}.",
                details={"expected": self._sha256, "found": found},
            )
        return found

    def commit(self) -> None:
        """Make it durable and give it its name."""
        with disk(self._part):
            self._file.flush()
            os.fsync(self._file.fileno())
            os.replace(self._part, self._target)
            _sync_folder(self._target.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # a rename is durable only with its folder
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time works on the folder; the lock dies with its holder, so none is ever stale."""
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def require_room(folder: Path, size: int) -> None:
    """Raises :class:`ModelUnavailable` where the disk under ``folder`` has less than ``size`` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise _full(folder, f"{size / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free")


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Operating system errors as ours, saying what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path, "the disk is full") from error
        raise ModelUnavailable(
            f"{path} cannot be written: {error.strerror}.", hint="Set ISTHMUS_CACHE to a folder that you may write to."
        ) from error


def _full(path: Path, what: str) -> IsthmusError:
    return ModelUnavailable(
        f"There is no room for weights at {path}: {what}.",
        hint="Free some space and run it again (it goes on where it stopped), or set ISTHMUS_CACHE to a larger disk.",
    )
