"""Weights: found by name, fetched once into the cache folder, checked against their digests.

A name is a starter's (``starter/minilm``), ``hub:OWNER/NAME/FILE``, or the path of a file. What is in the cache got
there by a rename after its digest held, so a file that is there is whole. Several processes may pull at once.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from isthmus.config import cache_folder
from isthmus.models.weights.digests import Digests, Progress, no_progress
from isthmus.models.weights.source import Weights
from isthmus.models.weights.store import Store

__all__ = ["Progress", "Store", "Weights", "digest", "known_digest", "locate", "pull"]


def locate(name: str, cache: Path | None = None) -> Path | None:
    """Where the weights called ``name`` are on this machine (a starter of several files: their folder), or ``None``.

    Raises :class:`isthmus.errors.NotFound` for a starter that there is not.
    """
    return Store(cache or cache_folder()).find(name).locate()


def pull(name: str, cache: Path | None = None, progress: Progress = no_progress) -> Path:
    """Fetch the weights unless they are here. ``progress`` is told bytes done and in all.

    Raises :class:`isthmus.errors.DigestMismatch` (nothing is left behind) and
    :class:`isthmus.errors.ModelUnavailable` (the next run goes on where this one stopped).
    """
    return Store(cache or cache_folder()).find(name).pull(progress)


def digest(path: Path, cache: Path | None = None) -> str:
    """``sha256:…`` of a file; of a folder, that of what ``sha256sum *`` prints in it. Remembered by size and time."""
    known = Digests((cache or cache_folder()) / "digests")
    if not path.is_dir():
        return f"sha256:{known.of(path)}"
    files = sorted(entry for entry in path.iterdir() if entry.is_file())
    listing = "".join(f"{known.of(entry)}  {entry.name}\n" for entry in files)
    return f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"


def known_digest(path: Path, cache: Path | None = None) -> str:
    """``sha256:…`` of a file if it is remembered, else empty: nothing large is read."""
    if path.is_dir():
        return digest(path, cache)
    known = Digests((cache or cache_folder()) / "digests").known(path)
    return f"sha256:{known}" if known else ""
