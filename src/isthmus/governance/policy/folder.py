"""The policies in force: read from a folder at start, and again when told to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from isthmus.governance.policy.cedar import CedarPolicy
from isthmus.governance.policy.memo import Memo
from isthmus.governance.policy.policyset import PolicySet
from isthmus.seams import Ask, Decision, Policy


class PolicyFolder:
    """A policy that can be replaced as a whole while it is asked. The files are not watched: ``reload`` reads them.

    Raises what :meth:`PolicySet.load` raises: without a valid set there is no policy, and nothing starts.
    """

    def __init__(self, folder: Path, today: Callable[[], date], memo: int = 4096) -> None:
        self.folder = folder
        self._today = today
        self._memo = memo
        self._current = self._read()

    @property
    def hash(self) -> str:
        return self._current[1].hash

    @property
    def policies(self) -> PolicySet:
        """The set in force."""
        return self._current[0]

    def decide(self, ask: Ask) -> Decision:
        """By the set in force when the question is put. Never raises."""
        return self._current[1].decide(ask)

    def reload(self) -> PolicySet:
        """Put what the folder holds now in force, at once for every question that follows, with nothing remembered.

        Raises what :meth:`PolicySet.load` raises; then the set that was in force stays.
        """
        self._current = self._read()
        return self._current[0]

    def _read(self) -> tuple[PolicySet, Policy]:
        policies = PolicySet.load(self.folder)
        return policies, Memo(CedarPolicy(policies, self._today), self._today, self._memo)
