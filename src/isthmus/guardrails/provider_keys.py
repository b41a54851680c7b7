"""Keys whose form their issuer fixed: found by re2 in microseconds, and redacted from streams.

One pattern over all rows, so that a text is read once, in time linear in its length whatever it says. A row is a
literal beginning that the issuer documents and a tail; tails are open-ended, so that a redaction takes the whole key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Protocol

#: What a key is made of, all of them together: a run of these may still grow into a match (see ``window``).
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
#: No match is shorter, in characters.
SHORTEST = 20
#: Whatever begins a match is decided after this many characters of the alphabet.
DECIDED = 4096
PEM_BEGIN = "-----BEGIN"
#: A PEM header is decided after this many characters.
PEM_DECIDED = 700

_WORD = r"A-Za-z0-9_\-"
_PEM_BODY = r"A-Za-z0-9+/=\s\\"


@dataclass(frozen=True, slots=True)
class Form:
    """``tail``: what the open end of the pattern takes, as a class of a regular expression; empty: the end is fixed.
    The last quantifier of ``pattern`` must take exactly that class."""

    kind: str
    pattern: str
    tail: str = ""


# Where the forms come from: the issuers' pages on key formats (GitHub "About authentication to GitHub", AWS "Unique
# identifiers", Slack "Token types", Stripe "API keys", GitLab "Token overview", RFC 7468 for PEM, RFC 7515 for JWT);
# where an issuer publishes none (OpenAI, Anthropic, Google), keys as they are handed out.
FORMS = (
    Form("anthropic_key", rf"\bsk-ant-[{_WORD}]{{24,}}", _WORD),
    Form("openai_key", r"\bsk-[A-Za-z0-9]{32,}", "A-Za-z0-9"),
    Form("openai_key", rf"\bsk-(?:proj|svcacct|admin|or-v1)-[{_WORD}]{{32,}}", _WORD),
    Form("isthmus_key", rf"\bisk_[{_WORD}]{{24,}}", _WORD),
    Form("google_key", rf"\bAIza[{_WORD}]{{35,}}", _WORD),
    Form("aws_key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    Form("github_token", r"\bgh[pousr]_[A-Za-z0-9]{36,}", "A-Za-z0-9"),
    Form("github_token", rf"\bgithub_pat_[{_WORD}]{{22,}}", _WORD),
    Form("gitlab_token", rf"\bgl(?:pat|dt|rt|oas)-[{_WORD}]{{20,}}", _WORD),
    Form("slack_token", rf"\bxox[abeoprs]-[{_WORD}]{{16,}}|\bxapp-[{_WORD}]{{24,}}", _WORD),
    Form("stripe_key", r"\b[srp]k_live_[A-Za-z0-9]{16,}", "A-Za-z0-9"),
    Form("huggingface_token", r"\bhf_[A-Za-z0-9]{30,}", "A-Za-z0-9"),
    Form("groq_key", r"\bgsk_[A-Za-z0-9]{40,}", "A-Za-z0-9"),
    Form("jwt", rf"\beyJ[{_WORD}]{{10,900}}\.eyJ[{_WORD}.]{{10,}}", _WORD + "."),
    Form(
        "private_key",
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:\s|\\[nr]){0,4}(?:[A-Za-z-]{1,20}: [^\n]{0,100}\n\s{0,4}){0,4}"
        rf"[A-Za-z0-9+/=]{{16,}}[{_PEM_BODY}]*",
        _PEM_BODY,
    ),
)


class _Match(Protocol):
    lastindex: int | None

    def start(self) -> int: ...

    def end(self) -> int: ...


class _Pattern(Protocol):
    def finditer(self, text: str, pos: int = ...) -> Iterator[_Match]: ...

    def fullmatch(self, text: str) -> _Match | None: ...


@dataclass(frozen=True, slots=True)
class Key:
    """A key at ``start:end`` of the text that was read."""

    form: Form
    start: int
    end: int


def find(text: str, start: int = 0) -> Iterator[Key]:
    """Every key that begins at ``start`` or later, leftmost first, none overlapping. ``text[start - 1]`` is looked at
    for word boundaries. The text must hold no lone surrogates."""
    if len(text) - start < SHORTEST:
        return
    for match in _pattern().finditer(text, start):
        yield Key(FORMS[(match.lastindex or 1) - 1], match.start(), match.end())


@cache
def _pattern() -> _Pattern:
    import re2

    compiled: _Pattern = re2.compile("|".join(f"({form.pattern})" for form in FORMS))
    return compiled
