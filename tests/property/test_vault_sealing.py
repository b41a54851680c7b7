"""Sealing: any text comes back as it was; any changed bit, anywhere, and any other place is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.data.sealing import DESTROYED, KEY, WRAPPED, Sealed, SubjectKeys, seal, unseal, unwrap, wrap
from isthmus.errors import VerificationFailed
from isthmus.governance.audit.commitments import commitment, opens

KEYS = SubjectKeys.derive(b"s" * KEY)
#: Everything that Python calls text, lone surrogates too.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=300)


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_comes_back_as_it_was(text: str, request: str, subject: str) -> None:
    sealed = seal(text, KEYS, request, "prompt", subject)
    assert unseal(sealed, KEYS, request, "prompt", subject) == text
    assert len(sealed.wrapped) == WRAPPED


@given(TEXTS, st.sampled_from(["wrapped", "nonce", "ciphertext"]), st.data())
def test_any_bit_that_is_changed_is_refused(text: str, part: str, data: st.DataObject) -> None:
    sealed = seal(text, KEYS, "req_1", "prompt", "key_ann")
    content = bytearray(getattr(sealed, part))
    at = data.draw(st.integers(0, len(content) * 8 - 1))
    content[at // 8] ^= 1 << at % 8
    with pytest.raises(VerificationFailed):
        unseal(replace(sealed, **{part: bytes(content)}), KEYS, "req_1", "prompt", "key_ann")


@given(TEXTS, st.sampled_from(["wrapped", "nonce", "ciphertext"]), st.integers(0, 80))
def test_a_part_that_is_cut_is_refused(text: str, part: str, length: int) -> None:
    sealed = seal(text, KEYS, "req_1", "prompt", "key_ann")
    content = getattr(sealed, part)[:length]
    if content != getattr(sealed, part):
        with pytest.raises(VerificationFailed):
            unseal(replace(sealed, **{part: content}), KEYS, "req_1", "prompt", "key_ann")


@given(st.tuples(TEXTS, TEXTS, TEXTS), st.tuples(TEXTS, TEXTS, TEXTS))
def test_a_text_opens_at_its_own_place_only(place: tuple[str, ...], other: tuple[str, ...]) -> None:
    sealed = seal("the text", KEYS, *place)
    if place != other:
        with pytest.raises(VerificationFailed):
            unseal(sealed, KEYS, *other)


@pytest.mark.parametrize("other", [("a", "bc"), ("ab", "", "c"), ("ab,c",), ('ab", "c',), ("ab", "c", "")])
def test_the_parts_of_a_place_cannot_run_into_each_other(other: tuple[str, ...]) -> None:
    with pytest.raises(VerificationFailed):
        unseal(seal("the text", KEYS, "ab", "c"), KEYS, *other)


def test_a_key_of_one_use_is_none_of_another() -> None:
    assert len({KEYS.salts, KEYS.records, KEYS.salt("req_1"), KEYS.salt("req_2")}) == 4
    wrapped = wrap(b"k" * KEY, KEYS.records, "record", "x")
    assert unwrap(wrapped, KEYS.records, "record", "x") == b"k" * KEY
    for under, place in ((KEYS.salts, ("record", "x")), (KEYS.records, ("subject", "x"))):
        with pytest.raises(VerificationFailed):
            unwrap(wrapped, under, *place)


def test_a_key_that_was_destroyed_opens_nothing() -> None:
    sealed = seal("the text", KEYS, "req_1")
    with pytest.raises(VerificationFailed):
        unseal(Sealed(DESTROYED, sealed.nonce, sealed.ciphertext), KEYS, "req_1")


def test_derivation_is_rfc_5869() -> None:
    """By HMAC alone: extract with a salt of zeros, expand one block (sections 2.2 and 2.3 there)."""
    import hmac

    extracted = hmac.digest(bytes(32), b"s" * KEY, "sha256")
    assert KEYS.salts == hmac.digest(extracted, b"isthmus salts v1\x01", "sha256")
    assert KEYS.records == hmac.digest(extracted, b"isthmus record keys v1\x01", "sha256")


@given(TEXTS, TEXTS, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_commitment_opens_with_its_own_salt_and_text_only(text: str, other: str, salt: bytes, wrong: bytes) -> None:
    committed = commitment(salt, text)
    assert opens(committed, salt, text)
    assert opens(committed, salt, other) == (text == other)
    assert opens(committed, wrong, text) == (salt == wrong)
    assert not opens(text, salt, text)  # whatever stands where a commitment should
