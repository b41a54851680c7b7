"""Citations in an answer as it streams: those that point at a passage stay, as ``[n]``; the others are removed.

What counts as one, outside code: one to three digits in brackets, alone or in a list, with or without a word for it:
``[2]``, ``[1, 3]``, ``[1-3]``, ``[^1]``, ``[Passage 2]``, ``【4†source】``. What does not:

- anything in backticks;
- a Markdown link, ``[1](https://…)``;
- four digits or more, ``[2024]``;
- an index: ``a[0]``, ``x1[2]``, ``my_list[3]``, ``rows[1].name``. A model often sets a citation directly after a word,
  ``30 days[2]``: so a bracket after three letters or more, or after a number, is a citation if a space, a mark of
  punctuation or the end follows it, and its number is not 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sized

#: The longest marker; what is longer is text. The filter never holds more than this, and a run of backticks.
_LONGEST = 64

_SPECIAL = re.compile(r" ?[\[【]|`+")
_MARKER_ENDS = re.compile(r"[\]】\[【\n`]")
_CODE_ENDS = re.compile(r"`+|\n")
_WORD_BEFORE = re.compile(r"\w+\Z")
_INDEX_FOLLOWS = re.compile(r"[^\s.,;:!?)\]\[\"'»”’*]|\.\w")
_NAME = r"(?:passages?|sources?|documents?|docs?|refs?|references?|citations?|see|quellen?|dokumente?|abschnitte?)"
_MARKER = re.compile(
    rf"[\[【]\s*(?:\^|{_NAME}\s*[.:#]?\s*)?"
    rf"(\d{{1,3}}(?:\s*(?:[,;&–-]|and|und)\s*(?:{_NAME}\s*)?\d{{1,3}})*)"
    r"\s*(?:†[^\]】]*)?[\]】]",
    re.IGNORECASE,
)
_ITEM = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")


class CitationFilter:
    """Feed it the answer's text in any pieces: what comes out, in all, does not depend on where they were cut.

    ``used`` gives the numbers of the passages cited so far, in order of first use.
    """

    def __init__(self, passages: Sized) -> None:
        self._count = len(passages)
        self._waiting = ""  # not decided yet
        self._before = ""  # the end of what was decided, as it came in
        self._fence = 0  # inside code: how many backticks end it
        self._indexed = False  # the last thing decided was an index, so a bracket directly after it is one too
        self._used: dict[int, None] = {}

    @property
    def used(self) -> tuple[int, ...]:
        return tuple(self._used)

    def feed(self, text: str) -> str:
        """The text that is decided by now; the rest waits for more."""
        self._waiting += text
        return "".join(self._decided(final=False))

    def close(self) -> str:
        """The rest, at the end of the answer."""
        return "".join(self._decided(final=True))

    def _decided(self, final: bool) -> Iterator[str]:
        while self._waiting:
            step = self._code(final) if self._fence else self._prose(final)
            if step is None:
                return
            taken, given = step
            self._before = (self._before + self._waiting[:taken])[-_LONGEST:]
            self._waiting = self._waiting[taken:]
            yield given

    # Each of these looks at the start of what waits, and gives how much of it is decided and what becomes of that;
    # None where more text is needed to tell.

    def _code(self, final: bool) -> tuple[int, str] | None:
        end = _CODE_ENDS.search(self._waiting)
        if end is None:
            return self._as_it_is(len(self._waiting))
        if end.start():
            return self._as_it_is(end.start())
        if end.end() == len(self._waiting) and end.group() != "\n" and not final:
            return None
        # A stray backtick must not switch the filter off for good: code within a line ends with the line.
        if (self._fence < 3) if end.group() == "\n" else len(end.group()) == self._fence:
            self._fence = 0
        return self._as_it_is(end.end())

    def _prose(self, final: bool) -> tuple[int, str] | None:
        special = _SPECIAL.search(self._waiting)
        if special is None:
            held = 1 if self._waiting.endswith(" ") and not final else 0
            decided = len(self._waiting) - held
            return self._as_it_is(decided) if decided else None
        if special.start():
            return self._as_it_is(special.start())
        if special.group()[-1] != "`":
            return self._bracket(special.end() - 1, final)
        if special.end() == len(self._waiting) and not final:
            return None
        self._fence = special.end()
        return self._as_it_is(special.end())

    def _bracket(self, opening: int, final: bool) -> tuple[int, str] | None:
        end = _MARKER_ENDS.search(self._waiting, opening + 1, opening + _LONGEST)
        if end is None and not final and len(self._waiting) < opening + _LONGEST:
            return None
        if end is None or end.group() not in "]】":
            return self._as_it_is(opening + 1)
        if len(self._waiting) < end.end() + 2 and not final:
            return None  # what follows tells a link or an index
        marker = _MARKER.fullmatch(self._waiting, opening, end.end())
        if marker is None:
            return self._as_it_is(opening + 1)
        numbers = list(_numbers(marker.group(1)))
        follows = self._waiting[end.end() : end.end() + 2]
        if follows.startswith("(") or self._is_index(opening, numbers, follows):
            step = self._as_it_is(end.end())
            self._indexed = True
            return step
        self._indexed = False
        return end.end(), self._cited(numbers, " " * opening)

    def _is_index(self, opening: int, numbers: list[int], follows: str) -> bool:
        if opening or self._waiting[0] == "【":  # no language indexes with these
            return False
        if self._indexed:
            return True
        word = _WORD_BEFORE.search(self._before)
        if word is None:
            return False
        name = word.group()
        prose = name.isdecimal() or (name.isalpha() and (len(name) >= 3 or not name.isascii()))
        return not prose or 0 in numbers or _INDEX_FOLLOWS.match(follows) is not None

    def _cited(self, numbers: list[int], space: str) -> str:
        valid = [number for number in dict.fromkeys(numbers) if 1 <= number <= self._count]
        self._used.update(dict.fromkeys(valid))
        return space + "".join(f"[{number}]" for number in valid) if valid else ""

    def _as_it_is(self, length: int) -> tuple[int, str]:
        self._indexed = False
        return length, self._waiting[:length]


def _numbers(listed: str) -> Iterator[int]:
    for first, last in _ITEM.findall(listed):
        yield from range(int(first), int(last or first) + 1)
