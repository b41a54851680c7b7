"""Folders of policies, models and principals for the tests of policy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from isthmus.cards import Card, Clearance, Terms
from isthmus.governance.policy.cedar import CedarPolicy
from isthmus.governance.policy.policyset import STARTER, PolicySet
from isthmus.labels import INTERNAL, Label, Level
from isthmus.principals import Principal
from isthmus.seams import Ask

TODAY = date(2026, 11, 24)
ME = Principal("key_me", "me")
TERMS = Terms("DPA-1", date(2027, 6, 30))
LOCAL = Card("local/qwen", "llama_cpp", locality="in_process", clearance=Clearance(Level.RESTRICTED, None))
HALL = Card(
    "hall/llama",
    "openai_compatible",
    locality="on_premises",
    jurisdiction="DE",
    clearance=Clearance(Level.CONFIDENTIAL, frozenset({"personal"})),
)
CLOSED = Card(
    "closed/frontier",
    "openai_compatible",
    jurisdiction="US",
    retention="none",
    clearance=Clearance(Level.INTERNAL),
    terms=TERMS,
)
ALLOW_ALL = '@id("all")\n@reason("everything may")\npermit (principal, action, resource);\n'


def today() -> date:
    return TODAY


def starter() -> CedarPolicy:
    return CedarPolicy(PolicySet.load(STARTER), today)


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """A folder of policies with these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")
    return folder


def policy(folder: Path, text: str) -> CedarPolicy:
    """A policy of one file."""
    return CedarPolicy(PolicySet.load(write(folder, {"a.cedar": text})), today)


def ask(card: Card = LOCAL, label: Label = INTERNAL, purpose: str = "", principal: Principal = ME) -> Ask:
    return Ask(principal, card, label, purpose)
