"""A policy that remembers: the same question on the same day has the same answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import date
from threading import Lock
from typing import TypeAlias

from isthmus.governance.policy.rules import POLICY_ERROR
from isthmus.seams import Ask, Decision, Policy

_Key: TypeAlias = tuple[str, date, Ask]


class Memo:
    """Keeps the last ``size`` decisions of ``inner``, by policy hash, day and question; the least used goes first.

    A decision that failed is not kept: the next question may find the fault gone.
    """

    def __init__(self, inner: Policy, today: Callable[[], date], size: int = 4096) -> None:
        self._inner = inner
        self._today = today
        self._size = size
        self._kept: OrderedDict[_Key, Decision] = OrderedDict()
        self._lock = Lock()

    @property
    def hash(self) -> str:
        return self._inner.hash

    def decide(self, ask: Ask) -> Decision:
        """As ``inner`` decides. Never raises."""
        try:
            return self._decide((self._inner.hash, self._today(), ask))
        except TypeError:  # a question that cannot be hashed is not one to remember
            return self._inner.decide(ask)

    def _decide(self, key: _Key) -> Decision:
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return kept
        decision = self._inner.decide(key[2])
        # The set may have changed meanwhile: a decision is kept only under the hash that it names.
        if decision.policy == key[0] and decision.rule != POLICY_ERROR:
            self._keep(key, decision)
        return decision

    def _keep(self, key: _Key, decision: Decision) -> None:
        with self._lock:
            self._kept[key] = decision
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
