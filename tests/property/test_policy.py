"""The starter set as a property: it is what a page of Python says, it only tightens as labels rise, it fails closed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.cards import Card, Clearance, Openness, Terms
from isthmus.governance.policy.cedar import CedarPolicy
from isthmus.governance.policy.memo import Memo
from isthmus.governance.policy.policyset import STARTER, PolicySet
from isthmus.labels import Label, Level
from isthmus.principals import ROLES, Principal
from isthmus.seams import Ask

TODAY = date(2026, 11, 24)
POLICY = CedarPolicy(PolicySet.load(STARTER), lambda: TODAY)
MEMO = Memo(POLICY, lambda: TODAY, size=50)

CATEGORIES = st.frozensets(st.sampled_from(["personal", "health"]))
PLACES = st.frozensets(st.sampled_from(["DE", "US"]))
LICENCES = st.frozensets(st.sampled_from(["MIT", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"]), max_size=2)
LABELS = st.builds(Label, st.sampled_from(Level), CATEGORIES, st.none() | PLACES, LICENCES)
DAYS = st.sampled_from([None, date(2026, 11, 23), TODAY, date(2026, 11, 25)])
TERMS = st.none() | st.builds(Terms, st.just("C"), DAYS, st.frozensets(st.sampled_from(["DE", "US"]), max_size=1))
CARDS = st.builds(
    Card,
    st.just("m"),
    st.just("p"),
    locality=st.sampled_from(["in_process", "on_premises", "api"]),
    jurisdiction=st.sampled_from(["", "DE", "US"]),
    clearance=st.builds(Clearance, st.sampled_from(Level), st.none() | CATEGORIES),
    terms=TERMS,
)
PRINCIPALS = st.builds(
    Principal, st.just("k"), st.just("n"), st.just(frozenset({"user"})) | st.frozensets(st.sampled_from(sorted(ROLES)))
)
ASKS = st.builds(Ask, PRINCIPALS, CARDS, LABELS, st.sampled_from(["", "research", "commercial"]))


def _refusals(ask: Ask) -> Iterator[str]:
    """The starter set once more, from its prose and not from its text."""
    card, label = ask.card, ask.label
    if not ask.principal.roles & {"user", "curator", "reviewer", "policy", "admin"}:
        yield "role-may-not-ask"
    if card.locality == "api" and label.level >= Level.CONFIDENTIAL:
        yield "confidential-stays-on-premises"
    if card.locality == "api" and card.terms and card.terms.expires and card.terms.expires < TODAY:
        yield "terms-expired"
    if label.level > card.clearance.level:
        yield "above-clearance"
    if card.clearance.categories is not None and label.categories - card.clearance.categories:
        yield "category-not-cleared"
    processors = {card.jurisdiction} | (card.terms.subprocessors if card.terms else frozenset())
    if card.locality != "in_process" and label.residency is not None and processors - label.residency:
        yield "residency-not-allowed"
    if ask.purpose == "commercial" and any(name.startswith("CC-BY-NC") for name in label.licences):
        yield "non-commercial-source"


@given(ASKS)
def test_the_starter_set_is_what_it_says(ask: Ask) -> None:
    examined = POLICY.examine(ask)
    permits = {"in_process": "in-process", "on_premises": "on-premises", "api": "closed"}
    expected = list(_refusals(ask))
    assert examined.decision.allowed == (not expected)
    if expected:
        assert [examined.decision.rule, *examined.also] == expected
    else:
        assert examined.decision.rule == f"{permits[ask.card.locality]}-models-within-clearance"


@given(ASKS, LABELS)
def test_raising_a_label_admits_no_model_that_was_not_admitted(ask: Ask, more: Label) -> None:
    raised = Ask(ask.principal, ask.card, ask.label.join(more), ask.purpose)
    assert POLICY.decide(ask).allowed or not POLICY.decide(raised).allowed


@given(ASKS)
def test_a_remembered_decision_is_the_decision(ask: Ask) -> None:
    assert MEMO.decide(ask) == POLICY.decide(ask)
    assert MEMO.decide(ask) == POLICY.decide(ask)


TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)
ODD: Any = TEXT | st.none() | st.integers() | st.floats() | st.binary(max_size=4) | st.lists(TEXT, max_size=2)
SETS: Any = st.frozensets(TEXT, max_size=3) | ODD


@given(
    st.builds(
        Ask,
        st.builds(Principal, ODD, TEXT, SETS, SETS, jurisdiction=ODD),
        st.builds(
            Card,
            ODD,
            ODD,
            locality=ODD,
            jurisdiction=ODD,
            openness=st.builds(Openness, ODD, ODD, ODD, ODD),
            clearance=st.builds(Clearance, ODD, SETS),
        ),
        st.builds(Label, ODD, SETS, SETS, SETS),
        ODD,
    )
    | ODD
)
def test_garbage_is_denied_and_never_raises(ask: Any) -> None:
    for policy in (POLICY, MEMO):
        decision = policy.decide(ask)
        assert not decision.allowed
        assert decision.policy == POLICY.hash


@given(TEXT, st.frozensets(TEXT, max_size=3), st.frozensets(TEXT, max_size=3), TEXT)
def test_unknown_roles_categories_and_places_are_denied(
    name: str, names: frozenset[str], places: frozenset[str], purpose: str
) -> None:
    """Strings of any kind, well typed: whatever the names are, they clear nothing."""
    card = Card("m", "p", jurisdiction="US", clearance=Clearance(Level.INTERNAL))
    user = Principal(name, "n")
    assert not POLICY.decide(Ask(Principal(name, "n", names - ROLES), card, Label(), purpose)).allowed
    assert not POLICY.decide(Ask(user, card, Label(categories=names | {"x"}), purpose)).allowed
    assert not POLICY.decide(Ask(user, card, Label(residency=places - {"US"}), purpose)).allowed


@given(TEXT.filter(lambda text: text not in {"in_process", "on_premises", "api"}))
def test_a_locality_that_is_none_of_ours_is_denied(locality: Any) -> None:
    card = Card("m", "p", locality=locality, clearance=Clearance(Level.RESTRICTED, None))
    assert not POLICY.decide(Ask(Principal("k", "n"), card, Label())).allowed
