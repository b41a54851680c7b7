"""What every kind of weights can do, and the two checks that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from isthmus.errors import DigestMismatch, NotFound
from isthmus.models.weights.digests import Digests, Progress


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

    def verify(self, progress: Progress) -> None:
        """Hash every byte again. Raises :class:`DigestMismatch`, or :class:`NotFound` where there is nothing."""
        ...

    def remove(self) -> bool:
        """Delete them from the cache; ``False`` where they were not there. A file of the user's is never deleted."""
        ...


def require(weights: Weights) -> Path:
    """Where they are. Raises :class:`NotFound`."""
    if (path := weights.locate()) is None:
        raise NotFound(
            f"{weights.name} is not on this machine.", hint=f"Fetch it: `isthmus models pull {weights.name}`."
        )
    return path


def check(digests: Digests, path: Path, expected: str, progress: Progress) -> None:
    """Hash the whole file. Raises :class:`DigestMismatch`."""
    found = digests.fresh(path, progress)
    if found != expected:
        raise DigestMismatch(
            f"{path} has the sha256 {found}, not {expected}.",
            hint="The file was changed or has rotted: delete it (`isthmus models remove`) and pull it again.",
            details={"expected": expected, "found": found},
        )
