"""What is in force, and who changed it: the configuration and the policy, recorded before they count.

Nothing of either takes effect unrecorded: at a start the record is written before the first request is answered; a
policy is read, then recorded, then adopted. If the record cannot be written, what was in force before stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from isthmus.errors import IsthmusError, StoreUnavailable
from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.history import History
from isthmus.governance.policy.folder import PolicyFolder
from isthmus.governance.policy.policyset import PolicySet
from isthmus.governance.settings import Form, canonical, changed
from isthmus.seams import AuditLog

CONFIG, POLICY = "config", "policy"
_CONFIG_TYPES = frozenset({"config.changed"})
_POLICY_TYPES = frozenset({"policy.changed", "policy.reloaded"})
#: Bytes of JSON that an entry (65,535 bytes) spends on the names and digests of a policy set's files.
_MOST_FILES = 50_000
_LONGEST_WHY = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Origin:
    """Who put something in force (a pseudonym), why in their words, and by which command."""

    by: str
    why: str = ""
    command: str = "serve"

    def as_dict(self) -> dict[str, object]:
        return {"by": self.by, "why": self.why[:_LONGEST_WHY], "command": self.command}


class Changes:
    """Compares what is in force with what the log said last, and records the difference. Every method raises
    :class:`isthmus.errors.AuditUnavailable` where that cannot be done."""

    def __init__(self, log: AuditLog, history: History, policy: PolicyFolder) -> None:
        self._log = log
        self._history = history
        self._policy = policy
        self._turn = asyncio.Lock()

    async def begin(self, settings: Form, origin: Origin) -> None:
        """What a command begins to work with. Records nothing where it is what the log said last."""
        await self._configuration(settings, origin)
        await self._begin_policy(origin)

    async def reload(self, origin: Origin) -> str:
        """Put the policy folder's content in force; its hash. Raises :class:`isthmus.errors.PolicyInvalid`, and then,
        as with every error, the old set stays. A caller that goes away does not leave it half done."""
        return await asyncio.shield(self._reload(origin))

    async def _configuration(self, settings: Form, origin: Origin) -> None:
        last = await self._latest(CONFIG, _CONFIG_TYPES)
        if last is not None and last.get("digest") == settings.digest:
            return
        before, known = (None, {}) if last is None else (last.get("digest"), facts.part(last, "settings"))
        told = {"before": before, "digest": settings.digest, "settings": settings.settings}
        paths = changed(known, settings.settings)
        if origin.command != "serve" and all(path.partition(".")[0] == "server" for path in paths):
            return  # where a server listens (`isthmus serve --port`) is not in force in another command
        await self._record(CONFIG, {"type": "config.changed", **origin.as_dict(), **told, "changed": paths})

    async def _begin_policy(self, origin: Origin) -> None:
        policies = self._policy.policies
        last = await self._latest(POLICY, _POLICY_TYPES)
        if last is not None and last.get("policy") == policies.hash:
            return
        before, files = (None, {}) if last is None else (last.get("policy"), facts.part(last, "files"))
        told = {"type": "policy.changed", **origin.as_dict(), "before": before}
        await self._record(POLICY, {**told, **_set(policies, files)})

    async def _reload(self, origin: Origin) -> str:
        async with self._turn:
            before = self._policy.policies
            facts = {**origin.as_dict(), "before": before.hash}
            try:
                candidate = await asyncio.to_thread(self._policy.read)
            except IsthmusError as error:
                await self._log.append({"type": "policy.rejected", **facts, "code": error.code}, flush=True)
                raise
            event = {"type": "policy.reloaded", **facts, **_set(candidate.policies, before.files)}
            index = await self._log.append(event, flush=True)
            self._policy.adopt(candidate)
            with suppress(StoreUnavailable):  # it only spares a search: the next start records the set once more
                await asyncio.to_thread(self._history.keep, POLICY, index)
            return candidate.policies.hash

    async def _latest(self, name: str, types: frozenset[str]) -> Event | None:
        return await asyncio.to_thread(self._history.latest, name, types)

    async def _record(self, name: str, event: Mapping[str, object]) -> None:
        index = await self._log.append(event, flush=True)
        await asyncio.to_thread(self._history.keep, name, index)


def _set(policies: PolicySet, before: Mapping[str, str]) -> dict[str, object]:
    """The set's hash and files, and what came, went and changed; of very many files only the hash."""
    after = policies.files
    told: dict[str, object] = {
        "policy": policies.hash,
        "files": dict(after),
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
    }
    return told if len(canonical(told)) <= _MOST_FILES else {"policy": policies.hash, "count": len(after)}
