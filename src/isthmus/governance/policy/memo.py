"""A policy that remembers: the same question on the same day has the same answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from threading import Lock
from typing import TypeAlias

from isthmus.governance.policy.rules import POLICY_ERROR
from isthmus.labels import Label
from isthmus.seams import Ask, Decision, Policy

_Key: TypeAlias = tuple[date, str, str, Label, str]


@dataclass(frozen=True, slots=True)
class _Kept:
    ask: Ask
    decision: Decision

    def answers(self, ask: Ask, policy: str) -> bool:
        return self.decision.policy == policy and self.ask == ask


class Memo:
    """Keeps the last ``size`` decisions of ``inner``; the least used goes first.

    They are found by day, label, purpose and the ids of principal and model, and hold only where the policy's hash
    and the whole question are the same: ids are cheaper to hash than a whole card. A decision that failed is not
    kept: the next question may find the fault gone.
    """

    def __init__(self, inner: Policy, today: Callable[[], date], size: int = 4096) -> None:
        self._inner = inner
        self._today = today
        self._size = size
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._lock = Lock()

    @property
    def hash(self) -> str:
        return self._inner.hash

    def decide(self, ask: Ask) -> Decision:
        """As ``inner`` decides. Never raises."""
        try:
            key = (self._today(), ask.principal.id, ask.card.id, ask.label, ask.purpose)
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None and kept.answers(ask, self._inner.hash):
                    self._kept.move_to_end(key)
                    return kept.decision
        except Exception:  # noqa: BLE001 a question that cannot be looked up is one for the policy, which never raises
            return self._inner.decide(ask)
        return self._ask(key, ask)

    def _ask(self, key: _Key, ask: Ask) -> Decision:
        decision = self._inner.decide(ask)
        if decision.rule != POLICY_ERROR:
            with self._lock:
                self._kept[key] = _Kept(ask, decision)
                if len(self._kept) > self._size:
                    self._kept.popitem(last=False)
        return decision
