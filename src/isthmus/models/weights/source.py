"""What every kind of weights can do, and the two checks that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from isthmus.errors import DigestMismatch, NotFound
from isthmus.models.weights.digests import Progress


class Weights(Protocol):
    """One set of weights, wherever it comes from."""

    @property
    def name(self) -> str: ...

    def locate(self) -> Path | None:
        """Where they are on this machine; ``None`` where they are not, or not whole."""
        ...

    def pull(self, progress: Progress) -> Path:
        """Fetch what is missing. Raises :class:`DigestMismatch` and :class:`isthmus.errors.ModelUnavailable`."""
        ...

    def verify(self, progress: Progress, *, quick: bool = False) -> None:
        """Check every byte against the digest; ``quick`` trusts what was hashed since the file last changed.

        Raises :class:`DigestMismatch`, or :class:`NotFound` where there is nothing.
        """
        ...

    def remove(self) -> bool:
        """Delete them from the cache; ``False`` where they were not there. A file of the user's is never deleted."""
        ...


def require(weights: Weights, hint: str = "") -> Path:
    """Where they are. Raises :class:`NotFound`, whose ``hint`` is to fetch them unless another is given."""
    if (path := weights.locate()) is None:
        fetch = f"Fetch it: `isthmus models pull {weights.name}`."
        raise NotFound(f"{weights.name} is not on this machine.", hint=hint or fetch)
    return path


def check(sha256: str, path: Path, expected: str) -> None:
    """Raises :class:`DigestMismatch` where the file's ``sha256`` is not the one that it must have."""
    if sha256 != expected:
        raise DigestMismatch(
            f"{path} has the sha256 {sha256}, not {expected}.",
            hint="The file was changed or has rotted: remove it (`isthmus models remove`) and pull it again.",
            details={"expected": expected, "found": sha256},
        )
