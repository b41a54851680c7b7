"""The guard "pii": personal and health data raise the label; the text itself goes on unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from isthmus.errors import GuardUnavailable
from isthmus.guardrails.normalise import normalise
from isthmus.guardrails.pool import Pool
from isthmus.guardrails.weigh import weigh
from isthmus.labels import PUBLIC
from isthmus.seams import Finding, Stage, Verdict

#: Characters that a worker gets at once; neighbours share the overlap, so that nothing is lost at a cut.
PIECE, OVERLAP = 6_000, 400
#: More than this is not looked at, so it does not pass.
MAX_CHARACTERS = 2_000_000


class Pii:
    """Finds identifiers, contacts, names and medical words in a worker process, and weighs them together."""

    name = "pii"

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def check(self, text: str, stage: Stage) -> Verdict:
        """Raises :class:`GuardUnavailable` where the text is too long or no worker answers."""
        findings = await self.find(text)
        label = weigh(findings)
        return Verdict("allow", label, findings, "" if label == PUBLIC else f"pii.{label.level}")

    async def find(self, text: str) -> tuple[Finding, ...]:
        """All that was found, in the order of the text; ranges of one kind that overlap are one finding."""
        if not text.strip():
            return ()
        if len(text) > MAX_CHARACTERS:
            raise GuardUnavailable(
                f"A text of {len(text)} characters is too long to be checked.", hint="Send it in smaller parts."
            )
        normal = normalise(text)
        pieces = list(_pieces(normal.text))
        answers = await asyncio.gather(*(self._pool.ask("pii", piece) for _, piece in pieces))
        found = []
        for (offset, _), rows in zip(pieces, answers, strict=True):
            for kind, start, end, score in rows:
                found.append(Finding(kind, *normal.span(offset + start, offset + end), score))
        return _merged(found)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Offsets and pieces; cut at white space where there is some."""
    start = 0
    while len(text) - start > PIECE:
        end = text.rfind(" ", start + PIECE - OVERLAP, start + PIECE) + 1 or start + PIECE
        yield start, text[start:end]
        start = end - OVERLAP
    yield start, text[start:]


def _merged(found: list[Finding]) -> tuple[Finding, ...]:
    out: list[Finding] = []
    last: dict[str, int] = {}
    for finding in sorted(found, key=lambda one: (one.start, -one.end, one.kind)):
        at = last.get(finding.kind)
        if at is not None and finding.start < out[at].end:
            kept = out[at]
            out[at] = Finding(kept.kind, kept.start, max(kept.end, finding.end), max(kept.score, finding.score))
            continue
        last[finding.kind] = len(out)
        out.append(finding)
    return tuple(out)
