"""One log, wherever it lies: the same site, the same export, the same answer of verify."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audit_replicas import place, sequencer
from isthmus.governance.audit.postgres.storage import Rows
from isthmus.governance.audit.reading.export import export
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.reading.serving import Address, Site
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.layout import number
from isthmus.governance.audit.tree.storage import Folder, Storage

SIZE = 600
ADDRESSES = [
    *(f"{kind}/{number(n)}" for kind in ("0", "entries") for n in range(2)),
    *(f"{kind}/002.p/{width}" for kind in ("0", "entries") for width in (1, 44, 88)),
    "1/000.p/1",
    "1/000.p/2",
]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_database_and_a_folder_are_read_alike(tmp_path: Path, dsn: str) -> None:
    writer = sequencer(place(tmp_path / "home", dsn))
    writer.commit([{"type": "t", "request": f"r{i}"} for i in range(SIZE)], flush=True)
    writer.close()
    rows = Rows(dsn)
    try:
        export(Reader(rows), tmp_path / "export")
        exported = Folder(tmp_path / "export")
        export(Reader(exported), tmp_path / "again")
        assert files(tmp_path / "export") == files(tmp_path / "again")
        storages: list[Storage] = [rows, exported]
        assert verify(Reader(rows)) == verify(Reader(exported))
        asked: list[Callable[[Site], object]] = [
            *(lambda site, path=path: site.read(Address.parse(path)) for path in ADDRESSES),  # type: ignore[misc]
            *(lambda site, at=at: site.inclusion(at, None) for at in (0, 255, 256, 599)),  # type: ignore[misc]
            *(lambda site, at=at: site.consistency(at, None) for at in (1, 256, 300, 600)),  # type: ignore[misc]
            Site.vkey,
            Site.checkpoint,
        ]
        for question in asked:
            first, second = (question(Site(storage)) for storage in storages)
            assert first == second
    finally:
        rows.close()


def test_a_partial_tile_that_is_not_kept_is_the_one_that_an_export_holds(tmp_path: Path, dsn: str) -> None:
    writer = sequencer(place(tmp_path / "home", dsn))
    writer.commit([{"type": "t"} for _ in range(SIZE)], flush=True)
    writer.close()
    rows = Rows(dsn)
    try:
        export(Reader(rows), tmp_path / "export")
        for path in sorted((tmp_path / "export" / "tile").rglob("*")):
            if path.is_file():
                address = Address.parse(path.relative_to(tmp_path / "export" / "tile").as_posix())
                assert Site(rows).read(address) == path.read_bytes()
    finally:
        rows.close()
