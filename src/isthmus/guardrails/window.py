"""The output guards over a stream: keys are cut out before they are released, however the stream is split.

Only text that may still turn into a match is held back: the run of key characters at the very end (an ordinary word,
until the next space), or what follows the beginning of a private key. What is released is therefore the same for
every way of splitting the same text, and the whole text is just the stream of one piece.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, Protocol, runtime_checkable

from isthmus.errors import GuardBlocked
from isthmus.guardrails import provider_keys
from isthmus.guardrails.provider_keys import ALPHABET, DECIDED, PEM_BEGIN, PEM_DECIDED, Form, Key

_SURROGATE = re.compile("[\ud800-\udfff]")


class Redactor(Protocol):
    """One guard over one stream. Raises :class:`GuardBlocked`; then nothing that it still held is ever released.
    ``found`` counts what it cut out or blocked, by kind."""

    @property
    def found(self) -> Mapping[str, int]: ...

    def feed(self, text: str) -> str: ...

    def close(self) -> str: ...


@runtime_checkable
class StreamGuard(Protocol):
    """A guard fast enough to look at every piece of a stream."""

    def redactor(self) -> Redactor: ...


class StreamWindow:
    """The guards one after the other: ``seams.OutputWindow``."""

    def __init__(self, guards: Sequence[StreamGuard]) -> None:
        self._redactors = [guard.redactor() for guard in guards]

    async def feed(self, text: str) -> str:
        for redactor in self._redactors:
            text = redactor.feed(text)
        return text

    async def close(self) -> str:
        rest = ""
        for redactor in self._redactors:
            rest = (redactor.feed(rest) if rest else "") + redactor.close()
        return rest

    @property
    def found(self) -> Mapping[str, int]:
        total: Counter[str] = Counter()
        for redactor in self._redactors:
            total.update(redactor.found)
        return total


class KeyRedactor:
    """Replaces provider keys by ``[redacted: …]``, or stops the stream at the first one (``action="block"``).

    ``_text[0]`` is the last character already released, for word boundaries; the rest is held back.
    """

    def __init__(self, action: Literal["redact", "block"] = "redact") -> None:
        self._action = action
        self.found: Counter[str] = Counter()
        self._text = " "
        self._eating: str | None = None  # the tail class of a key that reached the end of what was there

    def feed(self, text: str) -> str:
        if _SURROGATE.search(text):
            text = _SURROGATE.sub("\ufffd", text)
        self._text += text
        return self._release(_settled(self._text))

    def close(self) -> str:
        return self._release(len(self._text))

    def _release(self, settled: int) -> str:
        """Let go of everything up to ``settled``, and of keys that begin before it; cut the keys out."""
        out: list[str] = []
        at = self._skip_tail()
        for key in provider_keys.find(self._text, at):
            if key.start >= settled:
                break
            out += (self._text[at : key.start], self._redacted(key.form))
            at = self._end(key)
        if settled > at:
            out.append(self._text[at:settled])
            at = settled
        self._text = self._text[at - 1 :]
        return "".join(out)

    def _skip_tail(self) -> int:
        """Where the text begins that is not the rest of a key already redacted."""
        if self._eating is None:
            return 1
        match = _tail(self._eating).match(self._text, 1)
        at = match.end() if match else 1
        if at < len(self._text):
            self._eating = None
        return at

    def _end(self, key: Key) -> int:
        if key.form.tail and key.end == len(self._text):
            self._eating = key.form.tail
        return key.end

    def _redacted(self, form: Form) -> str:
        name = form.kind.replace("_", " ")
        self.found[form.kind] += 1
        if self._action == "block":
            self._text = " "
            raise GuardBlocked(
                f"The answer was stopped because it contained a secret ({name}). What came before may be out already.",
                details={"rule": f"secrets.{form.kind}"},
            )
        return f"[redacted: {name}]"


def _settled(text: str) -> int:
    """Up to where more text cannot change what matches: a match that begins before is complete, or never comes."""
    run = len(text.rstrip(ALPHABET))
    settled = max(run, len(text) - DECIDED)
    if "-----" in text:
        begin = text.find(PEM_BEGIN, max(1, len(text) - PEM_DECIDED))
        if begin >= 0:
            settled = min(settled, begin)
    return max(settled, 1)


@cache
def _tail(characters: str) -> re.Pattern[str]:
    return re.compile(f"[{characters}]*")
