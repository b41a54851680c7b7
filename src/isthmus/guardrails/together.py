"""Several guards as one: labels join, the strictest action wins, and whatever goes wrong stops the request."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256

from isthmus.errors import GuardUnavailable
from isthmus.labels import PUBLIC, join
from isthmus.seams import Action, Guard, Stage, Verdict

_STRICTNESS: dict[Action, int] = {"allow": 0, "redact": 1, "block": 2}


class Together:
    """A guard that runs all of its guards at once. Verdicts are remembered by the text's digest: the earlier turns of
    a conversation, and passages that are found again, cost nothing. ``memory`` verdicts are kept."""

    name = "together"

    def __init__(self, guards: Sequence[Guard], memory: int = 4096) -> None:
        self._guards = tuple(guards)
        self._memory = memory
        self._known: OrderedDict[tuple[Stage, bytes], Verdict] = OrderedDict()

    async def check(self, text: str, stage: Stage) -> Verdict:
        """Raises :class:`GuardUnavailable` where any guard raises, whatever the others say."""
        key = (stage, sha256(text.encode("utf8", "surrogatepass")).digest())
        verdict = self._known.get(key)
        if verdict is None:
            verdict = _strictest(await asyncio.gather(*(_checked(guard, text, stage) for guard in self._guards)))
            self._known[key] = verdict
        self._known.move_to_end(key)
        if len(self._known) > self._memory:
            self._known.popitem(last=False)
        return verdict


async def _checked(guard: Guard, text: str, stage: Stage) -> Verdict:
    try:
        return await guard.check(text, stage)
    except GuardUnavailable:
        raise
    except Exception as error:  # whatever a guard raises, it could not tell: the request stops
        raise GuardUnavailable(f"The guard {guard.name!r} failed ({type(error).__name__}).") from error


def _strictest(verdicts: Sequence[Verdict]) -> Verdict:
    deciding = max(verdicts, key=lambda one: (_STRICTNESS[one.action], one.label != PUBLIC), default=Verdict())
    findings = tuple(finding for verdict in verdicts for finding in verdict.findings)
    return Verdict(deciding.action, join(verdict.label for verdict in verdicts), findings, deciding.rule)
