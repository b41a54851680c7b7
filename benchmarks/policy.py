"""What a decision costs, in microseconds of CPU: ``python -m benchmarks.policy``.

``cold`` asks Cedar about a label not seen before (set, schema, principal and model are parsed already), ``first`` for a
principal not seen before, ``memo`` finds the decision remembered, ``parsed each time`` is what asking Cedar with the
text of the policies would cost. The least of several rounds: a shared machine only adds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import date

import cedarpy

from isthmus.cards import Card, Clearance, Terms
from isthmus.governance.policy import attributes
from isthmus.governance.policy.cedar import CedarPolicy
from isthmus.governance.policy.memo import Memo
from isthmus.governance.policy.policyset import SCHEMA, STARTER, PolicySet
from isthmus.labels import Label, Level
from isthmus.principals import Principal
from isthmus.seams import Ask

TODAY = date(2026, 11, 24)
ME = Principal("key_me", "me", groups=frozenset({"research", "management"}), jurisdiction="DE")
CARD = Card(
    "closed/frontier",
    "openai_compatible",
    jurisdiction="US",
    retention="none",
    clearance=Clearance(Level.INTERNAL),
    terms=Terms("DPA-1", date(2027, 6, 30)),
)


def today() -> date:
    return TODAY


def question() -> Ask:
    """A new label each time, as in a request; the card and the principal are the ones held."""
    return Ask(ME, CARD, Label(Level.INTERNAL, frozenset({"personal"})))


def micros(call: Callable[[], object], times: int, rounds: int = 7) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            call()
        best = min(best, (time.process_time() - start) / times)
    return round(best * 1e6, 1)


def main() -> None:
    policies = PolicySet.load(STARTER)
    policy = CedarPolicy(policies, today)
    memo = Memo(policy, today)
    text, schema = "\n".join(rule.text for rule in policies.rules), SCHEMA.read_text(encoding="utf8")
    request, entities = attributes.request(question()), attributes.entities(ME, CARD, TODAY)
    found = {
        "cold": micros(lambda: policy.decide(question()), 500),
        "first": micros(lambda: CedarPolicy(policies, today).decide(question()), 500),
        "memo": micros(lambda: memo.decide(question()), 20_000),
        "parsed each time": micros(lambda: cedarpy.is_authorized(request, text, entities, schema), 20),
        "load the starter set": micros(lambda: PolicySet.load(STARTER), 5),
    }
    print(json.dumps({"unit": "µs of CPU", "rules": len(policies.rules), **found}, ensure_ascii=False))


if __name__ == "__main__":
    main()
