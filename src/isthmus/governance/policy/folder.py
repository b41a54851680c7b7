"""The policies in force: read from a folder at start, and again when told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from isthmus.governance.policy.cedar import CedarPolicy
from isthmus.governance.policy.memo import Memo
from isthmus.governance.policy.policyset import PolicySet
from isthmus.seams import Ask, Decision, Policy


@dataclass(frozen=True, slots=True)
class Candidate:
    """A set that was read and is valid, and is not in force yet."""

    policies: PolicySet
    policy: Policy


class PolicyFolder:
    """A policy that can be replaced as a whole while it is asked. The files are not watched: ``read`` reads them.

    Raises what :meth:`PolicySet.load` raises: without a valid set there is no policy, and nothing starts.
    """

    def __init__(self, folder: Path, today: Callable[[], date], memo: int = 4096) -> None:
        self.folder = folder
        self._today = today
        self._memo = memo
        self._current = self.read()

    @property
    def hash(self) -> str:
        return self._current.policy.hash

    @property
    def policies(self) -> PolicySet:
        """The set in force."""
        return self._current.policies

    def decide(self, ask: Ask) -> Decision:
        """By the set in force when the question is put. Never raises."""
        return self._current.policy.decide(ask)

    def read(self) -> Candidate:
        """What the folder holds now, to be put in force. Raises what :meth:`PolicySet.load` raises."""
        policies = PolicySet.load(self.folder)
        return Candidate(policies, Memo(CedarPolicy(policies, self._today), self._today, self._memo))

    def adopt(self, candidate: Candidate) -> None:
        """Put it in force, at once for every question that follows, with nothing remembered."""
        self._current = candidate

    def reload(self) -> PolicySet:
        """Read and adopt. Raises what :meth:`read` raises; then the set that was in force stays."""
        self.adopt(self.read())
        return self.policies
