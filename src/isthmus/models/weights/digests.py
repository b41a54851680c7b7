"""Digests of large files, computed once: remembered with the size and time that the file then had."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeAlias

import msgspec

from isthmus.errors import ModelUnavailable

#: Called with the bytes done and the bytes in all.
Progress: TypeAlias = Callable[[int, int], None]
_CHUNK = 1 << 20


def no_progress(done: int, total: int) -> None:
    """Nobody looks."""


class _Remembered(msgspec.Struct, frozen=True):
    path: str
    size: int
    mtime_ns: int
    sha256: str


class Digests:
    """The digests known of files anywhere, one small JSON file each under ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, path: Path, progress: Progress = no_progress) -> str:
        """The file's sha256 in lower-case hex, from memory if its size and time are what they were."""
        return self.known(path) or self.fresh(path, progress)

    def known(self, path: Path) -> str | None:
        """The file's sha256 if it is remembered, at no cost; ``None`` where it must be computed first."""
        entry = self._read(path)
        return entry.sha256 if entry is not None and (entry.size, entry.mtime_ns) == _stamp(path) else None

    def fresh(self, path: Path, progress: Progress = no_progress) -> str:
        """The same from every byte of the file, whatever is remembered; then remembered."""
        before = _stamp(path)
        sha256 = _hash(path, before[0], progress)
        self.remember(path, sha256, before)
        return sha256

    def remember(self, path: Path, sha256: str, stamp: tuple[int, int] | None = None) -> None:
        """Keep a digest that the caller has just computed. A cache that cannot be written costs time, nothing else."""
        entry = _Remembered(str(path.absolute()), *(stamp or _stamp(path)), sha256)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, delete=False) as file:
                file.write(msgspec.json.encode(entry))
            os.replace(file.name, self._entry(path))
        except OSError:
            return

    def _entry(self, path: Path) -> Path:
        return self._folder / f"{hashlib.sha256(os.fsencode(path.absolute())).hexdigest()}.json"

    def _read(self, path: Path) -> _Remembered | None:
        try:
            return msgspec.json.decode(self._entry(path).read_bytes(), type=_Remembered)
        except (OSError, msgspec.DecodeError):
            return None


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read: {error.strerror}.") from error
    return facts.st_size, facts.st_mtime_ns


def _hash(path: Path, size: int, progress: Progress) -> str:
    state = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
                progress(file.tell(), size)
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read: {error.strerror}.") from error
    return state.hexdigest()
