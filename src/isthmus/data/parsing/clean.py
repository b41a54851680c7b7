"""Hostile or merely odd Unicode, made plain before offsets are counted.

Removed: control characters, bidirectional overrides (Trojan Source, CVE-2021-42574), zero-width characters and tag
characters that carry invisible orders, soft hyphens, lone surrogates. Folded: Latin ligatures and Arabic presentation
forms, which PDFs use for glyphs and nobody types into a search. Text is then in NFC. Joiners stay: Persian and emoji
need them.
"""

from __future__ import annotations

import re
import unicodedata

_REMOVED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_PRESENTATION = re.compile("[\ufb00-\ufb06\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc]+")
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_SPACES = re.compile("[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_TRAILING = re.compile("[ \t]+\n")
_BLANK_LINES = re.compile("\n{3,}")


def clean(text: str, *, keep_spaces: bool = False) -> str:
    """The text without what cannot be seen, white space tidied; ``keep_spaces`` keeps indentation (code)."""
    text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", _LINE_END.sub("\n", text))
    text = _PRESENTATION.sub(lambda match: unicodedata.normalize("NFKC", match[0]), _REMOVED.sub("", text))
    text = unicodedata.normalize("NFC", text)
    if not keep_spaces:
        text = _SPACES.sub(" ", text).replace("\n ", "\n")
    text = _BLANK_LINES.sub("\n\n", _TRAILING.sub("\n", text))
    return text.strip("\n").rstrip() if keep_spaces else text.strip()


def clean_line(text: str) -> str:
    """The same on one line."""
    return " ".join(clean(text).split())
