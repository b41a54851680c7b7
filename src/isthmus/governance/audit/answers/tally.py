"""Counting attempts to send something: from the intent that begins each to the entry that ends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.audit.answers.search import Found

#: How an attempt ended of which the log does not say: it is still going on, or its server died.
UNKNOWN = "not on record"

#: What attempts are counted by, and what an intent says of it.
_BY: Mapping[str, Callable[[Event], Iterable[str]]] = MappingProxyType(
    {
        "labels": lambda event: facts.names([facts.part(event, "label").get("level")]),
        "categories": facts.categories,
        "collections": facts.collections,
        "documents": facts.documents,
        "principals": lambda event: facts.names([event.get("principal")]),
        "purposes": lambda event: facts.names([event.get("purpose")]),
        "models": lambda event: facts.names([event.get("model")]),
        "where": lambda event: facts.names([event.get("locality")]),
        "vendors": lambda event: facts.names([event.get("vendor")]),
        "rules": lambda event: facts.names([event.get("rule")]),
        "retention": lambda event: facts.names([event.get("retention")]),
        "contracts": lambda event: facts.names([facts.part(event, "terms").get("contract")]),
    }
)
_AMOUNTS = ("texts", "images", "characters")


@dataclass(slots=True)
class Figures:
    """Sums over attempts; ``cost`` by currency."""

    requests: int = 0
    attempts: int = 0
    answered: int = 0
    prompt: int = 0
    completion: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)

    def spend(self, outcome: Event) -> None:
        """Add what an outcome says was used."""
        usage = facts.part(outcome, "usage")
        self.prompt += facts.number(usage, "prompt") if usage else facts.number(outcome, "tokens")
        self.completion += facts.number(usage, "completion")
        if (cost := facts.cost(outcome)) is not None:
            self.cost[cost[0]] = self.cost.get(cost[0], Decimal(0)) + cost[1]

    def as_dict(self) -> dict[str, object]:
        return {
            "requests": self.requests,
            "attempts": self.attempts,
            "answered": self.answered,
            "tokens": {"prompt": self.prompt, "completion": self.completion},
            "cost": {currency: f"{amount:f}" for currency, amount in sorted(self.cost.items())},
        }


@dataclass(slots=True)
class Tally:
    """Sums, in ``total`` and by month of the intent (``2026-03``), and counts of attempts: ``ends`` says how those
    ended that brought no whole answer, ``kept`` whose text was kept, ``estimated`` whose tokens are an estimate.
    ``entries`` are the numbers of the entries that say all this."""

    total: Figures = field(default_factory=Figures)
    months: dict[str, Figures] = field(default_factory=dict)
    by: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in _BY})
    ends: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    estimated: int = 0
    entries: list[int] = field(default_factory=list)
    _open: dict[str, dict[str, str]] = field(default_factory=dict)  # the month of each attempt by request and model
    _requests: set[str] = field(default_factory=set)

    def begin(self, intent: Found) -> None:
        """An attempt. One that is still open for the same request and model never had its end recorded."""
        event = intent.event
        request, model = facts.text(event, "request"), facts.text(event, "model")
        month = f"{at:%Y-%m}" if (at := facts.moment(event)) is not None else "no time"
        if model in (attempts := self._open.setdefault(request, {})):
            self.ends[UNKNOWN] += 1
        attempts[model] = month
        self.entries.append(intent.index)
        for figures in (self.total, self.months.setdefault(month, Figures())):
            figures.attempts += 1
            figures.requests += request not in self._requests
        self._requests.add(request)
        self._count(event)

    def _count(self, event: Event) -> None:
        for name, told in _BY.items():
            self.by[name].update(told(event))
        self.amounts.update({name: facts.number(event, name) for name in _AMOUNTS if facts.number(event, name)})
        self.kept += event.get("kept") is True

    def end(self, found: Found) -> None:
        """What ends an attempt, if one was begun: an outcome or a failure that of its model, a stop all of the
        request's."""
        event = found.event
        request, kind = facts.text(event, "request"), facts.text(event, "type")
        attempts = self._open.get(request, {})
        models = list(attempts) if kind == "stopped" else [facts.text(event, "model")]
        ended = [attempts.pop(model) for model in models if model in attempts]
        if not ended:
            return
        if not attempts:
            del self._open[request]
        self.entries.append(found.index)
        for month in ended:
            self._end(event, kind, month)

    def _end(self, event: Event, kind: str, month: str) -> None:
        code = facts.text(event, "error" if kind == "outcome" else "code")
        whole = kind == "outcome" and not code
        for figures in (self.total, self.months[month]):
            figures.answered += whole
            if kind == "outcome":
                figures.spend(event)
        if not whole:
            self.ends[code or UNKNOWN] += 1
        self.estimated += facts.part(event, "usage").get("estimated") is True

    def close(self) -> None:
        """There is no more: what is still open has no end on record."""
        if left := sum(map(len, self._open.values())):
            self.ends[UNKNOWN] += left
        self._open.clear()

    def as_dict(self) -> dict[str, object]:
        """Plain data; money as decimal text."""
        return {
            **self.total.as_dict(),
            "ends": dict(self.ends.most_common()),
            "kept": self.kept,
            "estimated": self.estimated,
            "amounts": dict(self.amounts),
            "by": {name: dict(counter.most_common()) for name, counter in self.by.items() if counter},
            "months": {month: figures.as_dict() for month, figures in sorted(self.months.items())},
            "entries": len(self.entries),
        }
