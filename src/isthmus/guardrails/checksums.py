"""Check digits of national and financial numbers: each takes the number without separators, upper case."""

from __future__ import annotations

_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_BRANDS = ("4", "51", "52", "53", "54", "55", "2", "34", "37", "30", "36", "38", "6")


def luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for at, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + at % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def card(number: str) -> bool:
    """A payment card: a brand's first digits, Luhn, and not one digit repeated."""
    return number.startswith(_BRANDS) and len(set(number)) > 1 and luhn(number)


def iban(number: str) -> bool:
    """ISO 13616: mod 97 of the rearranged number is 1."""
    if not 15 <= len(number) <= 34 or not number[2:4].isdigit():
        return False
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 == 1


def kvnr(number: str) -> bool:
    """German health insurance number (section 290 SGB V): the letter as two digits, weights 1 and 2, digit sums."""
    digits = f"{ord(number[0]) - 64:02d}{number[1:9]}"
    return sum(_digit_sum(int(digit) * (1 + at % 2)) for at, digit in enumerate(digits)) % 10 == int(number[9])


def pension(number: str) -> bool:
    """German pension insurance number (section 147 SGB VI; VKVV section 4): weights 2 1 2 5 7 1 2 1 2 1 2 1."""
    digits = f"{number[:8]}{ord(number[8]) - 64:02d}{number[9:11]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    products = (int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
    return sum(map(_digit_sum, products)) % 10 == int(number[11])


def nir(number: str) -> bool:
    """French social security number with its key: 97 minus the number mod 97; Corsica's 2A and 2B as 19 and 18."""
    body = number[:13].replace("2A", "19").replace("2B", "18")
    return body.isdigit() and 97 - int(body) % 97 == int(number[13:15])


def dni(number: str) -> bool:
    """Spanish DNI and NIE: the letter is the number mod 23 of a fixed row; X, Y, Z count as 0, 1, 2."""
    digits = number[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _DNI[int(digits) % 23] == number[-1]


def ahv(number: str) -> bool:
    """Swiss AHV number: an EAN-13 that begins with 756."""
    return sum(int(digit) * (1 + 2 * (at % 2)) for at, digit in enumerate(number)) % 10 == 0


def ssn(number: str) -> bool:
    """US social security number: no area 000, 666 or 9xx, no group 00, no serial 0000 (SSA, randomization)."""
    return number[:3] not in ("000", "666") and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def _digit_sum(number: int) -> int:
    return number // 10 + number % 10
