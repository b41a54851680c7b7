"""What is shown is what was signed for: whatever is changed beside it, an entry that was not is never vouched for."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.answers.search import Query, Scan, newest_first, oldest_first
from isthmus.governance.audit.reading.proven import proven
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.layout import bundle_path, pack, tile_path, unpack
from isthmus.governance.audit.tree.merkle import leaf_hash
from unit.audit_reading_fixtures import write

SIZES = [1, 2, 255, 256, 257, 600]


def log(tmp_path: Path, size: int) -> Reader:
    return write(tmp_path, [{"type": "a", "word": "stop"}] * size)


def edit(tmp_path: Path, index: int) -> None:
    """One letter of one entry."""
    bundle = bundle_path(tmp_path / "audit", index // 256)
    entries, _ = unpack(bundle.read_bytes())
    entries[index % 256] = entries[index % 256].replace(b"stop", b"stoq")
    bundle.write_bytes(pack(entries))


def rehash(tmp_path: Path, n: int) -> None:
    """The kept hashes of a bundle as its entries are now."""
    entries, _ = unpack(bundle_path(tmp_path / "audit", n).read_bytes())
    tile_path(tmp_path / "audit", 0, n).write_bytes(b"".join(map(leaf_hash, entries)))


def passed(reader: Reader) -> list[list[int]]:
    """What a pass in each direction finds, and what it says is broken."""
    told = []
    for way in (oldest_first, newest_first):
        scan = Scan(way(reader), genuine=proven(reader))
        told += [sorted(one.index for one in scan.find(Query())), scan.broken]
    return told


@pytest.mark.parametrize("size", SIZES)
def test_what_was_signed_for_is_shown(tmp_path: Path, size: int) -> None:
    reader = log(tmp_path, size)
    assert passed(reader) == [list(range(size)), []] * 2
    for tile in (tmp_path / "audit" / "tile").rglob("*"):
        if tile.is_file() and "entries" not in tile.parts:
            tile.unlink()  # what is not kept is computed
    assert passed(reader) == [list(range(size)), []] * 2


@pytest.mark.parametrize("size", SIZES)
def test_an_edited_entry_is_named_and_not_shown(tmp_path: Path, size: int) -> None:
    reader = log(tmp_path, size)
    for index in {0, size // 2, size - 1}:
        before = bundle_path(tmp_path / "audit", index // 256).read_bytes()
        edit(tmp_path, index)
        assert passed(reader) == [[one for one in range(size) if one != index], [index]] * 2
        bundle_path(tmp_path / "audit", index // 256).write_bytes(before)


def test_an_edited_entry_is_found_though_it_no_longer_matches(tmp_path: Path) -> None:
    reader = log(tmp_path, 300)
    edit(tmp_path, 7)
    scan = Scan(oldest_first(reader), genuine=proven(reader))
    query = Query(type=frozenset({"nothing"}))
    assert (list(scan.find(query)), scan.broken) == ([], [7])


@pytest.mark.parametrize(("size", "index", "among"), [(600, 7, "0 to 599"), (600, 599, "0 to 599"), (3, 1, "0 to 2")])
def test_hashes_that_were_changed_too_prove_nothing(tmp_path: Path, size: int, index: int, among: str) -> None:
    reader = log(tmp_path, size)
    edit(tmp_path, index)
    rehash(tmp_path, index // 256)
    with pytest.raises(VerificationFailed, match=f"An entry from {among} is NOT what was signed"):
        passed(reader)


@pytest.mark.parametrize("harm", [b"", b"x", b"\0" * 8192, b"\0" * 9000])
def test_harmed_hashes_accuse_no_entry(tmp_path: Path, harm: bytes) -> None:
    reader = log(tmp_path, 600)
    for n in range(3):
        tile_path(tmp_path / "audit", 0, n).write_bytes(harm)
    assert passed(reader) == [list(range(600)), []] * 2


def test_what_nobody_signed_for_yet_is_shown(tmp_path: Path) -> None:
    reader = log(tmp_path, 300)
    note = (tmp_path / "audit" / "checkpoint").read_bytes()
    log(tmp_path, 300)
    for slot in ("checkpoint", "checkpoint.alternate"):
        (tmp_path / "audit" / slot).write_bytes(note)
    genuine = proven(reader)
    assert (genuine.size, genuine(299, b"forged"), genuine(300, b"anything")) == (300, False, True)
    assert passed(reader) == [list(range(600)), []] * 2
