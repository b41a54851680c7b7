"""What is served of a log, whatever its storage keeps of the hashes: every tile, every proof, and nothing unsigned."""

from __future__ import annotations

import json
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import NotFound
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.reading.serving import Address, Site
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.layout import WIDTH, number, unpack
from memory_storage import Memory, root

ENTRIES = [json.dumps({"seq": i, "time": "2026-03-14T00:00:00.000000Z", "type": "t"}).encode() for i in range(900)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]


@lru_cache(maxsize=2000)
def span(level: int, index: int) -> bytes:
    """MTH(D[index * 256**level : (index + 1) * 256**level]), as the specification says it."""
    return root(ENTRIES[index * WIDTH**level : (index + 1) * WIDTH**level]) if level else LEAVES[index]


@st.composite
def storages(draw: st.DrawFn) -> Memory:
    """A log of any size, partly signed for, with some of its tiles, some of them short, also within a hash."""
    written = draw(st.integers(1, len(ENTRIES)))
    signed = draw(st.one_of(st.just(written), st.integers(1, written)))
    tiles = {}
    for level, n in draw(st.sets(st.sampled_from([(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]))):
        count = max(0, min(WIDTH, (written >> 8 * level) - n * WIDTH))
        whole = b"".join(span(level, n * WIDTH + at) for at in range(count))
        tiles[level, n] = whole[: draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))]
    return Memory(ENTRIES[:written], signed, tiles)


@settings(max_examples=120, deadline=None)
@given(storages(), st.data())
def test_every_tile_and_bundle_up_to_what_is_signed(storage: Memory, draw: st.DataObject) -> None:
    site, level = Site(storage), draw.draw(st.integers(0, 2))
    n, width = draw.draw(st.integers(0, 4)), draw.draw(st.integers(1, WIDTH))
    part = "" if width == WIDTH else f".p/{width}"
    there = n * WIDTH + width <= storage.signed >> 8 * level
    tile = Address.parse(f"{level}/{number(n)}{part}")
    assert tile == Address(level, n, width)
    bundle = Address.parse(f"entries/{number(n)}{part}")
    if not there:
        with pytest.raises(NotFound):
            site.read(tile)
    else:
        assert site.read(tile) == b"".join(span(level, n * WIDTH + at) for at in range(width))
    if n * WIDTH + width <= storage.signed:
        assert unpack(site.read(bundle))[0] == ENTRIES[n * WIDTH : n * WIDTH + width]
    else:
        with pytest.raises(NotFound):
            site.read(bundle)


@settings(max_examples=120, deadline=None)
@given(storages(), st.data())
def test_every_proof_up_to_what_is_signed(storage: Memory, draw: st.DataObject) -> None:
    site = Site(storage)
    new = draw.draw(st.one_of(st.none(), st.integers(1, storage.signed)))
    size = new or storage.signed
    index, old = draw.draw(st.integers(0, size - 1)), draw.draw(st.integers(0, size))
    told, newest = site.inclusion(index, new)
    assert newest.checkpoint.size == storage.signed
    proof = [bytes.fromhex(step) for step in told.proof]
    assert (told.index, told.size, told.leaf) == (index, size, LEAVES[index].hex())
    assert told.root == root(ENTRIES[:size]).hex()
    assert merkle.root_from_inclusion(LEAVES[index], index, size, proof) == bytes.fromhex(told.root)
    both, _ = site.consistency(old, new)
    roots = bytes.fromhex(both.old_root), bytes.fromhex(both.new_root)
    assert roots == (root(ENTRIES[:old]), root(ENTRIES[:size]))
    assert merkle.consistent(old, roots[0], size, roots[1], [bytes.fromhex(step) for step in both.proof])
    beyond = draw.draw(st.integers(1, 10**9))
    for wrong in (
        lambda: site.inclusion(size - 1 + beyond, new),
        lambda: site.inclusion(0, storage.signed + beyond),
        lambda: site.consistency(size + beyond, new),
        lambda: site.consistency(1, storage.signed + beyond),
    ):
        with pytest.raises(NotFound):
            wrong()


@settings(max_examples=40, deadline=None)
@given(storages())
def test_a_log_whose_hashes_are_short_or_gone_holds(storage: Memory) -> None:
    verified = verify(Reader(storage))
    assert (verified.checkpoint.size, verified.pending) == (storage.signed, len(storage.entries) - storage.signed)


_PIECES = st.sampled_from(
    ["0", "00", "000", "x000", "x001", "entries", ".p", ".p/1", "/", "255", "256", "٠", "０", "\n", "-1"]
)


@given(st.one_of(st.text(max_size=30), st.lists(_PIECES, max_size=8).map("".join)))
def test_an_address_has_one_spelling(path: str) -> None:
    try:
        address = Address.parse(path)
    except NotFound:
        return
    level = "entries" if address.level is None else str(address.level)
    assert path == f"{level}/{number(address.n)}" + ("" if address.width == WIDTH else f".p/{address.width}")
    assert 1 <= address.width <= WIDTH


@given(st.integers(0, 10**18 - 1), st.integers(1, WIDTH), st.one_of(st.none(), st.integers(0, 63)))
def test_every_address_is_read(n: int, width: int, level: int | None) -> None:
    name = "entries" if level is None else str(level)
    path = f"{name}/{number(n)}" + ("" if width == WIDTH else f".p/{width}")
    assert Address.parse(path) == Address(level, n, width)
