"""The policy seam over Cedar: allowed only where Cedar says Allow and evaluated every rule without an error.

Cedar skips a rule whose evaluation fails and decides with the others; a forbid that failed would be a door left open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import cedarpy
import msgspec

from isthmus.cards import Card
from isthmus.governance.policy import attributes
from isthmus.governance.policy.policyset import PolicySet
from isthmus.governance.policy.rules import DEFAULT_DENY, POLICY_ERROR, Rule
from isthmus.principals import Principal
from isthmus.seams import Ask, Decision

#: Pairs of principal and model whose attributes stay parsed: half of the cost of a decision.
_PAIRS = 1024


@dataclass(frozen=True, slots=True)
class Examination:
    """A decision, and the names of the other rules that would have decided the same."""

    decision: Decision
    also: tuple[str, ...] = ()


class CedarPolicy:
    """Decides by one set of policies. ``today`` gives the day for which vendors' terms must hold."""

    def __init__(self, policies: PolicySet, today: Callable[[], date]) -> None:
        self.policies = policies
        self._today = today
        self._entities = lru_cache(maxsize=_PAIRS)(self._parsed)

    @property
    def hash(self) -> str:
        return self.policies.hash

    def decide(self, ask: Ask) -> Decision:
        """May this text be sent to this model? Never raises: what cannot be decided is a denial."""
        return self.examine(ask).decision

    def examine(self, ask: Ask) -> Examination:
        """The decision with every rule that led to it. Never raises either."""
        try:
            return self._examine(ask)
        except Exception as error:  # noqa: BLE001 the promise of the seam: whatever goes wrong, nothing is sent
            return Examination(self._denied(POLICY_ERROR, f"The question cannot be put: {type(error).__name__}."))

    def _examine(self, ask: Ask) -> Examination:
        question = attributes.request(ask)
        question["context"] = _json(question["context"])
        entities = self._entities(ask.principal, ask.card, self._today())
        answer = cedarpy.is_authorized(question, self.policies.handle, entities, self.policies.schema)
        found = answer.diagnostics
        rules = self.policies.named(found.id_annotations_by_reason.values())
        if answer.allowed and not found.errors:
            return Examination(self._allowed(rules), _others(rules))
        if rules and not answer.allowed:
            return Examination(self._denied(rules[0].name, rules[0].reason), _others(rules))
        if found.errors:
            return Examination(self._denied(POLICY_ERROR, f"A rule cannot be evaluated: {found.errors[0]:.200}"))
        return Examination(self._denied(DEFAULT_DENY, "No rule permits it."))

    def _parsed(self, principal: Principal, card: Card, today: date) -> cedarpy.Entities:
        """Checked against the schema: an attribute that is missing or of another type is an error."""
        return cedarpy.Entities.from_json_str(_json(attributes.entities(principal, card, today)), self.policies.schema)

    def _allowed(self, rules: tuple[Rule, ...]) -> Decision:
        obligations = frozenset(obligation for rule in rules for obligation in rule.obligations)
        return Decision(True, rules[0].name, rules[0].reason, self.hash, obligations)

    def _denied(self, rule: str, reason: str) -> Decision:
        return Decision(False, rule, reason, self.hash)


def _others(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    return tuple(rule.name for rule in rules[1:])


def _json(plain: object) -> str:
    return msgspec.json.encode(plain).decode()
