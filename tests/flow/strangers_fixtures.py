"""An auditor: a log of some size, an export of it, and what was kept elsewhere meanwhile."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from flow.audit_fixtures import ORIGIN, fill
from isthmus.clock import SystemClock
from isthmus.config import Home
from isthmus.governance.audit.reading.export import export
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Place
from isthmus.governance.audit.writing.log import Log
from isthmus.seams import Receipt

ROOT = Path(__file__).resolve().parents[2]
#: What the project promises to have tried; the last has tiles on three levels.
SIZES = (1, 2, 1000, 100_000)


class Auditor:
    """Somebody with verify.py, a key, and a checkpoint and a receipt from the middle of the log's life."""

    def __init__(self, folder: Path, size: int) -> None:
        self.home, self.size, self.export = Home(folder / "home"), size, folder / "export"
        self.vkey, self.older, self.receipt = folder / "kept.vkey", folder / "kept.checkpoint", folder / "receipt.json"
        middle = (size + 1) // 2
        self.older.write_text(fill(self.home.path, 0, middle), encoding="utf8")
        fill(self.home.path, middle, size)
        self.receipt.write_text(json.dumps(asdict(asyncio.run(self._receipt(size // 3)))), encoding="utf8")
        assert export(Reader(Folder(self.home.audit)), self.export) == size
        shutil.copy(self.export / "vkey", self.vkey)

    async def _receipt(self, index: int) -> Receipt:
        log = Log.in_folder(Place(self.home.audit, self.home.secrets / "log-signing-key", ORIGIN), SystemClock())
        try:
            return await log.receipt(index)
        finally:
            await log.stop()

    def verify(self, *kept: Path | str, where: Path | None = None) -> subprocess.CompletedProcess[str]:
        """What verify.py says of the export, or of another folder."""
        where = where or self.export
        command = [sys.executable, "-I", str(self.export / "verify.py"), str(where), str(self.vkey), *map(str, kept)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def entries(self) -> list[bytes]:
        return [entry for _, entry in Reader(Folder(self.export)).entries()]


class Auditors:
    """One of each size, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, dict[int, Auditor]()

    def of(self, size: int) -> Auditor:
        if size not in self._made:
            (self._folder / str(size)).mkdir()
            self._made[size] = Auditor(self._folder / str(size), size)
        return self._made[size]
