"""What is written of a witness in isthmus.yaml, and what is said of what cannot be meant."""

from __future__ import annotations

import json

import pytest

from isthmus.config import parse
from isthmus.errors import ConfigInvalid

KEY = "w+01234567+AAAA"


def told(url: str, vkey: str = KEY) -> str:
    with pytest.raises(ConfigInvalid) as refused:
        parse(json.dumps({"audit": {"witnesses": [{"url": url, "vkey": vkey}]}}))
    return refused.value.message


@pytest.mark.parametrize("url", ["http://witness.example", "https://witness.example/w/", "http://127.0.0.1:8790"])
def test_an_address(url: str) -> None:
    (witness,) = parse(json.dumps({"audit": {"witnesses": [{"url": url, "vkey": KEY}]}})).audit.witnesses
    assert (witness.url, witness.vkey) == (url, KEY)


@pytest.mark.parametrize(
    "url", ["", "witness.example", "ftp://w", "http://", "http://a b", "http://w/?x=1", "http://w\n"]
)
def test_an_address_that_is_none_is_said_in_words(url: str) -> None:
    assert "must be a witness's address" in told(url)
    assert "[^" not in told(url)


@pytest.mark.parametrize("end", ["/add-checkpoint", "/add-checkpoint/", "/w/add-checkpoint"])
def test_the_address_of_the_request_is_not_the_witness_s(end: str) -> None:
    assert "without /add-checkpoint" in told(f"http://w.example{end}")


@pytest.mark.parametrize("vkey", ["", "foo", "a+b", "w+0123456+AAAA", "w w+01234567+AAAA"])
def test_a_key_that_is_none_is_said_in_words(vkey: str) -> None:
    assert "must be the witness's public key" in told("http://w.example", vkey)
