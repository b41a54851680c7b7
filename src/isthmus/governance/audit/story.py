"""One request's whole story: its entries as steps that a person can follow. Pure; how they look is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal, TypeAlias

from isthmus.governance.audit import facts
from isthmus.governance.audit.facts import Event
from isthmus.governance.audit.search import Found

Tone: TypeAlias = Literal["plain", "good", "bad", "open"]

#: Codes by which policy, or a guard, says no: answers, not failures.
REFUSALS = frozenset({"policy_denied", "no_admissible_model", "review_required", "guard_blocked"})
_ENDS = frozenset({"outcome", "abstained", "stopped"})
_WHERE: Mapping[str, str] = MappingProxyType(
    {
        "api": "it left the premises; this entry was on disk first",
        "on_premises": "on the premises",
        "in_process": "in this process",
    }
)


@dataclass(frozen=True, slots=True)
class Step:
    """``index`` is the entry that tells it, ``after`` the seconds since the first one (``None``: it has no time)."""

    index: int
    after: float | None
    what: str
    told: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Story:
    """``end`` says in a line how the request ended; ``tone`` how well."""

    request: str
    began: datetime | None
    end: str
    tone: Tone
    steps: tuple[Step, ...]

    def as_dict(self) -> dict[str, object]:
        steps = [
            {"entry": step.index, "after": step.after, "what": step.what, "told": step.told} for step in self.steps
        ]
        return {"end": self.end, "steps": steps}


_Line: TypeAlias = tuple[str, str, Tone]


def tell(request: str, entries: Sequence[Found]) -> Story:
    """The story in those entries of the request, in the log's order."""
    began = facts.moment(entries[0].event) if entries else None
    teller, steps = _Teller(), list[Step]()
    for found in entries:
        at = facts.moment(found.event)
        after = None if began is None or at is None else (at - began).total_seconds()
        steps += [Step(found.index, after, what, told, tone) for what, told, tone in teller.lines(found.event)]
    end, tone = _end([found.event for found in entries if found.event.get("request") == request])
    return Story(request, began, end, tone, tuple(steps))


class _Teller:
    """Tells an entry in lines, and nothing twice."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()
        self._by_type: Mapping[str, Callable[[Event], Iterator[_Line]]] = {
            "intent": self._intent,
            "failed": _failed,
            "outcome": _outcome,
            "abstained": _abstained,
            "stopped": _stopped,
        }

    def lines(self, event: Event) -> Iterator[_Line]:
        kind = facts.text(event, "type")
        if kind in self._by_type:
            yield from self._who(event)
            yield from self._by_type[kind](event)
        else:
            yield kind or "an entry", _rest(event), "plain"

    def _who(self, event: Event) -> Iterator[_Line]:
        purpose = facts.text(event, "purpose")
        yield from self._once("asked", f"by {facts.text(event, 'principal')}" + (f", for {purpose}" if purpose else ""))
        yield from self._once("labelled", _label(facts.part(event, "label")))
        findings = facts.part(event, "findings")
        found = (kind if count == 1 else f"{kind} × {count}" for kind, count in findings.items())
        yield from self._once("found", ", ".join(found))

    def _intent(self, event: Event) -> Iterator[_Line]:
        yield from self._once("grounded", _grounded(event))
        yield from self._once("admitted", ", ".join(sorted(facts.listed(event, "admitted"))))
        for told in _denied(facts.part(event, "denied")):
            yield from self._once("denied", told)
        yield from self._once("routed", f"to {facts.text(event, 'model')}, which {facts.text(event, 'rule')} admits")
        yield from self._once("why", facts.text(event, "reason"))
        again = f", attempt {attempt}" if (attempt := facts.number(event, "attempt")) > 1 else ""
        locality = facts.text(event, "locality")
        yield "sent", f"to {_whom(event)}{again}: {_WHERE.get(locality, locality)}", "plain"
        yield from self._once("under", _terms(event))
        if event.get("kept") is True:
            yield from self._once("kept", "the text that was sent, sealed")

    def _once(self, what: str, told: str) -> Iterator[_Line]:
        if told and (what, told) not in self._said:
            self._said.add((what, told))
            yield what, told, "plain"


def _whom(event: Event) -> str:
    """The model, whose it is, and how much is sent, where the entry says so."""
    told, vendor = facts.text(event, "model"), facts.text(event, "vendor")
    sizes = [(facts.number(event, name), name) for name in ("texts", "images", "characters")]
    much = ", ".join(_count(size, name.removesuffix("s")) for size, name in sizes if size)
    return told + (f" at {vendor}" if vendor else "") + (f" ({much})" if much else "")


def _terms(event: Event) -> str:
    """What the vendor is declared to keep, and the contract that says so."""
    contract, retention = facts.text(facts.part(event, "terms"), "contract"), facts.text(event, "retention")
    where = facts.text(event, "jurisdiction")
    told = [f"retention: {retention}" if retention else "", f"contract: {contract}" if contract else ""]
    return ", ".join(part for part in (*told, f"jurisdiction: {where}" if where else "") if part)


def _label(label: Event) -> str:
    told = [facts.text(label, "level"), *sorted(facts.listed(label, "categories"))]
    if "residency" in label:
        told.append("only " + ("/".join(sorted(facts.listed(label, "residency"))) or "this machine"))
    return " · ".join([*told, *sorted(facts.listed(label, "licences"))])


def _grounded(event: Event) -> str:
    by_collection: dict[str, set[str]] = {}
    passages = list(facts.parts(event, "passages"))
    for passage in passages:
        by_collection.setdefault(facts.text(passage, "collection"), set()).add(facts.text(passage, "document"))
    told = [f"{name} ({', '.join(sorted(documents))})" for name, documents in sorted(by_collection.items())]
    return f"on {_count(len(passages), 'passage')} of {', '.join(told)}" if passages else ""


def _denied(denied: Event) -> Iterator[str]:
    """The models that each rule denied, a line a rule."""
    by_rule: dict[str, list[str]] = {}
    for model, rule in denied.items():
        by_rule.setdefault(str(rule), []).append(model)
    yield from (f"{', '.join(sorted(models))} by {rule}" for rule, models in sorted(by_rule.items()))


def _failed(event: Event) -> Iterator[_Line]:
    told = f"{facts.text(event, 'model')}: {facts.text(event, 'code')}; it may have received the text"
    yield "failed", told, "bad"


def _outcome(event: Event) -> Iterator[_Line]:
    told, error = [facts.text(event, "model"), *_price(event)], facts.text(event, "error")
    if error:
        yield "cut", ", ".join([*told, f"ended by {error}"]), "bad"
    else:
        finish = facts.text(event, "finish")
        what = "answered" if finish else "embedded"
        yield what, ", ".join([*told, *([f"finish: {finish}"] if finish else [])]), "good"


def _price(event: Event) -> Iterator[str]:
    usage, cost = facts.part(event, "usage"), facts.cost(event)
    if usage:
        about = "about " if usage.get("estimated") is True else ""
        yield f"{about}{facts.number(usage, 'prompt')} tokens in and {facts.number(usage, 'completion')} out"
    if texts := facts.number(event, "texts"):
        yield f"{_count(texts, 'text')} of {_count(facts.number(event, 'tokens'), 'token')} embedded"
    if cost is not None and cost[1]:
        yield f"{cost[1]} {cost[0]}"


def _abstained(event: Event) -> Iterator[_Line]:
    yield "abstained", f"no model was asked: {facts.text(event, 'reason')}", "plain"


def _stopped(event: Event) -> Iterator[_Line]:
    code, model = facts.text(event, "code"), facts.text(event, "model")
    asked = f"{model} was asked for"
    if code in REFUSALS:
        rule = facts.text(event, "rule")
        rules = facts.part(event, "rules") or ({model: rule} if rule else {})
        yield "refused", f"{code}: {asked}", "bad"
        yield from (("denied", told, "bad") for told in _denied(rules))
    elif code == "cancelled":
        yield "left", f"the client went away before the answer; {asked}", "bad"
    else:
        yield "stopped", f"{code}: {asked}", "bad"


def _end(events: Sequence[Event]) -> tuple[str, Tone]:
    """How the last entry that ends the request tells it; an intent after it begins anew."""
    told = [event for event in events if facts.text(event, "type") in (*_ENDS, "intent")]
    kind = facts.text(told[-1], "type") if told else "intent"
    if kind == "intent":
        return "unfinished: no entry says how it ended. It is still going on, or its server died", "open"
    if kind == "abstained":
        return "answered without a model: nothing relevant was found", "plain"
    if kind == "stopped":
        return _stop(facts.text(told[-1], "code")), "bad"
    error = facts.text(told[-1], "error")
    return (f"cut short: {error}", "bad") if error else (f"answered by {facts.text(told[-1], 'model')}", "good")


def _stop(code: str) -> str:
    if code == "cancelled":
        return "the client left"
    return f"refused: {code}" if code in REFUSALS else f"failed: {code}"


def _rest(event: Event) -> str:
    """What an entry of any other type says, in one line."""
    told = {name: value for name, value in event.items() if name not in ("seq", "time", "type", "request")}
    return plain(told) if told else ""


def plain(value: object) -> str:
    """A value of an entry as a person reads it, without brackets and quotes."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(plain(inner) for inner in value) or "none"
    return str(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
