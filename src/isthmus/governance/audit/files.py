"""The file operations that the log stands on: a seam, so that a test can fail the n-th of them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


class Files:
    """Thin over ``os``: each method is one system call, and raises :class:`OSError`."""

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def close(self, fd: int) -> None:
        os.close(fd)

    def write(self, fd: int, data: bytes, offset: int) -> int:
        """The bytes written, which may be fewer than asked."""
        return os.pwrite(fd, data, offset)

    def sync(self, fd: int) -> None:
        """The file's data, and its size, are on disk when this returns."""
        _sync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def rename(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def make_folder(self, path: Path) -> None:
        os.mkdir(path, 0o700)


def write_all(files: Files, fd: int, data: bytes, offset: int = 0) -> None:
    """One pwrite(2); a short one is an error, because the rest may never fit."""
    if files.write(fd, data, offset) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def replace(files: Files, path: Path, data: bytes) -> None:
    """Put a whole file in place: readers see the old one or the new one, also after a power loss."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        fd = files.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(files, fd, data)
            files.sync(fd)
        finally:
            files.close(fd)
        files.rename(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def sync_folder(files: Files, folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = files.open(folder, os.O_RDONLY)
    try:
        files.sync(fd)
    finally:
        files.close(fd)


def make_folders(files: Files, folder: Path) -> None:
    """Make a folder and its parents, each durable in its own parent before anything is put into it."""
    if folder.is_dir():
        return
    make_folders(files, folder.parent)
    try:
        files.make_folder(folder)
    except FileExistsError:  # another process made it first
        return
    sync_folder(files, folder.parent)
