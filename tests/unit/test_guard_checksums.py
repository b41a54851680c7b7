"""Check digits, on the examples of the documents that define them and of public test numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isthmus.guardrails import checksums

VALID = [
    (checksums.card, "4111111111111111"),
    (checksums.iban, "DE89370400440532013000"),
    (checksums.iban, "GB29NWBK60161331926819"),
    (checksums.kvnr, "A123456780"),
    (checksums.pension, "15070649C103"),
    (checksums.nir, "255081416802538"),
    (checksums.nir, "299012A00112226"),
    (checksums.dni, "12345678Z"),
    (checksums.dni, "X1234567L"),
    (checksums.ahv, "7569217076985"),
    (checksums.ssn, "219099999"),
]


@pytest.mark.parametrize(("check", "number"), VALID)
def test_a_valid_number_passes_and_its_neighbours_do_not(check: Callable[[str], bool], number: str) -> None:
    assert check(number)
    if check is checksums.ssn:  # no check digit: only areas that are never given
        assert not check("666099999")
        return
    at = len(number) - 2 if number[-1].isalpha() else len(number) - 1
    wrong = [number[:at] + str(digit) + number[at + 1 :] for digit in range(10) if str(digit) != number[at]]
    assert not any(check(other) for other in wrong)


@pytest.mark.parametrize("number", ["0000000000000000", "1234567890123", "DE00"])
def test_what_only_looks_like_one_fails(number: str) -> None:
    assert not checksums.card(number.replace("DE", "00"))
    assert not checksums.iban(number)
