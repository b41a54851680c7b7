"""A question to the policy in Cedar's terms: the twin of ``starter/isthmus.cedarschema``.

Every attribute is always given. Nothing is guessed: what was not declared is "" or the empty set, and "declared" and
"valid" are false.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TypeAlias

from isthmus.cards import Card, Clearance, Terms
from isthmus.labels import Label, Level
from isthmus.principals import Principal
from isthmus.seams import Ask

Plain: TypeAlias = dict[str, object]
ACTION: Plain = {"type": "Action", "id": "send"}


def request(ask: Ask) -> Plain:
    """Cedar's request. Ids travel as data, never as Cedar text, so that no name can change the question."""
    return {
        "principal": _uid("Principal", ask.principal.id),
        "action": ACTION,
        "resource": _uid("Model", ask.card.id),
        "context": {"purpose": ask.purpose, "label": _label(ask.label)},
    }


def entities(principal: Principal, card: Card, today: date) -> list[Plain]:
    """Both, with every attribute of the schema."""
    return [
        _entity("Principal", principal.id, _principal(principal)),
        _entity("Model", card.id, _model(card, today)),
    ]


def _uid(kind: str, name: str) -> Plain:
    return {"type": kind, "id": name}


def _entity(kind: str, name: str, attributes: Plain) -> Plain:
    return {"uid": _uid(kind, name), "attrs": attributes, "parents": []}


def _principal(principal: Principal) -> Plain:
    return {
        "roles": _set(principal.roles),
        "groups": _set(principal.groups),
        "jurisdiction": principal.jurisdiction,
    }


def _model(card: Card, today: date) -> Plain:
    openness = card.openness
    return {
        "name": card.id,
        "provider": card.provider,
        "kind": card.kind,
        "locality": card.locality,
        "leaves": card.leaves,
        "jurisdiction": card.jurisdiction,
        "retention": card.retention,
        "tier": card.tier,
        "digest": card.digest,
        "openness": {
            "weights": openness.weights,
            "code": openness.code,
            "data": openness.data,
            "licence": openness.licence,
        },
        "clearance": _clearance(card.clearance),
        "terms": _terms(card.terms, today),
    }


def _clearance(clearance: Clearance) -> Plain:
    return {
        "level": int(Level(clearance.level)),
        "categories": _set(clearance.categories or ()),
        "everyCategory": clearance.categories is None,
    }


def _terms(terms: Terms | None, today: date) -> Plain:
    """``expires`` is the last day on which the terms hold; terms without it hold until they are withdrawn."""
    if terms is None:
        return {"declared": False, "valid": False, "contract": "", "subprocessors": []}
    return {
        "declared": True,
        "valid": terms.expires is None or today <= terms.expires,
        "contract": terms.contract,
        "subprocessors": _set(terms.subprocessors),
    }


def _label(label: Label) -> Plain:
    return {
        "level": int(Level(label.level)),
        "name": str(Level(label.level)),
        "categories": _set(label.categories),
        "anywhere": label.residency is None,
        "residency": _set(label.residency or ()),
        "licences": _set(label.licences),
    }


def _set(names: Iterable[str]) -> list[str]:
    return sorted(names)
