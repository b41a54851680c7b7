"""A tree over tiles is the tree of its leaves: while it grows, after it is opened again, and with tiles missing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.files import Files, make_folders, replace
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.layout import WIDTH, bundle_path, number, pack, tile_path, unpack
from isthmus.governance.audit.tree.storage import Folder, tile_keeper
from isthmus.governance.audit.tree.tree import Tree

ENTRIES = [f"entry {i}".encode() for i in range(1400)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]


def roots() -> list[bytes]:
    frontier, found = merkle.Frontier(), [merkle.EMPTY]
    for leaf in LEAVES:
        frontier.push(leaf)
        found.append(frontier.root())
    return found


ROOTS = roots()


def grow(folder: Path, size: int) -> Tree:
    tree = Tree(Folder(folder), tile_keeper(folder, Files()))
    for start in range(0, size - size % WIDTH, WIDTH):
        make_folders(Files(), bundle_path(folder, 0).parent)
        replace(Files(), bundle_path(folder, start // WIDTH), pack(ENTRIES[start : start + WIDTH]))
    for leaf in LEAVES[:size]:
        tree.push(leaf)
    return tree


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1400), st.data())
def test_any_older_root_and_any_proof(size: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grown = grow(folder, size)
        assert grown.size == size
        # what is opened again holds the full bundles, and computes tiles that are gone
        for lost in data.draw(st.sets(st.tuples(st.integers(0, 1), st.integers(0, 5)), max_size=3)):
            tile_path(folder, *lost).unlink(missing_ok=True)
        opened = Tree(Folder(folder), tile_keeper(folder, Files()), size // WIDTH)
        for leaf in LEAVES[opened.size : size]:
            opened.push(leaf)
        old = data.draw(st.integers(0, size))
        for tree in (grown, opened):
            assert tree.root() == ROOTS[size]
            assert tree.root(old) == ROOTS[old]
            proof = merkle.consistency_proof(old, size, tree.node)
            assert merkle.consistent(old, ROOTS[old], size, ROOTS[size], proof)
            if old < size:
                inclusion = merkle.inclusion_proof(old, size, tree.node)
                assert tree.leaf(old) == LEAVES[old]
                assert merkle.root_from_inclusion(LEAVES[old], old, size, inclusion) == ROOTS[size]


def test_an_entry_that_is_gone_is_named(tmp_path: Path) -> None:
    grow(tmp_path, 600)
    tile_path(tmp_path, 0, 1).unlink()
    replace(Files(), bundle_path(tmp_path, 1), pack(ENTRIES[256:300]))
    with pytest.raises(VerificationFailed) as caught:
        Tree(Folder(tmp_path), tile_keeper(tmp_path, Files()), 2)
    assert caught.value.details["index"] == 300


def test_a_tile_that_stayed_short_is_computed_again(tmp_path: Path) -> None:
    """Its hashes grew beside entries that a power loss took; others are in their place."""
    grow(tmp_path, 512)
    replace(Files(), tile_path(tmp_path, 0, 1), bytes(100 * 32))
    assert Tree(Folder(tmp_path), tile_keeper(tmp_path, Files()), 2).root() == ROOTS[512]


@given(
    st.lists(st.binary(min_size=1, max_size=300).map(lambda raw: raw.replace(b"\0", b"0")), max_size=20),
    st.integers(0, 10_000),
)
def test_a_bundle_cut_anywhere_gives_the_entries_before_the_cut(entries: list[bytes], cut: int) -> None:
    packed = pack(entries)
    kept, end = unpack(packed[:cut])
    assert kept == entries[: len(kept)]
    assert packed[:end] == pack(kept)
    assert end <= cut
    assert cut < len(packed) or kept == entries


@given(st.integers(0, 10**9))
def test_tile_numbers_sort_into_folders_of_a_thousand(n: int) -> None:
    parts = number(n).split("/")
    assert int("".join(part.lstrip("x") for part in parts)) == n
    assert all(part.startswith("x") and len(part) == 4 for part in parts[:-1])
    assert len(parts[-1]) == 3


def test_the_specification_s_example() -> None:
    assert number(1234067) == "x001/x234/067"
    assert str(tile_path(Path(), 2, 67, 8)) == "tile/2/067.p/8"
    assert str(bundle_path(Path(), 1000)) == "tile/entries/x001/000"


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 33)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, _sparse, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_of_a_log_is_refused_at_once(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = bundle_path(tmp_path, 0)
    path.parent.mkdir(parents=True)
    make(path)
    with pytest.raises(OSError, match="no file of a log"):
        Folder(tmp_path).bundle(0)
