"""Stop 4, admit: policy turns (principal, labels, purpose) into the set of models that may see this text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.cards import Card
from isthmus.errors import ModelNotFound, NoAdmissibleModel, PolicyDenied, ReviewRequired
from isthmus.messages import ChatRequest, EmbedRequest
from isthmus.seams import Ask, Decision, Obligation, Policy

AUTO = "auto"
#: Obligations that the pipeline meets by itself; a decision that asks for another is not an admission yet.
MET: frozenset[Obligation] = frozenset({"mark", "keep"})


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision for every model, and the cards of those that were asked for and are admitted, in the catalogue's
    order."""

    decisions: Mapping[str, Decision]
    admitted: tuple[Card, ...]
    policy: str

    def allowed(self) -> list[str]:
        """Every model that may see this text, asked for or not."""
        return [model for model, decision in self.decisions.items() if _stands(decision)]

    def denied(self) -> dict[str, str]:
        """For each model that may not see this text, the rule that says so."""
        return {model: decision.rule for model, decision in self.decisions.items() if not _stands(decision)}


def candidates(model: str, cards: Mapping[str, Card]) -> tuple[Card, ...]:
    """The chat models that a model's name may stand for. Raises :class:`ModelNotFound`."""
    if model == AUTO:
        return tuple(card for card in cards.values() if card.kind == "chat")
    card = cards.get(model)
    if card is None or card.kind != "chat":
        raise ModelNotFound(f"There is no chat model {model[:100]!r}.")
    return (card,)


def admit(request: ChatRequest, cards: Mapping[str, Card], policy: Policy) -> Admission:
    """Decide for every chat model of the catalogue, so that the record shows what could have answered.

    Raises :class:`PolicyDenied` where the model named may not see the text, :class:`NoAdmissibleModel` where none may,
    :class:`ReviewRequired` where only a person could let it through; each names the rule.
    """
    label = request.label
    decisions = {
        card.id: policy.decide(Ask(request.principal, card, label, request.purpose))
        for card in cards.values()
        if card.kind == "chat"
    }
    wanted = candidates(request.model, cards)
    admitted = tuple(card for card in wanted if _stands(decisions[card.id]))
    if not admitted:
        raise _refusal(request, {card.id: decisions[card.id] for card in wanted})
    return Admission(decisions, admitted, policy.hash)


def admit_embedder(request: EmbedRequest, card: Card, policy: Policy) -> Admission:
    """The same for the one embedding model that is named. Raises :class:`PolicyDenied`, naming the rule."""
    decision = policy.decide(Ask(request.principal, card, request.label, request.purpose))
    if not _stands(decision):
        raise PolicyDenied(
            f"The rule {decision.rule!r} does not let this text go to {card.id}: {decision.reason or 'denied'}",
            details={"rule": decision.rule, "policy": decision.policy, "model": card.id},
        )
    return Admission({card.id: decision}, (card,), policy.hash)


def _stands(decision: Decision) -> bool:
    return decision.allowed and decision.obligations <= MET


_ANOTHER = "Ask with `model: auto` for a model that may answer, or see `isthmus policy explain`."
_NO_USER = "This key has not the role `user`, which asks models: ask an administrator for one that has."


def _refusal(
    request: ChatRequest, decisions: Mapping[str, Decision]
) -> PolicyDenied | NoAdmissibleModel | ReviewRequired:
    asks = "user" in request.principal.roles
    details: dict[str, object] = {
        "label": request.label.as_dict(),
        "rules": {model: decision.rule for model, decision in decisions.items()},
    }
    held = next((decision for decision in decisions.values() if decision.allowed), None)
    if held is not None:
        return ReviewRequired(
            f"The rule {held.rule!r} asks for {', '.join(sorted(held.obligations - MET))} first.",
            details={**details, "rule": held.rule, "policy": held.policy},
        )
    if request.model != AUTO:
        decision = decisions[request.model]
        return PolicyDenied(
            f"The rule {decision.rule!r} does not let this text go to {request.model}: {decision.reason or 'denied'}",
            hint=_ANOTHER if asks else _NO_USER,
            details={**details, "rule": decision.rule, "policy": decision.policy, "model": request.model},
        )
    rules = ", ".join(sorted({decision.rule for decision in decisions.values()})) or "there is no chat model"
    return NoAdmissibleModel(
        f"No model may see this text ({request.label}); what says so: {rules}.",
        hint=None if asks else _NO_USER,
        details=details,
    )
