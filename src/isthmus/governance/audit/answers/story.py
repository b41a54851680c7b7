"""One request's whole story: its entries as steps that a person can follow. Pure; how they look is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal, TypeAlias

from isthmus.governance.audit.answers import facts, wording
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.audit.answers.search import Found, spell

Tone: TypeAlias = Literal["plain", "good", "bad", "open"]

#: Codes by which policy, or a guard, says no: answers, not failures.
REFUSALS = frozenset({"policy_denied", "no_admissible_model", "review_required", "guard_blocked"})
_ENDS = frozenset({"outcome", "abstained", "stopped"})
#: What becomes of content that was kept.
_ERASED, _EXPIRED = "subject.erased", "content.expired"
#: Entries that are told under a shorter name.
_DEEDS: Mapping[str, str] = MappingProxyType({"content.opened": "opened", "content.disclosed": "disclosed"})


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


@dataclass(frozen=True, slots=True)
class About:
    """What a pass over the log looks for to tell a request's story: its entries, and what became of what was kept."""

    request: str

    def owns(self, event: Event) -> bool:
        """Whether the entry is the request's own, and not one that says what became of anything that was kept."""
        return self.request in facts.requests(event)

    def matches(self, event: Event) -> bool:
        return self.owns(event) or facts.text(event, "type") in (_ERASED, _EXPIRED)

    def may_match(self) -> Callable[[bytes], bool]:
        marks = (spell(self.request), spell(_ERASED), spell(_EXPIRED))
        return lambda entry: any(mark in entry for mark in marks)

    def sorted(self, found: Iterable[Found]) -> tuple[list[Found], list[Found]]:
        """The request's own entries, and the others."""
        own, others = list[Found](), list[Found]()
        for one in found:
            (own if self.owns(one.event) else others).append(one)
        return own, others


def tell(request: str, entries: Sequence[Found], later: Sequence[Found] = ()) -> Story:
    """The story in those entries of the request, in the log's order. ``later`` are others that say what became of what
    was kept (:class:`About`)."""
    began = facts.moment(entries[0].event) if entries else None
    teller, steps = _Teller(later), list[Step]()
    for found in entries:
        at = facts.moment(found.event)
        after = None if began is None or at is None else (at - began).total_seconds()
        steps += [Step(found.index, after, what, told, tone) for what, told, tone in teller.lines(found)]
    end, tone = _end([found.event for found in entries if found.event.get("request") == request])
    return Story(request, began, end, tone, tuple(steps))


class _Teller:
    """Tells an entry in lines, and nothing twice."""

    def __init__(self, later: Sequence[Found]) -> None:
        self._later = later
        self._said: set[tuple[str, str]] = set()
        self._sent: set[str] = set()
        self._by_type: Mapping[str, Callable[[Event], Iterator[_Line]]] = {
            "intent": self._intent,
            "failed": self._failed,
            "outcome": _outcome,
            "abstained": _abstained,
            "stopped": _stopped,
        }

    def lines(self, found: Found) -> Iterator[_Line]:
        event, kind = found.event, facts.text(found.event, "type")
        if kind in self._by_type:
            yield from self._who(event)
            yield from self._by_type[kind](event)
        elif kind in _DEEDS:
            yield _DEEDS[kind], wording.deed(event), "plain"
        else:
            yield kind or "an entry", wording.rest(event), "plain"
        if event.get("kept") is True:
            whose = "the answer" if kind == "outcome" else "the text that was sent"
            yield "kept", f"{whose}, sealed{self._fate(found)}", "plain"

    def _fate(self, kept: Found) -> str:
        """How what that entry says is kept was destroyed, where it was."""
        for later in self._later:
            if later.index > kept.index and _destroys(later.event, kept.event):
                how = "the erasure" if facts.text(later.event, "type") == _ERASED else "its age"
                return f"; destroyed since, by {how}: entry {later.index}"
        return ""

    def _who(self, event: Event) -> Iterator[_Line]:
        asked = f"by {facts.text(event, 'principal')}"
        if purpose := facts.text(event, "purpose"):
            asked += f", for {purpose}"
        yield from self._once("asked", asked)
        yield from self._once("labelled", wording.label(facts.part(event, "label")))
        yield from self._once("found", wording.found(facts.part(event, "findings")))

    def _intent(self, event: Event) -> Iterator[_Line]:
        yield from self._once("grounded", wording.grounded(event))
        if found := wording.found(facts.part(event, "found")):
            yield from self._once("found", f"{found}, in the passages")
        yield from self._once("admitted", ", ".join(sorted(facts.listed(event, "admitted"))))
        for told in wording.denied(facts.part(event, "denied")):
            yield from self._once("denied", told)
        yield from self._once("routed", wording.route(event))
        yield from self._once("why", facts.text(event, "reason"))
        if asked := ", ".join(sorted(facts.listed(event, "obligations"))):
            yield from self._once("rule", f"asks: {asked}")
        yield "sent", wording.sending(event), "plain"
        yield from self._once("terms", wording.terms(event))
        self._sent.add(facts.text(event, "model"))

    def _failed(self, event: Event) -> Iterator[_Line]:
        model = facts.text(event, "model")
        what = "it may have received the text" if model in self._sent else "it was not asked"
        yield "failed", f"{model}: {facts.text(event, 'code')}; {what}", "bad"

    def _once(self, what: str, told: str) -> Iterator[_Line]:
        if told and (what, told) not in self._said:
            self._said.add((what, told))
            yield what, told, "plain"


def _destroys(event: Event, kept: Event) -> bool:
    """Whether that entry, which is later, says that what the other says is kept was destroyed."""
    if facts.text(event, "type") == _ERASED:
        return facts.text(event, "subject") == facts.text(kept, "principal")
    at, before = facts.moment(kept), facts.moment(event, "before")
    return at is not None and before is not None and at < before


def _outcome(event: Event) -> Iterator[_Line]:
    told, error = [facts.text(event, "model"), *wording.price(event)], facts.text(event, "error")
    if error:
        yield "cut", ", ".join([*told, f"ended by {error}"]), "bad"
    else:
        finish = facts.text(event, "finish")
        what = "answered" if finish else "embedded"
        yield what, ", ".join([*told, *([f"finish: {finish}"] if finish else [])]), "good"


def _abstained(event: Event) -> Iterator[_Line]:
    yield "abstained", f"no model was asked: {facts.text(event, 'reason')}", "plain"


def _stopped(event: Event) -> Iterator[_Line]:
    code, model = facts.text(event, "code"), facts.text(event, "model")
    asked = f"{model} was asked for"
    if code in REFUSALS:
        rule = facts.text(event, "rule")
        rules = facts.part(event, "rules") or ({model: rule} if rule else {})
        yield "refused", f"{code}: {asked}", "bad"
        yield from (("denied", told, "bad") for told in wording.denied(rules))
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
