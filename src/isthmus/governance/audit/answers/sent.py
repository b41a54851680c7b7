"""What did this model, or this vendor, receive? Counted from the log alone, over what its newest checkpoint covers.

An attempt begins with the intent that was on disk before the call, and counts from then on, whatever became of it: what
failed may have been received. One attempt may send its text more than once, since a retry repeats it under the same
intent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from isthmus.cards import Card
from isthmus.errors import NotFound
from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.audit.answers.moments import Span
from isthmus.governance.audit.answers.search import Scan, oldest_first, spell
from isthmus.governance.audit.answers.tally import Tally
from isthmus.governance.audit.reading.proven import Proven
from isthmus.governance.audit.reading.reader import Reader, Signed

_ENDS = frozenset({"outcome", "failed", "stopped"})


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is meant by a name: a model's id, a provider's, or a vendor's host, with or without its port. ``models`` are
    those that today's configuration says are meant; where an entry says itself who received it, that counts."""

    name: str
    models: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """The name as it was given, and the host in it where it is an address: hosts are the same in any case."""
        return _names(self.name)

    def receives(self, intent: Event) -> bool:
        """Whether that is who the call goes to."""
        model = facts.text(intent, "model")
        if "provider" in intent:
            return not self.names.isdisjoint(
                _called(model, facts.text(intent, "provider"), facts.text(intent, "vendor"))
            )
        return model in self.names or model in self.models

    def matches(self, event: Event) -> bool:
        """Whether the entry may be an attempt to send something to it, or the end of one."""
        kind = facts.text(event, "type")
        return self.receives(event) if kind == "intent" else kind in _ENDS

    def may_match(self) -> Callable[[bytes], bool]:
        """By an entry's bytes: it names whom, or ends something; an end names no vendor."""
        names = [spell(name)[:-1] for name in (*self.names, *self.models)]

        def look(entry: bytes) -> bool:
            return b'"type":"intent"' not in entry or any(name in entry for name in names)

        return look


def recipient(name: str, cards: Iterable[Card]) -> Recipient:
    """Who is meant, by the configuration's cards."""
    names = _names(name)
    meant = (card for card in cards if not names.isdisjoint(_called(card.id, card.provider, card.host)))
    return Recipient(name, frozenset(card.id for card in meant))


@lru_cache(maxsize=16)
def _names(given: str) -> frozenset[str]:
    try:
        address = urlsplit(given) if "://" in given else None
    except ValueError:
        address = None
    host = given if address is None else address.netloc.rpartition("@")[2]
    return frozenset((given, host, host.lower())) - {""}


def _called(model: str, provider: str, host: str) -> set[str]:
    """The names by which a recipient may be asked for."""
    return {model, provider, host, host.rpartition(":")[0]} - {""}


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer: whom, when, by which checkpoint, and what was counted."""

    to: Recipient
    span: Span
    signed: Signed
    tally: Tally
    broken: tuple[int, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain data. ``configured`` are the models that the configuration says are meant."""
        return {
            "to": self.to.name,
            **self.span.as_dict(),
            "configured": sorted(self.to.models),
            "log": self.signed.checkpoint.origin,
            "size": self.signed.checkpoint.size,
            **self.tally.as_dict(),
            "broken": list(self.broken),
        }


def count_sent(reader: Reader, to: Recipient, span: Span, advance: Callable[[int], object] = lambda _: None) -> Sent:
    """Count what ``to`` received in that time, by the part of the log that its newest checkpoint covers.

    Raises :class:`NotFound` where neither the configuration nor any entry knows whom, so that a slip of the pen is not
    taken for a good answer; :class:`VerificationFailed` where an entry is missing. What was
    changed is in ``broken``, and not counted.
    """
    signed = reader.checkpoint()
    entries, genuine = covered(reader, range(signed.checkpoint.size)), Proven(reader.storage, signed.checkpoint)
    return count(signed, Scan(entries, advance, genuine), to, span)


def count(signed: Signed, scan: Scan, to: Recipient, span: Span) -> Sent:
    """The same, by the entries of a pass. Raises :class:`NotFound`."""
    tally, seen = Tally(), False
    for found in scan.find(to):
        if facts.text(found.event, "type") != "intent":
            tally.end(found)
            continue
        seen = True
        if span.holds(facts.moment(found.event)):
            tally.begin(found)
    tally.close()
    if not (seen or to.models or scan.broken):  # what was changed may have named it
        raise NotFound(
            f"Neither the configuration nor any entry that was read knows {to.name!r}.",
            hint="Name a model's id, a provider, or a vendor's host: `isthmus models list` shows them.",
        )
    return Sent(to, span, signed, tally, tuple(scan.broken))


def covered(reader: Reader, within: range) -> Iterator[tuple[int, bytes]]:
    """Those entries. Raises :class:`VerificationFailed` where one that was signed for is missing."""
    for index, entry in oldest_first(reader, within.start):
        if index >= within.stop:
            return
        yield index, entry
