"""One decision: the starter set rule by rule, obligations, and failing closed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from policy_fixtures import ALLOW_ALL, CLOSED, HALL, LOCAL, ME, TERMS, TODAY, ask, policy, starter, today

from isthmus.cards import Card, Clearance, Openness, Terms
from isthmus.governance.policy.cedar import CedarPolicy
from isthmus.governance.policy.policyset import STARTER
from isthmus.labels import INTERNAL, ORIGIN_LOST, PUBLIC, Label, Level
from isthmus.principals import Principal
from isthmus.seams import Ask

CONFIDENTIAL, RESTRICTED = Label(Level.CONFIDENTIAL), Label(Level.RESTRICTED)
LETTER = Label(Level.CONFIDENTIAL, frozenset({"personal", "health"}))
NC = Label(licences=frozenset({"CC-BY-NC-4.0"}))
CLEARED = replace(CLOSED, clearance=Clearance(Level.RESTRICTED, None))


OUTSOURCED = replace(CLOSED, terms=replace(TERMS, subprocessors=frozenset({"IN"})))


def _only(*places: str) -> Label:
    return Label(residency=frozenset(places))


def _with_terms(card: Card, **terms: Any) -> Card:
    return replace(card, terms=replace(TERMS, **terms))


def _roles(*roles: str) -> Principal:
    return replace(ME, roles=frozenset(roles))


CASES = [
    (ask(LOCAL, RESTRICTED), "in-process-models-within-clearance", True),
    (ask(LOCAL, ORIGIN_LOST), "in-process-models-within-clearance", True),
    (ask(LOCAL, _only("EU")), "in-process-models-within-clearance", True),
    (ask(HALL, CONFIDENTIAL), "on-premises-models-within-clearance", True),
    (ask(CLOSED, INTERNAL), "closed-models-within-clearance", True),
    (ask(CLOSED, CONFIDENTIAL), "confidential-stays-on-premises", False),
    (ask(CLEARED, CONFIDENTIAL), "confidential-stays-on-premises", False),
    (ask(CLOSED, LETTER), "confidential-stays-on-premises", False),
    (ask(HALL, RESTRICTED), "above-clearance", False),
    (ask(replace(CLOSED, clearance=Clearance()), INTERNAL), "above-clearance", False),
    (ask(replace(LOCAL, clearance=Clearance()), INTERNAL), "above-clearance", False),
    (ask(HALL, LETTER), "category-not-cleared", False),
    (ask(HALL, replace(LETTER, categories=frozenset({"personal"}))), "on-premises-models-within-clearance", True),
    (ask(CLOSED, replace(PUBLIC, categories=frozenset({"personal"}))), "category-not-cleared", False),
    (ask(CLOSED, _only("EU", "DE")), "residency-not-allowed", False),
    (ask(CLOSED, _only()), "residency-not-allowed", False),
    (ask(replace(HALL, jurisdiction=""), _only("DE")), "residency-not-allowed", False),
    (ask(HALL, _only("DE")), "on-premises-models-within-clearance", True),
    (ask(CLOSED, _only("US")), "closed-models-within-clearance", True),
    (ask(OUTSOURCED, _only("US")), "residency-not-allowed", False),
    (ask(OUTSOURCED, _only("US", "IN")), "closed-models-within-clearance", True),
    (ask(_with_terms(CLOSED, expires=TODAY)), "closed-models-within-clearance", True),
    (ask(_with_terms(CLOSED, expires=date(2026, 11, 23))), "terms-expired", False),
    (ask(_with_terms(CLOSED, expires=date(2026, 11, 23)), PUBLIC), "terms-expired", False),
    (ask(_with_terms(HALL, expires=date(2026, 11, 23))), "on-premises-models-within-clearance", True),
    (ask(_with_terms(CLOSED, expires=None)), "closed-models-within-clearance", True),
    (ask(replace(CLOSED, terms=None), PUBLIC), "closed-models-within-clearance", True),
    (ask(LOCAL, NC, "commercial"), "non-commercial-source", False),
    (ask(LOCAL, NC, "research"), "in-process-models-within-clearance", True),
    (ask(LOCAL, principal=_roles("auditor")), "role-may-not-ask", False),
    (ask(LOCAL, principal=_roles()), "role-may-not-ask", False),
    (ask(LOCAL, principal=_roles("root")), "role-may-not-ask", False),
    *((ask(LOCAL, principal=_roles(role, "auditor")), "in-process-models-within-clearance", True)
      for role in ("user", "curator", "reviewer", "policy", "admin")),
    (ask(replace(LOCAL, locality="moon")), "default-deny", False),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(("question", "rule", "allowed"), CASES)
def test_the_starter_set(question: Ask, rule: str, allowed: bool) -> None:
    decision = starter().decide(question)
    assert (decision.rule, decision.allowed) == (rule, allowed)
    assert decision.reason
    assert decision.policy == starter().hash


def test_the_permits_let_nothing_above_clearance_through_by_themselves(tmp_path: Path) -> None:
    alone = policy(tmp_path, (STARTER / "40-models.cedar").read_text(encoding="utf8"))
    for card in (replace(LOCAL, clearance=Clearance()), replace(HALL, clearance=Clearance()), CLOSED):
        above = Label(Level(card.clearance.level + 1))
        assert alone.decide(ask(card, above)).rule == "default-deny"
        assert alone.decide(ask(card, Label(card.clearance.level))).allowed


def test_the_first_rule_in_reading_order_names_a_refusal_and_the_others_are_told(tmp_path: Path) -> None:
    names = ("second", "first", "another")
    text = "".join(f'@id("{name}") @reason("{name}!") forbid (principal, action, resource);\n' for name in names)
    examined = policy(tmp_path, text + ALLOW_ALL).examine(ask())
    assert (examined.decision.rule, examined.decision.reason) == ("second", "second!")
    assert examined.also == ("first", "another")


def test_obligations_of_every_permit_join(tmp_path: Path) -> None:
    text = ALLOW_ALL + '@id("b") @obligation("mark, review") permit (principal, action, resource);'
    text += '@id("c") @obligation("pseudonymise") permit (principal, action, resource) when { resource.leaves };'
    asked = policy(tmp_path, text)
    assert (asked.decide(ask(LOCAL)).rule, asked.decide(ask(LOCAL)).reason) == ("all", "everything may")
    assert asked.decide(ask(LOCAL)).obligations == {"mark", "review"}
    assert asked.decide(ask(CLOSED)).obligations == {"mark", "review", "pseudonymise"}


OVERFLOWS = "context.label.level + 9223372036854775807 > 0"


def test_a_forbid_that_cannot_be_evaluated_denies(tmp_path: Path) -> None:
    """Cedar would skip it and allow by the other rule."""
    failing = f'@id("no") forbid (principal, action, resource) when {{ {OVERFLOWS} }};'
    asked = policy(tmp_path, ALLOW_ALL + failing)
    decision = asked.decide(ask(LOCAL, INTERNAL))
    assert (decision.allowed, decision.rule) == (False, "policy-error")
    assert "overflow" in decision.reason
    assert asked.decide(ask(LOCAL, PUBLIC)).rule == "no"


def test_a_permit_that_cannot_be_evaluated_denies(tmp_path: Path) -> None:
    asked = policy(tmp_path, f'@id("yes") permit (principal, action, resource) when {{ {OVERFLOWS} }};')
    assert asked.decide(ask(LOCAL, INTERNAL)).rule == "policy-error"
    assert asked.decide(ask(LOCAL, PUBLIC)).allowed


GARBAGE: list[Any] = [
    None,
    replace(ask(), principal=None),
    replace(ask(), card="local/qwen"),
    replace(ask(), label=None),
    replace(ask(), purpose=None),
    replace(ask(), purpose=3),
    replace(ask(), purpose="\ud800"),
    ask(label=Label(9)),  # type: ignore[arg-type]
    ask(label=Label("high")),  # type: ignore[arg-type]
    ask(label=Label(categories=None)),  # type: ignore[arg-type]
    ask(label=Label(categories=frozenset({1}))),  # type: ignore[arg-type]
    ask(replace(LOCAL, clearance=Clearance(None, None))),  # type: ignore[arg-type]
    ask(replace(LOCAL, clearance=Clearance(99, None))),  # type: ignore[arg-type]
    ask(replace(LOCAL, clearance=Clearance("3", None))),  # type: ignore[arg-type]
    ask(replace(LOCAL, openness=Openness(weights=None))),  # type: ignore[arg-type]
    ask(replace(LOCAL, terms=Terms(expires="tomorrow"))),  # type: ignore[arg-type]
    ask(principal=replace(ME, roles=None)),  # type: ignore[arg-type]
    ask(principal=replace(ME, groups=frozenset({None}))),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("question", GARBAGE)
def test_what_cannot_be_asked_is_denied(tmp_path: Path, question: Any) -> None:
    decision = policy(tmp_path, ALLOW_ALL).decide(question)
    assert (decision.allowed, decision.rule) == (False, "policy-error")


def test_a_clock_that_fails_denies(tmp_path: Path) -> None:
    def broken() -> date:
        raise OSError("no clock")

    policies = policy(tmp_path, ALLOW_ALL).policies
    assert CedarPolicy(policies, broken).decide(ask()).rule == "policy-error"
    assert CedarPolicy(policies, today).decide(ask()).allowed


def test_no_name_can_change_the_question(tmp_path: Path) -> None:
    asked = policy(tmp_path, '@id("boss") permit (principal == Principal::"boss", action, resource);')
    assert asked.decide(ask(principal=Principal("boss", "b"))).allowed
    for name in ('x", "boss', 'boss"', "boss\0", "boss\n", 'Principal::"boss"', "Boss", ""):
        assert asked.decide(ask(principal=Principal(name, "boss"))).rule == "default-deny"


def test_every_attribute_of_the_schema_can_be_read(tmp_path: Path) -> None:
    """The other way round, that nothing else is given, Cedar checks in every decision."""
    conditions = (
        'principal.roles.contains("user") && principal.groups.contains("lab") && principal.jurisdiction == "DE"',
        'resource.name == "m" && resource.provider == "p" && resource.kind == "chat" && resource.locality == "api"',
        'resource.leaves && resource.jurisdiction == "US" && resource.retention == "30d" && resource.tier == "t"',
        'resource.digest == "sha256:0" && resource.openness.weights == "open" && resource.openness.code == "closed"',
        'resource.openness.data == "open" && resource.openness.licence == "MIT" && resource.clearance.level == 1',
        'resource.clearance.categories.contains("c") && !resource.clearance.everyCategory && resource.terms.declared',
        'resource.terms.valid && resource.terms.contract == "C" && resource.terms.subprocessors.contains("EU")',
        'context.purpose == "why" && context.label.level == 2 && context.label.name == "confidential"',
        'context.label.categories.contains("c") && !context.label.anywhere && context.label.residency.contains("DE")',
        'context.label.licences.contains("MIT")',
    )
    rule = f'@id("read") permit (principal, action, resource) when {{ {" && ".join(conditions)} }};'
    card = Card("m", "p", jurisdiction="US", retention="30d", tier="t", digest="sha256:0",
                openness=Openness("open", "closed", "open", "MIT"), clearance=Clearance(INTERNAL.level, frozenset("c")),
                terms=Terms("C", TODAY, frozenset({"EU"})))  # fmt: skip
    asker = Principal("k", "n", frozenset({"user"}), frozenset({"lab"}), jurisdiction="DE")
    label = Label(Level.CONFIDENTIAL, frozenset("c"), frozenset({"DE"}), frozenset({"MIT"}))
    question = ask(card, label, "why", asker)
    assert policy(tmp_path, rule).decide(question).allowed
