"""The pepper of the keys: 32 random bytes in a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from isthmus.errors import ConfigInvalid

SIZE = 32


def pepper(folder: Path, *, make: bool = True) -> bytes:
    """The pepper in ``folder/pepper``; a new one is made there if ``make`` and there is none.

    Raises :class:`ConfigInvalid` where it is missing, not as it was made, or readable by anyone else.
    """
    path = folder / "pepper"
    try:
        if make and not path.exists():
            _make(path)
        return _read(path)
    except FileNotFoundError as error:
        raise ConfigInvalid(
            f"There are keys, but the pepper they were stored under is gone: {path}.",
            hint="Restore the file from a backup; without it every key must be made anew.",
        ) from error
    except OSError as error:
        raise ConfigInvalid(f"The pepper cannot be read: {path}: {error.strerror}.") from error


def _make(path: Path) -> None:
    """Written aside and linked into place: of two processes that start at once, the first wins, whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".pepper-{secrets.token_hex(8)}")
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


def _read(path: Path) -> bytes:
    with path.open() as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise ConfigInvalid(f"Others can read the pepper {path}.", hint=f"Run: chmod 600 {path}")
        text = file.read().strip()
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != SIZE:
        raise ConfigInvalid(f"The pepper {path} is damaged.", hint="Restore the file from a backup.")
    return value
