"""The window over a stream: the same text comes out however it is split, and no key does."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import GuardBlocked
from isthmus.guardrails.window import KeyRedactor, StreamWindow

BODY = "aB3dE6gH9jK2mN5pQ8sT1vW4xY7z"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}{BODY}\n{BODY}==\n-----END RSA PRIVATE KEY-----"
KEYS = {
    f"sk-ant-api03-{BODY}": "anthropic key",
    f"sk-proj-{BODY}{BODY}": "openai key",
    f"sk-{BODY}{BODY}": "openai key",
    f"isk_{BODY}{BODY}": "isthmus key",
    f"AIza{BODY}aB3dE6gH": "google key",
    "AKIAIOSFODNN7EXAMPL3": "aws key",
    f"ghp_{BODY}{BODY}": "github token",
    f"github_pat_{BODY}": "github token",
    f"glpat-{BODY}": "gitlab token",
    f"xoxb-123456789012-{BODY}": "slack token",
    f"sk_live_{BODY}": "stripe key",
    f"hf_{BODY}aB3": "huggingface token",
    f"eyJ{BODY}.eyJ{BODY}.{BODY}": "jwt",
    PEM: "private key",
}
LURES = (
    "sk-",
    "ghp_",
    "eyJ",
    "-----BEGIN ",
    "-----BEGIN CERTIFICATE-----\n",
    "-----",
    "x" * 50,
    f"ghp_{BODY * 200}",
    "A" * 4500,
)
SEPARATORS = st.sampled_from([" ", ".", ",", "\n", "-"])
PIECE = st.one_of(st.sampled_from(sorted(KEYS)), st.sampled_from(LURES), st.text(max_size=12), SEPARATORS)
TEXT = st.lists(PIECE, max_size=8).map("".join)


class Output:
    """The output side of a guard that redacts or blocks."""

    def redactor(self) -> KeyRedactor:
        return KeyRedactor()


def through(parts: list[str]) -> str:
    async def run() -> str:
        window = StreamWindow([Output()])
        return "".join([*[await window.feed(part) for part in parts], await window.close()])

    return asyncio.run(run())


@settings(max_examples=150, deadline=None)
@given(TEXT, st.lists(st.integers(0, 10_000), max_size=12))
def test_every_split_gives_what_the_whole_gives(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    parts = [text[start:end] for start, end in pairwise(places)]
    assert through(parts) == through([text])


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(KEYS)), st.text("abc ,\n\u4f60é", max_size=10), st.integers(1, 9))
def test_a_key_never_comes_out(key: str, before: str, width: int) -> None:
    text = f"{before} {key}, and so on"
    out = through([text[at : at + width] for at in range(0, len(text), width)])
    assert f"[redacted: {KEYS[key]}]" in out
    assert BODY[:12] not in out
    assert "IOSFODNN" not in out
    assert out.startswith(f"{before} ")
    assert out.endswith(", and so on")


@given(st.text("abcdefgh \n.,é你", max_size=200), st.integers(1, 20))
def test_text_without_keys_passes_unchanged(text: str, width: int) -> None:
    assert through([text[at : at + width] for at in range(0, len(text), width)]) == text


@given(st.sampled_from(sorted(set(KEYS) - {PEM})), st.integers(1, 40))
def test_a_blocked_window_is_never_delivered(key: str, width: int) -> None:
    text = f"Here it is: {key} and more"
    redactor, out = KeyRedactor("block"), []
    with pytest.raises(GuardBlocked, match="may be out already"):
        out.extend(redactor.feed(text[at : at + width]) for at in range(0, len(text), width))
    assert "Here it is: ".startswith("".join(out))
    assert redactor.close() == ""


def test_only_a_word_that_may_grow_is_held_back() -> None:
    redactor = KeyRedactor()
    assert redactor.feed("Hello wor") == "Hello "
    assert redactor.feed("ld! 你好") == "world! 你好"
