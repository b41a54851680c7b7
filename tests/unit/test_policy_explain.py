"""An explanation names, for every model, the rule that decided."""

from __future__ import annotations

from pathlib import Path

from policy_fixtures import CLOSED, HALL, LOCAL, ME, policy, starter

from isthmus.governance.policy.explain import explain
from isthmus.labels import Label, Level

LETTER = Label(Level.CONFIDENTIAL, frozenset({"personal", "health"}))


def test_every_model_has_its_rule_and_what_else_would_refuse() -> None:
    explanation = explain(starter(), ME, (LOCAL, HALL, CLOSED), LETTER)
    assert [(model.model, model.decision.rule, model.also) for model in explanation.models] == [
        ("local/qwen", "in-process-models-within-clearance", ()),
        ("hall/llama", "category-not-cleared", ()),
        ("closed/frontier", "confidential-stays-on-premises", ("above-clearance", "category-not-cleared")),
    ]
    assert explanation.admitted == ("local/qwen",)
    assert explanation.policy == starter().hash


def test_an_explanation_is_plain_data_for_programs(tmp_path: Path) -> None:
    asked = policy(tmp_path, '@id("held") @reason("why") @obligation("review") permit (principal, action, resource);')
    assert explain(asked, ME, (CLOSED,), Label(), "research").as_dict() == {
        "principal": {"id": "key_me", "roles": ["user"], "groups": [], "jurisdiction": ""},
        "label": {"level": "public", "categories": []},
        "purpose": "research",
        "policy": asked.hash,
        "admitted": ["closed/frontier"],
        "models": [
            {
                "model": "closed/frontier",
                "allowed": True,
                "rule": "held",
                "reason": "why",
                "obligations": ["review"],
                "also": [],
            }
        ],
    }


def test_without_models_nothing_is_admitted() -> None:
    assert explain(starter(), ME, (), LETTER).admitted == ()
