"""Weights from a hub, and weights that are the user's own file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isthmus.models.weights.digests import Digests, Progress
from isthmus.models.weights.hub import Hub, HubFile
from isthmus.models.weights.landing import Landing, disk, locked, require_room
from isthmus.models.weights.source import check, require


@dataclass(frozen=True, slots=True)
class HubWeights:
    """One file of a hub, under the cache's folder of weights, ``root``."""

    root: Path
    digests: Digests
    file: HubFile
    hub: Hub

    @property
    def name(self) -> str:
        return f"hub:{self.file}"

    @property
    def path(self) -> Path:
        return self.root / "hub" / str(self.file)

    @property
    def record(self) -> Path:
        """The digest that the file had when it came, as `sha256sum -c` reads it."""
        return self.path.with_name(f"{self.path.name}.sha256")

    def locate(self) -> Path | None:
        return self.path if self.path.is_file() else None

    def pull(self, progress: Progress) -> Path:
        with locked(self.root):
            if self.locate() is None:
                self._fetch(progress)
        return self.path

    def verify(self, progress: Progress, *, quick: bool = False) -> None:
        require(self)
        sha256 = self.digests.of if quick else self.digests.fresh
        with disk(self.record):
            expected = self.record.read_text(encoding="utf8").split(maxsplit=1)[0]
        check(sha256(self.path, progress), self.path, expected)

    def remove(self) -> bool:
        with locked(self.root):
            there = self.path.exists()
            for path in (self.path, self.record, Landing.part_of(self.path)):
                with disk(path):
                    path.unlink(missing_ok=True)
        return there

    def _fetch(self, progress: Progress) -> None:
        facts = self.hub.facts(self.file)
        require_room(self.root, facts.size or 0)
        with Landing(self.path, facts.sha256, facts.size) as landing:
            self.hub.download(self.file, facts, landing, progress)
            sha256 = landing.check()
            with disk(self.record):  # before the file has its name: a file without its record is never seen
                self.record.write_text(f"{sha256}  {self.path.name}\n", encoding="utf8")
            landing.commit()
        self.digests.remember(self.path, sha256)


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file of the user's: used where it is, never fetched, never deleted. ``names``: what else could be named."""

    digests: Digests
    path: Path
    names: str

    @property
    def name(self) -> str:
        return str(self.path)

    def locate(self) -> Path | None:
        return self.path if self.path.is_file() else None

    def pull(self, progress: Progress) -> Path:
        return require(self, self.names)

    def verify(self, progress: Progress, *, quick: bool = False) -> None:
        """Against the digest remembered: bytes that changed while size and time did not have rotted."""
        path = require(self, self.names)
        known = self.digests.of(path, progress)
        check(known if quick else self.digests.fresh(path, progress), path, known)

    def remove(self) -> bool:
        return False
