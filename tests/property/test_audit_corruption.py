"""Whatever is done to entries, checking fails and names the first that is not in its place; nothing else ever escapes.

Both checkers are asked, ours over the folder in use and over an export, and the page that strangers run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from isthmus.errors import AuditUnavailable, NotFound, VerificationFailed
from isthmus.governance.audit import verify as page
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.reading.export import export
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.layout import WIDTH, bundle_path, pack, tile_path
from isthmus.governance.audit.tree.merkle import Frontier, leaf_hash
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.tree.stored import subtree
from isthmus.governance.audit.writing.journal import Journal, Place
from isthmus.governance.audit.writing.keys import load_key

#: Around each border of a bundle, and between.
SIZES = st.one_of(st.sampled_from([1, 2, 3, 255, 256, 257, 511, 512, 513]), st.integers(1, 700))
#: The slow part of an example is the process that runs verify.py.
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@dataclass(frozen=True)
class Log:
    """A log in use under a folder, its entries, an export beside it, and what somebody kept."""

    folder: Path
    entries: tuple[bytes, ...]

    @property
    def live(self) -> Path:
        return self.folder / "log" / "audit"

    @property
    def exported(self) -> Path:
        return self.folder / "export"

    @property
    def size(self) -> int:
        return len(self.entries)


class Shelf:
    """A log of each size that was asked for; a test puts other bundles into it, or works on a copy."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._logs = folder, dict[int, Log]()

    def log(self, size: int) -> Log:
        if size not in self._logs:
            folder = self._folder / str(size)
            write(folder / "log", size, "t")
            reader = Reader(Folder(folder / "log" / "audit"))
            export(reader, folder / "export")
            self._logs[size] = Log(folder, tuple(entry for _, entry in reader.entries()))
        return self._logs[size]

    def signed(self, made: Log, size: int) -> Signed:
        """The checkpoint that was signed when the log had that size."""
        frontier = Frontier()
        for entry in made.entries[:size]:
            frontier.push(leaf_hash(entry))
        signer = Signer("example.org/log", load_key(made.folder / "log" / "key"))
        checkpoint = Checkpoint("example.org/log", size, frontier.root())
        return Signed(checkpoint, signer.sign(checkpoint))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


def write(home: Path, count: int, kind: str) -> None:
    journal = Journal(Place(home / "audit", home / "key", "example.org/log"), lambda: datetime.now(UTC), Files())
    journal.commit([{"type": kind, "request": f"r{i}", "note": "x" * (i % 7)} for i in range(count)], flush=True)
    journal.close()


# ---------------------------------------------------------------- corruptions: new bundles, and the first wrong entry

Bundles = list[bytes]
Harm = tuple[Bundles, int]


def packed(entries: Sequence[bytes]) -> Bundles:
    return [pack(entries[at : at + WIDTH]) for at in range(0, len(entries), WIDTH)]


def place(entries: Sequence[bytes], draw: st.DataObject) -> int:
    """Anywhere, and often beside the border of a bundle."""
    last = len(entries) - 1
    borders = [at for at in (0, 255, 256, 511, 512, last) if at <= last]
    return draw.draw(st.one_of(st.sampled_from(borders), st.integers(0, last)))


def changed(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """One byte of one entry."""
    at = place(entries, draw)
    byte = draw.draw(st.integers(0, len(entries[at]) - 1))
    broken = bytearray(entries[at])
    broken[byte] ^= draw.draw(st.integers(1, 255))
    return packed([*entries[:at], bytes(broken), *entries[at + 1 :]]), at


def dropped(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """A run of entries; the rest moves up, across bundles."""
    at = place(entries, draw)
    count = draw.draw(st.integers(1, len(entries) - at))
    return packed([*entries[:at], *entries[at + count :]]), at


def dropped_in_place(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """One entry of its bundle; the other bundles stay."""
    at = place(entries, draw)
    start, found = at - at % WIDTH, packed(entries)
    found[at // WIDTH] = pack([*entries[start:at], *entries[at + 1 : start + WIDTH]])
    return found, at


def inserted(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """A copy of an entry, anywhere but beside itself; the rest moves down."""
    copy, at = place(entries, draw), draw.draw(st.integers(0, len(entries)))
    return packed([*entries[:at], entries[copy], *entries[at:]]), at + (copy == at)


def inserted_in_place(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """A copy of an entry, after which its bundle holds more than its own."""
    at = place(entries, draw)
    start, found = at - at % WIDTH, packed(entries)
    found[at // WIDTH] = pack([*entries[start : at + 1], *entries[at : start + WIDTH]])
    return found, at + 1


def swapped(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    first, second = sorted([place(entries, draw), place(entries, draw)])
    assume(first != second)
    moved = list(entries)
    moved[first], moved[second] = moved[second], moved[first]
    return packed(moved), first


def reordered(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    start, end = sorted(draw.draw(st.tuples(*[st.integers(0, len(entries))] * 2)))
    assume(end - start > 1)
    run = draw.draw(st.randoms()).sample(entries[start:end], end - start)
    first = next((at for at in range(start, end) if run[at - start] != entries[at]), None)
    assume(first is not None)
    return packed([*entries[:start], *run, *entries[end:]]), first or 0


def truncated(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """A bundle cut at any byte, or gone."""
    found = packed(entries)
    n = draw.draw(st.integers(0, len(found) - 1))
    cut = draw.draw(st.integers(0, len(found[n]) - 1))
    at, end = n * WIDTH, 2 + len(entries[n * WIDTH])
    while end <= cut:
        at += 1
        end += 2 + len(entries[at])
    found[n] = found[n][:cut]
    return found, at


def mismeasured(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """The length before an entry."""
    at = place(entries, draw)
    length = draw.draw(st.integers(0, 0xFFFF).filter(lambda length: length != len(entries[at])))
    found, start = packed(entries), at - at % WIDTH
    before = pack(entries[start:at])
    found[at // WIDTH] = before + length.to_bytes(2, "big") + found[at // WIDTH][len(before) + 2 :]
    return found, at


def moved_down(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """A bundle's last entry, to the beginning of the next."""
    border = draw.draw(st.integers(1, max(1, (len(entries) - 1) // WIDTH))) * WIDTH
    assume(border < len(entries))
    found = packed(entries)
    found[border // WIDTH - 1] = pack(entries[border - WIDTH : border - 1])
    found[border // WIDTH] = pack([entries[border - 1], *entries[border : border + WIDTH]])
    return found, border - 1


def moved_up(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """A bundle's first entry, to the end of the one before."""
    border = draw.draw(st.integers(1, max(1, (len(entries) - 1) // WIDTH))) * WIDTH
    assume(border < len(entries))
    found = packed(entries)
    found[border // WIDTH - 1] = pack(entries[border - WIDTH : border + 1])
    found[border // WIDTH] = pack(entries[border + 1 : border + WIDTH])
    return found, border


def exchanged(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """Two whole bundles."""
    found = packed(entries)
    first, second = sorted(draw.draw(st.tuples(*[st.integers(0, len(found) - 1)] * 2)))
    assume(first != second)
    found[first], found[second] = found[second], found[first]
    return found, first * WIDTH


def foreign(entries: tuple[bytes, ...], draw: st.DataObject) -> Harm:
    """An entry of another log, at the place that it had there."""
    at = place(entries, draw)
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), at + 1, "other")
        ((_, other),) = Reader(Folder(Path(name) / "audit")).entries(at)
    return packed([*entries[:at], other, *entries[at + 1 :]]), at


HARMS: list[Callable[[tuple[bytes, ...], st.DataObject], Harm]] = [
    changed, dropped, dropped_in_place, inserted, inserted_in_place, swapped, reordered, truncated, mismeasured,
    moved_down, moved_up, exchanged, foreign,
]  # fmt: skip


def put_live(folder: Path, bundles: Bundles) -> None:
    for path in folder.glob("tile/entries/*"):
        path.unlink()
    for n, data in enumerate(bundles):
        bundle_path(folder, n).write_bytes(data)


def put_export(folder: Path, bundles: Bundles, size: int) -> None:
    """Under the names that the export had; further bundles, where there are more, under the last one's width."""
    for path in folder.glob("tile/entries/*"):
        for file in [*path.glob("*")] if path.is_dir() else [path]:
            file.unlink()
    for n, data in enumerate(bundles):
        path = bundle_path(folder, n, WIDTH if (n + 1) * WIDTH <= size else size % WIDTH or WIDTH)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def blamed(folder: Path, older: Sequence[Signed] = ()) -> VerificationFailed:
    with pytest.raises(VerificationFailed) as caught:
        verify(Reader(Folder(folder)), older)
    return caught.value


def run_page(export: Path, vkey: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(page.__file__), str(export), str(vkey)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def page_blames(export: Path, vkey: Path) -> int:
    """The number that it names: of the entry, or of how many entries there are before one is missing."""
    done = run_page(export, vkey)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    named = re.match(r"FAILED: (?:entry|there are) (\d+) ", done.stderr)
    assert named, done.stderr
    return int(named[1])


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@settings(max_examples=8, deadline=None, suppress_health_check=SLOW)
@given(size=SIZES, draw=st.data())
def test_the_first_entry_that_is_not_in_its_place_is_named(
    shelf: Shelf, harm: Callable[[tuple[bytes, ...], st.DataObject], Harm], size: int, draw: st.DataObject
) -> None:
    made = shelf.log(size)
    bundles, first = harm(made.entries, draw)
    put_export(made.exported, bundles, size)
    put_live(made.live, bundles)
    for folder in (made.exported, made.live):
        told = blamed(folder)
        assert told.details["index"] == first, told.message
    assert page_blames(made.exported, made.live / "vkey") == first


# ---------------------------------------------------------------- tiles, checkpoints, keys


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(size=SIZES, draw=st.data())
def test_a_changed_tile_beside_honest_entries_is_told_as_a_tile(shelf: Shelf, size: int, draw: st.DataObject) -> None:
    made = shelf.log(size)
    put_export(made.exported, packed(made.entries), size)
    put_live(made.live, packed(made.entries))
    folder = draw.draw(st.sampled_from([made.live, made.exported]))
    tiles = sorted(path for path in folder.glob("tile/[0-9]/**/*") if path.is_file())
    tile = draw.draw(st.sampled_from(tiles))
    honest = tile.read_bytes()
    byte = draw.draw(st.integers(0, len(honest) - 1))
    wrong = draw.draw(st.sampled_from([flipped(honest, byte), honest[:byte] + b"\0" * 32 + honest[byte + 32 :]]))
    assume(wrong != honest)
    try:
        tile.write_bytes(wrong)
        told = blamed(folder)
        name = tile.relative_to(folder).as_posix()
        assert told.details["tile"] == name.split(".p/")[0]
        assert "index" not in told.details
        tile.unlink()  # as the hint says
        assert verify(Reader(Folder(folder))).checkpoint.size == size
    finally:
        tile.write_bytes(honest)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(size=st.sampled_from([1, 257]), file=st.sampled_from(["checkpoint", "vkey"]), draw=st.data())
def test_a_changed_checkpoint_or_key_fails(shelf: Shelf, size: int, file: str, draw: st.DataObject) -> None:
    made = shelf.log(size)
    put_export(made.exported, packed(made.entries), size)
    path = made.exported / file
    honest = path.read_bytes()
    byte, bits = draw.draw(st.integers(0, len(honest.rstrip()) - 1)), draw.draw(st.integers(1, 255))
    cut = draw.draw(st.integers(0, len(honest) - 2))
    other = bytes([honest[byte] ^ bits])
    harmed = draw.draw(st.sampled_from([honest[:byte] + other + honest[byte + 1 :], honest[:cut], honest + honest]))
    try:
        path.write_bytes(harmed)
        with pytest.raises((VerificationFailed, NotFound)):
            verify(Reader(Folder(made.exported)))
    finally:
        path.write_bytes(honest)


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(live=st.booleans(), draw=st.data())
def test_no_file_makes_a_checker_stumble(shelf: Shelf, live: bool, draw: st.DataObject) -> None:
    """Garbage, nothing, or a folder in the place of any file: it holds, or it fails and says why."""
    made = shelf.log(257)
    put_live(made.live, packed(made.entries))
    put_export(made.exported, packed(made.entries), 257)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(made.live if live else made.exported, Path(name) / "log"))
        path = draw.draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())))
        path.unlink()
        what = draw.draw(st.one_of(st.just("folder"), st.none(), st.binary(max_size=300)))
        if what == "folder":
            path.mkdir()
        elif isinstance(what, bytes):
            path.write_bytes(what)
        with suppress(VerificationFailed, NotFound, AuditUnavailable):
            verify(Reader(Folder(folder)))
        with suppress(VerificationFailed, NotFound, AuditUnavailable):
            export(Reader(Folder(folder)), Path(name) / "export")
        if not live and draw.draw(st.integers(0, 3)) == 0:
            done = run_page(folder, made.live / "vkey")
            assert done.returncode in (0, 1, 2)
            assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- entries and hashes changed together


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(size=SIZES, above=st.booleans(), draw=st.data())
def test_an_entry_changed_with_its_hash_is_among_those_that_are_named(
    shelf: Shelf, size: int, above: bool, draw: st.DataObject
) -> None:
    """Without the key: the fewest entries that what is left of the hashes allows; with ``above`` none is left."""
    made = shelf.log(size)
    at = place(made.entries, draw)
    forged = [*made.entries]
    forged[at] = made.entries[at].replace(b'"type":"t"', b'"type":"u"')
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(made.exported, Path(name) / "export"))
        put_export(folder, packed(forged), size)
        put_tiles(folder, forged, levels=3 if above else 1)
        told = blamed(folder)
        assert run_page(folder, made.live / "vkey").returncode == 1
    first, last = told.details["index"], told.details.get("last", told.details["index"])
    assert isinstance(first, int)
    assert isinstance(last, int)
    full = (at // WIDTH + 1) * WIDTH <= size  # then its bundle's hash is a hash of tile/1/000, which still tells
    assert (first, last) == ((at - at % WIDTH, at - at % WIDTH + WIDTH - 1) if full and not above else (0, size - 1))


def put_tiles(folder: Path, entries: Sequence[bytes], levels: int) -> None:
    """The tiles of these entries, up to that many levels, in place of those that are there."""
    row = [leaf_hash(entry) for entry in entries]
    for level in range(levels):
        for start in range(0, len(row), WIDTH):
            part = row[start : start + WIDTH]
            tile_path(folder, level, start // WIDTH, len(part)).write_bytes(b"".join(part))
        row = [subtree(row[at : at + WIDTH]) for at in range(0, len(row) - WIDTH + 1, WIDTH)]


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(size=SIZES, draw=st.data())
def test_an_entry_changed_beside_some_hash_is_named_by_the_others(shelf: Shelf, size: int, draw: st.DataObject) -> None:
    made = shelf.log(size)
    at = place(made.entries, draw)
    forged = [*made.entries]
    forged[at] = made.entries[at].replace(b'"type":"t"', b'"type":"u"')
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(made.exported, Path(name) / "export"))
        put_export(folder, packed(forged), size)
        tile = draw.draw(st.sampled_from(sorted(path for path in folder.glob("tile/[0-9]/**/*") if path.is_file())))
        data = tile.read_bytes()
        tile.write_bytes(flipped(data, draw.draw(st.integers(0, len(data) - 1))))
        told = blamed(folder)
    first, last = told.details["index"], told.details.get("last", told.details["index"])
    level, n = tile.relative_to(folder / "tile").as_posix().split(".p/")[0].split("/")
    if level == "0" and int(n) == at // WIDTH:  # entry and hash are of one bundle
        assert first <= at <= last  # type: ignore[operator]
    else:
        assert (first, last) == (at, at)


@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
@given(size=st.integers(3, 700), draw=st.data())
def test_an_older_checkpoint_narrows_what_the_hashes_cannot(shelf: Shelf, size: int, draw: st.DataObject) -> None:
    made = shelf.log(size)
    old = draw.draw(st.integers(1, size - 1))
    at = draw.draw(st.integers(old, size - 1))
    kept = shelf.signed(made, old)
    forged = [*made.entries]
    forged[at] = made.entries[at].replace(b'"type":"t"', b'"type":"u"')
    put_live(made.live, packed(forged))
    tiles = {path: path.read_bytes() for path in made.live.glob("tile/0/*")}
    try:
        for path in tiles:
            path.unlink()
        told = blamed(made.live, [kept])
        assert told.details["index"] == old
        assert told.details.get("last", old) == size - 1
    finally:
        for path, data in tiles.items():
            path.write_bytes(data)


# ---------------------------------------------------------------- where a second level of tiles begins


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """65,537 entries: the first tile of level 1 is full, and there is one of level 2."""
    folder = tmp_path_factory.mktemp("large")
    write(folder / "log", 65_537, "t")
    reader = Reader(Folder(folder / "log" / "audit"))
    export(reader, folder / "export")
    return Log(folder, tuple(entry for _, entry in reader.entries()))


@pytest.mark.parametrize("at", [0, 255, 256, 65_279, 65_535, 65_536])
def test_in_a_large_log(large: Log, at: int) -> None:
    forged = [*large.entries]
    forged[at] = large.entries[at].replace(b'"type":"t"', b'"type":"u"')
    n = at // WIDTH
    for folder, path in [
        (large.live, bundle_path(large.live, n)),
        (large.exported, bundle_path(large.exported, n, 1 if n == 256 else WIDTH)),
    ]:
        honest = path.read_bytes()
        try:
            path.write_bytes(pack(forged[n * WIDTH : (n + 1) * WIDTH]))
            assert blamed(folder).details["index"] == at
        finally:
            path.write_bytes(honest)


def test_a_large_log_holds_until_one_hash_above_is_changed(large: Log) -> None:
    assert verify(Reader(Folder(large.live))).checkpoint.size == 65_537
    for folder in (large.live, large.exported):
        tile = tile_path(folder, 1, 0)
        honest = tile.read_bytes()
        try:
            tile.write_bytes(flipped(honest, 4000))
            assert blamed(folder).details == {"tile": "tile/1/000"}
        finally:
            tile.write_bytes(honest)
