"""The old key signs the new: who is trusted for what, for holders of either, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer, Verifier
from isthmus.governance.audit.notes.rotation import Rotation, is_rotation, sign, trusted

NAME = "example.org/log"
FIRST, SECOND, THIRD, OTHER = (Signer(NAME, Ed25519PrivateKey.generate()) for _ in range(4))


def at(size: int) -> Checkpoint:
    return Checkpoint(NAME, size, bytes([size % 256]) * 32)


CHAIN = [sign(at(10), FIRST, SECOND), sign(at(20), SECOND, THIRD)]


@pytest.mark.parametrize("held", [FIRST, SECOND, THIRD])
def test_a_holder_of_any_key_opens_what_each_signed_in_its_time(held: Signer) -> None:
    verifier = trusted(held.verifier, CHAIN)
    assert verifier.vkey == THIRD.verifier.vkey
    for signer, size in ((FIRST, 3), (FIRST, 10), (SECOND, 11), (SECOND, 20), (THIRD, 20), (THIRD, 10**6)):
        assert verifier.open(signer.sign(at(size))) == at(size)


@pytest.mark.parametrize(("signer", "size"), [(FIRST, 11), (SECOND, 21)])
def test_a_retired_key_signs_for_nothing_after_its_end(signer: Signer, size: int) -> None:
    """Whoever stole it can write no log that goes on."""
    with pytest.raises(VerificationFailed, match="retired at"):
        trusted(THIRD.verifier, CHAIN).open(signer.sign(at(size)))


def test_without_rotations_a_key_stands_for_itself() -> None:
    assert trusted(FIRST.verifier, []) == FIRST.verifier
    with pytest.raises(VerificationFailed, match="not signed by"):
        trusted(FIRST.verifier, []).open(SECOND.sign(at(11)))


def test_a_stranger_s_key_is_not_linked() -> None:
    for notes, now in ((CHAIN, None), (CHAIN, THIRD.verifier), ([], THIRD.verifier)):
        with pytest.raises(VerificationFailed, match="leads from or to"):
            trusted(OTHER.verifier, notes, now)
    with pytest.raises(VerificationFailed, match="leads from or to"):
        trusted(FIRST.verifier, CHAIN, OTHER.verifier)


def test_a_rotation_that_was_begun_does_not_count() -> None:
    verifier = trusted(FIRST.verifier, CHAIN, SECOND.verifier)
    assert verifier.vkey == SECOND.verifier.vkey
    assert verifier.open(SECOND.sign(at(500))) == at(500)
    assert trusted(FIRST.verifier, CHAIN, FIRST.verifier) == FIRST.verifier


@pytest.mark.parametrize(
    "notes",
    [
        [CHAIN[1], CHAIN[0]],
        [CHAIN[0], sign(at(20), OTHER, THIRD)],
        [CHAIN[0], sign(at(9), SECOND, THIRD)],
    ],
    ids=["order", "gap", "shrunk"],
)
def test_what_is_no_chain_is_refused(notes: list[str]) -> None:
    with pytest.raises(VerificationFailed, match="Rotation 2"):
        trusted(FIRST.verifier, notes)


def test_a_rotation_is_a_checkpoint_that_no_reader_takes_for_an_ordinary_one() -> None:
    rotation = Rotation.open(CHAIN[0])
    assert is_rotation(rotation.checkpoint)
    assert (rotation.checkpoint.size, rotation.checkpoint.root) == (10, at(10).root)
    with pytest.raises(VerificationFailed, match="4 lines"):
        FIRST.verifier.open(CHAIN[0])


def resign(line: str, *signers: Signer, origin: str = NAME) -> str:
    extended = Checkpoint(origin, 10, bytes(32), tuple(line.split("\n")))
    return f"{extended.body}\n" + "".join(signer.signature(extended).line for signer in signers)


A, B = FIRST.verifier.vkey, SECOND.verifier.vkey
ELSEWHERE = Signer("other.org/log", Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (resign(f"isthmus.rotation/v1 {A} {B}", FIRST), "not signed by"),
        (resign(f"isthmus.rotation/v1 {A} {B}", SECOND), "not signed by"),
        (resign(f"isthmus.rotation/v1 {A} {A}", FIRST), "one key twice"),
        (resign(f"isthmus.rotation/v1 {A} {ELSEWHERE.verifier.vkey}", FIRST), "another log"),
        (resign(f"isthmus.rotation/v2 {A} {B}", FIRST, SECOND), "not a rotation"),
        (resign(f"isthmus.rotation/v1 {A}", FIRST, SECOND), "not a rotation"),
        (resign(f"isthmus.rotation/v1  {A} {B}", FIRST, SECOND), "not a rotation"),
        (resign(f"isthmus.rotation/v1 {A} {B}\nmore", FIRST, SECOND), "not a rotation"),
        (resign(f"isthmus.rotation/v1 {A} {B[:-4]}AAA=", FIRST, SECOND), "verifier key"),
        (CHAIN[0].replace("\n10\n", "\n11\n"), "does not fit"),
        (FIRST.sign(at(10)), "not a rotation"),
        ("", "not a signed note"),
    ],
)
def test_hostile_rotations(note: str, why: str) -> None:
    with pytest.raises(VerificationFailed, match=why):
        Rotation.open(note)


def test_a_verifier_of_a_chain_has_the_newest_key_s_text() -> None:
    assert Verifier.parse(trusted(FIRST.verifier, CHAIN).vkey) == THIRD.verifier
