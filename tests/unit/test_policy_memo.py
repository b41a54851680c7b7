"""The memo answers what the policy would, for that set, that day and that question alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from policy_fixtures import CLOSED, LOCAL, ME, TERMS, TODAY, ask, starter, today

from isthmus.governance.policy.cedar import CedarPolicy
from isthmus.governance.policy.memo import Memo
from isthmus.labels import INTERNAL, PUBLIC, Label, Level
from isthmus.seams import Ask, Decision, Policy


class Counting:
    """A policy that counts how often it is asked."""

    def __init__(self, inner: Policy) -> None:
        self.inner, self.asked = inner, 0

    @property
    def hash(self) -> str:
        return self.inner.hash

    def decide(self, ask: Ask) -> Decision:
        self.asked += 1
        return self.inner.decide(ask)


class Fixed:
    """A policy that always answers the same."""

    def __init__(self, decision: Decision) -> None:
        self.hash, self.decision = decision.policy, decision

    def decide(self, ask: Ask) -> Decision:
        return self.decision


def test_the_same_question_is_decided_once() -> None:
    inner = Counting(starter())
    memo = Memo(inner, today)
    label = Label(Level.CONFIDENTIAL, frozenset({"personal"}))
    first = memo.decide(ask(CLOSED, label))
    again = memo.decide(ask(replace(CLOSED), replace(label), principal=replace(ME)))
    assert first == again == starter().decide(ask(CLOSED, label))
    assert inner.asked == 1


def test_whatever_policy_reads_makes_another_question() -> None:
    inner = Counting(starter())
    memo = Memo(inner, today)
    questions = [
        ask(),
        ask(CLOSED),
        ask(label=PUBLIC),
        ask(purpose="commercial"),
        ask(principal=replace(ME, id="key_other")),
        ask(principal=replace(ME, roles=frozenset({"auditor"}))),
        ask(principal=replace(ME, groups=frozenset({"lab"}))),
        ask(principal=replace(ME, jurisdiction="DE")),
        ask(replace(LOCAL, digest="sha256:1")),
        ask(label=replace(INTERNAL, residency=frozenset())),
    ]
    assert [memo.decide(question) for question in questions] == [starter().decide(question) for question in questions]
    assert inner.asked == len(questions)


def test_a_new_day_is_a_new_question() -> None:
    days = [TODAY]
    memo = Memo(CedarPolicy(starter().policies, lambda: days[-1]), lambda: days[-1])
    question = ask(replace(CLOSED, terms=replace(TERMS, expires=TODAY)))
    assert memo.decide(question).allowed
    days.append(TODAY + timedelta(days=1))
    assert memo.decide(question).rule == "terms-expired"


def test_another_set_forgets_what_the_old_one_said() -> None:
    inner = Fixed(Decision(True, "old", "", "sha256:old"))
    memo = Memo(inner, today)
    assert memo.decide(ask()).rule == "old"
    inner.hash, inner.decision = "sha256:new", Decision(False, "new", "", "sha256:new")
    assert (memo.decide(ask()).rule, memo.hash) == ("new", "sha256:new")


def test_a_decision_of_a_set_that_came_meanwhile_is_not_kept_for_the_old_one() -> None:
    inner = Fixed(Decision(True, "new", "", "sha256:new"))
    inner.hash = "sha256:old"
    memo = Memo(inner, today)
    assert memo.decide(ask()).rule == "new"
    inner.decision = Decision(False, "old", "", "sha256:old")
    assert memo.decide(ask()).rule == "old"


def test_the_least_used_is_forgotten_first() -> None:
    inner = Counting(starter())
    memo = Memo(inner, today, size=2)
    for purpose in ("a", "b", "a", "c", "a"):
        memo.decide(ask(purpose=purpose))
    assert inner.asked == 3
    memo.decide(ask(purpose="b"))
    assert inner.asked == 4


def test_a_failure_is_not_remembered() -> None:
    failing = True

    def clock() -> date:
        if failing:
            raise OSError("no clock")
        return TODAY

    memo = Memo(CedarPolicy(starter().policies, clock), today)
    assert memo.decide(ask()).rule == "policy-error"
    failing = False
    assert memo.decide(ask()).allowed


def test_what_cannot_be_remembered_is_asked() -> None:
    unhashable: Any = {"personal"}
    odd = ask(label=Label(categories=unhashable))
    assert Memo(starter(), today).decide(odd) == starter().decide(odd)
    nothing: Any = None
    assert Memo(starter(), today).decide(nothing).rule == "policy-error"
