"""Secrets of this home folder: 32 random bytes each, in a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from isthmus.errors import ConfigInvalid

SIZE = 32


def read_or_make(path: Path, name: str, *, make: bool, gone: ConfigInvalid) -> bytes:
    """The secret in the file; a new one is put there if ``make`` and there is none. ``name`` is what people call it.

    Raises ``gone`` where it is missing, :class:`ConfigInvalid` where it is not as it was made, or readable by others.
    """
    try:
        if make and not path.exists():
            _make(path)
        return _read(path, name)
    except FileNotFoundError as error:
        raise gone from error
    except OSError as error:
        raise ConfigInvalid(f"The {name} cannot be read: {path}: {error.strerror}.") from error


def _make(path: Path) -> None:
    """Written aside and linked into place: of two processes that start at once, the first wins, whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(SIZE) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
    _sync_name(path.parent)


def _sync_name(folder: Path) -> None:
    """What is stored under a secret must not outlive, after a power loss, the name of the file that holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, name: str) -> bytes:
    with path.open() as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise ConfigInvalid(f"Others can read the {name} {path}.", hint=f"Run: chmod 600 {path}")
        text = file.read().strip()
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != SIZE:
        raise ConfigInvalid(f"The {name} {path} is damaged.", hint="Restore the file from a backup.")
    return value
