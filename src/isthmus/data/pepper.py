"""The pepper of the keys: without it, a copy of the database lets nobody test a guess."""

from __future__ import annotations

from pathlib import Path

from isthmus.data.secretfile import read_or_make
from isthmus.errors import ConfigInvalid


def pepper(folder: Path, *, make: bool = True) -> bytes:
    """The pepper in ``folder/pepper``; a new one is made there if ``make`` and there is none.

    Raises :class:`ConfigInvalid` where it is missing, not as it was made, or readable by anyone else.
    """
    path = folder / "pepper"
    gone = ConfigInvalid(
        f"There are keys, but the pepper they were stored under is gone: {path}.",
        hint="Restore the file from a backup; without it every key must be made anew.",
    )
    return read_or_make(path, "pepper", make=make, gone=gone)
