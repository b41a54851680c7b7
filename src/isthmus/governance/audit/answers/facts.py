"""What readers ask an entry for: who, whose, where to, under which label and rule.

An entry may come from a newer version of Isthmus, or from somebody who means harm: whatever is not of the shape that
we write counts as absent, and never stops a reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from isthmus.labels import Level

Event: TypeAlias = Mapping[str, Any]


def text(event: Event, name: str) -> str:
    """A field that holds text; empty where it is absent or something else."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def part(event: Event, name: str) -> Event:
    """A field that holds an object; empty where it is absent or something else."""
    value = event.get(name)
    return value if isinstance(value, Mapping) else {}


def parts(event: Event, name: str) -> Iterator[Event]:
    """The objects in a field that holds a list of them."""
    value = event.get(name)
    yield from (one for one in (value if isinstance(value, list) else ()) if isinstance(one, Mapping))


def number(event: Event, name: str) -> int:
    """A field that holds a count; 0 where it is absent or something else."""
    value = event.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def names(values: Iterable[object]) -> set[str]:
    """Those of the values that are text, and not empty."""
    return {value for value in values if isinstance(value, str) and value}


def listed(event: Event, name: str) -> set[str]:
    """The texts in a field that holds a list of them."""
    value = event.get(name)
    return names(value) if isinstance(value, list) else set()


def moment(event: Event, name: str = "time") -> datetime | None:
    """When the entry was written, by the clock of that day; or another moment that it tells."""
    try:
        found = datetime.fromisoformat(text(event, name))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def types(event: Event) -> set[str]:
    """The entry's type and its family: ``document.added`` is also a ``document``."""
    kind = text(event, "type")
    return names((kind, kind.partition(".")[0]))


def requests(event: Event) -> set[str]:
    """The request that an entry is about, or on whose behalf another call was made (a query that is embedded)."""
    return names((event.get("request"), event.get("of")))


def principals(event: Event) -> set[str]:
    """Who asked, who changed something, whose key was changed, or whose content was erased."""
    direct = (event.get(name) for name in ("principal", "by", "subject", "key"))
    return names((*direct, part(event, "key").get("id")))


def collections(event: Event) -> set[str]:
    """The collections that an answer was grounded on, or that a document belongs to."""
    return names((event.get("collection"), *(passage.get("collection") for passage in parts(event, "passages"))))


def documents(event: Event) -> set[str]:
    """The documents that an answer was grounded on, or that were changed."""
    return names((event.get("document"), *(passage.get("document") for passage in parts(event, "passages"))))


def levels(event: Event) -> set[str]:
    """The level of the text; of a document also the highest of its parts."""
    return names(label.get("level") for label in _labels(event))


def categories(event: Event) -> set[str]:
    """The categories of the text; of a document also those of its parts."""
    return set().union(*(listed(label, "categories") for label in _labels(event)))


def rules(event: Event) -> set[str]:
    """The rule that admitted or refused, and those that denied other models."""
    denied = (*part(event, "denied").values(), *part(event, "rules").values())
    return names((event.get("rule"), *denied))


def codes(event: Event) -> set[str]:
    """How a call failed, or a request was refused."""
    return names((event.get("code"), event.get("error")))


def rank(level: str) -> int:
    """The place of a level in their order. One that is not known here counts as above all."""
    return next((known for known in Level if str(known) == level), len(Level))


def cost(event: Event) -> tuple[str, Decimal] | None:
    """Currency and amount."""
    stated = part(event, "cost")
    try:
        amount = Decimal(text(stated, "amount"))
    except InvalidOperation:
        return None
    return (text(stated, "currency"), amount) if amount.is_finite() else None


def _labels(event: Event) -> tuple[Event, ...]:
    return part(event, "label"), part(event, "highest")
