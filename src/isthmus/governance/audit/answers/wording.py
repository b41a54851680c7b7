"""Parts of entries in plain words, for people: a line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.facts import Event

_WHERE: Mapping[str, str] = MappingProxyType(
    {
        "api": "it left the premises; this entry was on disk first",
        "on_premises": "on the premises",
        "in_process": "in this process",
    }
)
_KEEPS: Mapping[str, str] = MappingProxyType({"": "what it keeps is not declared", "none": "keeps nothing"})


def found(findings: Event) -> str:
    """What guards found, by kind and count."""
    return ", ".join(kind if count == 1 else f"{kind} × {count}" for kind, count in findings.items())


def route(event: Event) -> str:
    """Where to, by which rule; and what the client had asked for, where it says so."""
    model, asked = facts.text(event, "model"), facts.text(event, "asked")
    wanted = f" ({asked} was asked for)" if asked and asked != model else ""
    return f"to {model}{wanted}, which {facts.text(event, 'rule')} admits"


def sending(event: Event) -> str:
    """The model, whose it is, and how much is sent, where the entry says so."""
    told, vendor = facts.text(event, "model"), facts.text(event, "vendor")
    sizes = [(facts.number(event, name), name) for name in ("texts", "images", "characters")]
    much = ", ".join(_count(size, name.removesuffix("s")) for size, name in sizes if size)
    attempt, locality = facts.number(event, "attempt"), facts.text(event, "locality")
    whom = told + (f" at {vendor}" if vendor else "") + (f", attempt {attempt}" if attempt > 1 else "")
    return f"to {whom}: {_WHERE.get(locality, locality)}" + (f"; {much}" if much else "")


def terms(event: Event) -> str:
    """What the vendor is declared to keep, the contract that says so, and where it processes."""
    contract, retention = facts.text(facts.part(event, "terms"), "contract"), facts.text(event, "retention")
    if facts.text(event, "locality") != "api" and not contract:
        return ""
    keeps = _KEEPS.get(retention, f"keeps it for {retention}")
    where = facts.text(event, "jurisdiction")
    told = [
        keeps,
        f"contract {contract}" if contract else "no contract named",
        f"processed in {where}" if where else "",
    ]
    return ", ".join(part for part in told if part)


def label(label: Event) -> str:
    """A label in one line."""
    told = [facts.text(label, "level"), *sorted(facts.listed(label, "categories"))]
    if "residency" in label:
        told.append("only " + ("/".join(sorted(facts.listed(label, "residency"))) or "this machine"))
    return " · ".join([*told, *sorted(facts.listed(label, "licences"))])


def grounded(event: Event) -> str:
    """How many passages were put before the model, of which collections and documents."""
    by_collection: dict[str, set[str]] = {}
    passages = list(facts.parts(event, "passages"))
    for passage in passages:
        by_collection.setdefault(facts.text(passage, "collection"), set()).add(facts.text(passage, "document"))
    told = [f"{name} ({', '.join(sorted(documents))})" for name, documents in sorted(by_collection.items())]
    return f"on {_count(len(passages), 'passage')} of {', '.join(told)}" if passages else ""


def denied(denied: Event) -> Iterator[str]:
    """The models that each rule denied, a line a rule."""
    by_rule: dict[str, list[str]] = {}
    for model, rule in denied.items():
        by_rule.setdefault(str(rule), []).append(model)
    yield from (f"{', '.join(sorted(models))} by {rule}" for rule, models in sorted(by_rule.items()))


def price(event: Event) -> Iterator[str]:
    """Tokens, money, and what was cut out of the answer."""
    usage, cost = facts.part(event, "usage"), facts.cost(event)
    if usage:
        about = "about " if usage.get("estimated") is True else ""
        yield f"{about}{facts.number(usage, 'prompt')} tokens in and {facts.number(usage, 'completion')} out"
    if texts := facts.number(event, "texts"):
        yield f"{_count(texts, 'text')} of {_count(facts.number(event, 'tokens'), 'token')} embedded"
    if cost is not None and cost[1]:
        yield f"{cost[1]} {cost[0]}"
    if cut := found(facts.part(event, "redacted")):
        yield f"cut out: {cut}"


def deed(event: Event) -> str:
    """Who did something about the request, and why."""
    return ": ".join(part for part in (f"by {facts.text(event, 'by')}", facts.text(event, "why")) if part)


def rest(event: Event) -> str:
    """What an entry of any other type says, in one line."""
    told = {name: value for name, value in event.items() if name not in ("seq", "time", "type", "request")}
    return plain(told) if told else ""


#: What stands for an empty value: "none" may be one.
NOTHING = "—"


def plain(value: object, depth: int = 6) -> str:
    """A value of an entry as a person reads it, without brackets and quotes; what lies deeper is left out."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, Mapping | list):
        return str(value)
    if not depth:
        return "…"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {plain(inner, depth - 1)}" for name, inner in value.items()) or NOTHING
    return ", ".join(plain(inner, depth - 1) for inner in value) or NOTHING


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
