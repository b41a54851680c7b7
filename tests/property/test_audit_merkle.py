"""RFC 6962 section 2.1, against the definition written down a second time, for every pair of sizes up to 70."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.governance.audit.tree import merkle

LEAVES = [merkle.leaf_hash(str(i).encode()) for i in range(70)]

#: The reference vectors of Certificate Transparency: eight entries, and the root after each.
ENTRIES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def mth(leaves: list[bytes]) -> bytes:
    """MTH as section 2.1 writes it."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = max(1 << power for power in range(20) if 1 << power < len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def node(height: int, index: int) -> bytes:
    return mth(LEAVES[index << height : (index + 1) << height])


def frontier(leaves: list[bytes]) -> merkle.Frontier:
    grown = merkle.Frontier()
    for leaf in leaves:
        grown.push(leaf)
    return grown


def test_the_reference_vectors_of_certificate_transparency() -> None:
    leaves = [merkle.leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]
    for size, root in enumerate(ROOTS, start=1):
        assert frontier(leaves[:size]).root().hex() == root


def test_the_empty_tree_is_the_hash_of_nothing() -> None:
    assert merkle.root(0, node).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.Frontier().root() == merkle.EMPTY


@pytest.mark.parametrize("size", range(len(LEAVES) + 1))
def test_roots_are_those_of_the_definition(size: int) -> None:
    assert merkle.root(size, node) == frontier(LEAVES[:size]).root() == mth(LEAVES[:size])


@pytest.mark.parametrize("size", range(1, len(LEAVES) + 1))
def test_every_inclusion_proof_leads_to_the_root_and_no_other_leaf_does(size: int) -> None:
    root = mth(LEAVES[:size])
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, node)
        assert merkle.root_from_inclusion(LEAVES[index], index, size, proof) == root
        assert merkle.root_from_inclusion(LEAVES[index - 1], index, size, proof) != root or size == 1
        assert merkle.root_from_inclusion(LEAVES[index], index, size, (*proof, root)) is None
        if proof:
            assert merkle.root_from_inclusion(LEAVES[index], index, size, proof[:-1]) is None


@pytest.mark.parametrize("new", range(len(LEAVES) + 1))
def test_every_consistency_proof_holds_and_fits_no_other_root(new: int) -> None:
    root, forged = mth(LEAVES[:new]), merkle.leaf_hash(b"forged")
    for old in range(new + 1):
        proof, before = merkle.consistency_proof(old, new, node), mth(LEAVES[:old])
        assert merkle.consistent(old, before, new, root, proof)
        assert not merkle.consistent(old, forged, new, root, proof)
        assert not merkle.consistent(old, before, new, root, (*proof, forged))
        if old not in (0, new):
            assert not merkle.consistent(old, before, new, forged, proof)
            assert not merkle.consistent(old, before, new, root, proof[:-1])


@given(st.data())
def test_a_changed_hash_breaks_any_proof(data: st.DataObject) -> None:
    old, new = sorted(data.draw(st.tuples(st.integers(1, 70), st.integers(1, 70))))
    index = data.draw(st.integers(0, new - 1))
    inclusion, consistency = merkle.inclusion_proof(index, new, node), merkle.consistency_proof(old, new, node)
    root, before = mth(LEAVES[:new]), mth(LEAVES[:old])
    for proof in filter(None, (inclusion, consistency)):
        at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
        flipped = bytearray(proof[at])
        flipped[bit // 8] ^= 1 << bit % 8
        changed = (*proof[:at], bytes(flipped), *proof[at + 1 :])
        if proof is inclusion:
            assert merkle.root_from_inclusion(LEAVES[index], index, new, changed) != root
        else:
            assert not merkle.consistent(old, before, new, root, changed)


def test_what_does_not_exist_has_no_proof() -> None:
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        with pytest.raises(IndexError):
            merkle.inclusion_proof(index, size, node)
        assert merkle.root_from_inclusion(LEAVES[0], index, size, ()) is None
    for old, new in ((4, 3), (-1, 3)):
        with pytest.raises(IndexError):
            merkle.consistency_proof(old, new, node)
        assert not merkle.consistent(old, merkle.EMPTY, new, merkle.EMPTY, ())
