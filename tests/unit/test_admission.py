"""Stops 4 and 5: which models may see a text, and which of them is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from isthmus.cards import Card, Clearance, Openness
from isthmus.errors import ModelNotFound, NoAdmissibleModel, PolicyDenied, ReviewRequired
from isthmus.labels import INTERNAL, PUBLIC, Label, Level
from isthmus.messages import ChatRequest, EmbedRequest, Message, Text
from isthmus.orchestration.admission import admit, admit_embedder, candidates
from isthmus.orchestration.router.stated import StatedRouter, asks_for_reasoning
from isthmus.principals import Principal
from isthmus.seams import Ask, Decision, Obligation

ADA = Principal("key_ada", "Ada")
LOCAL = Card(
    "local", "llama_cpp", locality="in_process", openness=Openness("open"), clearance=Clearance(Level.RESTRICTED)
)
SECOND = replace(LOCAL, id="second")
CLOSED = Card("closed", "openai", clearance=Clearance(Level.INTERNAL))
MINILM = Card("minilm", "minilm", kind="embedding", clearance=Clearance(Level.INTERNAL))
CARDS = {card.id: card for card in (CLOSED, LOCAL, SECOND, MINILM)}
CONFIDENTIAL = Label(Level.CONFIDENTIAL)


@dataclass
class ByLevel:
    """A policy of one rule: up to the clearance."""

    obligations: frozenset[Obligation] = frozenset()
    hash: str = "sha256:0"

    def decide(self, ask: Ask) -> Decision:
        allowed = ask.label.level <= ask.card.clearance.level
        return Decision(allowed, "cleared" if allowed else "above-clearance", "", self.hash, self.obligations)


def request(text: str = "hello", label: Label = INTERNAL, **fields) -> ChatRequest:
    fields = {"model": "auto", "floor": label, **fields}
    return ChatRequest("req_1", ADA, messages=(Message("user", (Text(text, label),)),), **fields)


def test_auto_stands_for_every_chat_model_and_a_name_for_its_own():
    assert candidates("auto", CARDS) == (CLOSED, LOCAL, SECOND)
    assert candidates("local", CARDS) == (LOCAL,)


@pytest.mark.parametrize("name", ["nothing", "minilm", "", "assistant/x"])
def test_a_name_that_is_no_chat_model_is_the_clients_mistake(name):
    with pytest.raises(ModelNotFound):
        candidates(name, CARDS)


def test_the_set_holds_what_policy_admits_and_says_why_the_others_are_not():
    admission = admit(request(label=CONFIDENTIAL), CARDS, ByLevel())
    assert admission.admitted == (LOCAL, SECOND)
    assert admission.denied() == {"closed": "above-clearance"}


def test_a_model_that_was_named_is_denied_by_its_rule():
    with pytest.raises(PolicyDenied) as denied:
        admit(request(label=CONFIDENTIAL, model="closed"), CARDS, ByLevel())
    assert denied.value.details["rule"] == "above-clearance"
    assert denied.value.details["model"] == "closed"


def test_an_empty_set_names_every_rule():
    with pytest.raises(NoAdmissibleModel, match="above-clearance"):
        admit(request(label=CONFIDENTIAL), {"closed": CLOSED}, ByLevel())
    with pytest.raises(NoAdmissibleModel, match="no chat model"):
        admit(request(), {}, ByLevel())


def test_a_key_that_may_not_ask_is_told_so_and_not_to_ask_for_another_model():
    auditor = Principal("key_eve", "Eve", frozenset({"auditor"}))
    for asked in (replace(request(label=CONFIDENTIAL, model="closed"), principal=auditor),
                  replace(request(label=Label(Level.RESTRICTED)), principal=auditor)):  # fmt: skip
        with pytest.raises((PolicyDenied, NoAdmissibleModel)) as denied:
            admit(asked, {"closed": CLOSED}, ByLevel())
        assert "role `user`" in denied.value.hint
    with pytest.raises(PolicyDenied) as denied:
        admit(request(label=CONFIDENTIAL, model="closed"), CARDS, ByLevel())
    assert "model: auto" in denied.value.hint


def test_an_obligation_that_nobody_meets_is_no_admission():
    with pytest.raises(ReviewRequired, match="review"):
        admit(request(), CARDS, ByLevel(frozenset({"review", "mark"})))
    assert admit(request(), CARDS, ByLevel(frozenset({"mark", "keep"}))).admitted


def test_an_embedding_model_is_admitted_by_the_same_policy():
    embed = EmbedRequest("req_1", ADA, "minilm", (Text("a", INTERNAL),))
    assert admit_embedder(embed, MINILM, ByLevel()).admitted == (MINILM,)
    with pytest.raises(PolicyDenied, match="above-clearance"):
        admit_embedder(replace(embed, floor=CONFIDENTIAL), MINILM, ByLevel())


def route(asked: ChatRequest, **settings):
    return StatedRouter(**settings).route(asked, admit(asked, CARDS, ByLevel()))


def test_auto_is_open_unless_reasoning_is_asked_for():
    assert route(request("When is lunch?")).candidates[0] == LOCAL
    assert route(request("Think carefully: when is lunch?")).candidates[0] == CLOSED
    assert route(request("When is lunch?", reasoning_effort="high")).candidates[0] == CLOSED


def test_auto_stays_inside_the_set_and_says_which_rule_kept_it_there():
    chosen = route(request("Prove that it holds.", label=CONFIDENTIAL), failover=5)
    assert chosen.candidates == (LOCAL, SECOND)
    assert "above-clearance" in chosen.reason
    assert "although" in chosen.reason


def test_preference_orders_a_side_and_failover_bounds_the_candidates():
    assert route(request(), prefer=["second"], failover=0).candidates == (SECOND,)
    assert route(request(), prefer=["closed", "second"], failover=1).candidates == (SECOND, LOCAL)


def test_a_named_model_is_never_replaced():
    assert route(request(model="second"), failover=5).candidates == (SECOND,)


@pytest.mark.parametrize(
    ("text", "effort", "asks"),
    [
        ("Work it out step by step.", None, True),
        ("Begründe die Antwort.", None, True),
        ("Work it out step by step.", "low", False),
        ("hello", "medium", True),
        ("What is the reason for the delay?", None, False),
        ("", None, False),
    ],
)
def test_what_asks_for_reasoning(text, effort, asks):
    assert asks_for_reasoning(request(text, PUBLIC, reasoning_effort=effort)) is asks
