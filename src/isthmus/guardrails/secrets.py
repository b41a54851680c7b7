"""The guard "secrets": keys and passwords make a text restricted on the way in, and are cut out on the way out."""

from __future__ import annotations

from typing import Literal

from isthmus.errors import GuardUnavailable
from isthmus.guardrails import provider_keys
from isthmus.guardrails.normalise import normalise
from isthmus.guardrails.pii import MAX_CHARACTERS
from isthmus.guardrails.pool import Pool
from isthmus.guardrails.window import KeyRedactor
from isthmus.labels import Label, Level
from isthmus.seams import Action, Finding, Stage, Verdict

SECRET = Label(Level.RESTRICTED, frozenset({"secret"}))


class Secrets:
    """Provider keys by their form, in this process; everything else that a scanner's rules know, in a worker.

    ``output`` is what happens to a key in an answer: ``redact``, or ``block`` the rest of the answer.
    """

    name = "secrets"

    def __init__(self, pool: Pool, output: Literal["redact", "block"] = "redact") -> None:
        self._pool = pool
        self._output: Literal["redact", "block"] = output

    async def check(self, text: str, stage: Stage) -> Verdict:
        """Raises :class:`GuardUnavailable` where the text is too long or no worker answers."""
        if not text.strip():
            return Verdict()
        if len(text) > MAX_CHARACTERS:
            raise GuardUnavailable(
                f"A text of {len(text)} characters is too long to be checked.", hint="Send it in smaller parts."
            )
        normal = normalise(text)
        rows = {(key.form.kind, key.start, key.end, 1.0) for key in provider_keys.find(normal.text)}
        rows |= set(await self._pool.ask("leaks", normal.text))
        if not rows:
            return Verdict()
        action: Action = self._output if stage == "output" else "allow"
        ordered = sorted(rows, key=lambda row: row[1:3])
        findings = tuple(Finding(kind, *normal.span(start, end), score) for kind, start, end, score in ordered)
        return Verdict(action, SECRET, findings, f"secrets.{findings[0].kind}")

    def redactor(self) -> KeyRedactor:
        """One answer's filter: provider keys only, since it looks at every piece of a stream."""
        return KeyRedactor(self._output)
