"""Which models may see a text, and the rule that says so for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from isthmus.cards import Card
from isthmus.governance.policy.cedar import CedarPolicy, Examination
from isthmus.labels import Label
from isthmus.principals import Principal
from isthmus.seams import Ask, Decision


@dataclass(frozen=True, slots=True)
class Explained:
    """One model. ``also`` names the other rules that would have decided the same."""

    model: str
    decision: Decision
    also: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain data, for programs."""
        decision = self.decision
        return {
            "model": self.model,
            "allowed": decision.allowed,
            "rule": decision.rule,
            "reason": decision.reason,
            "obligations": sorted(decision.obligations),
            "also": list(self.also),
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """``models`` in the order in which their cards were given; ``policy`` is the hash of the set that decided."""

    principal: Principal
    label: Label
    purpose: str
    policy: str
    models: tuple[Explained, ...]

    @property
    def admitted(self) -> tuple[str, ...]:
        """The models that may see the text."""
        return tuple(model.model for model in self.models if model.decision.allowed)

    def as_dict(self) -> dict[str, object]:
        """Plain data, for programs."""
        return {
            "principal": {
                "id": self.principal.id,
                "roles": sorted(self.principal.roles),
                "groups": sorted(self.principal.groups),
                "jurisdiction": self.principal.jurisdiction,
            },
            "label": self.label.as_dict(),
            "purpose": self.purpose,
            "policy": self.policy,
            "admitted": list(self.admitted),
            "models": [model.as_dict() for model in self.models],
        }


def explain(
    policy: CedarPolicy, principal: Principal, cards: Iterable[Card], label: Label, purpose: str = ""
) -> Explanation:
    """Ask the policy about every card. Never raises: what cannot be decided is a denial, and says so."""
    models = tuple(_explained(card, policy.examine(Ask(principal, card, label, purpose))) for card in cards)
    return Explanation(principal, label, purpose, policy.hash, models)


def _explained(card: Card, examination: Examination) -> Explained:
    return Explained(card.id, examination.decision, examination.also)
