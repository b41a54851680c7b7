"""Labels: what may be done with a text, as a lattice that mixing can only climb.

A label has four parts, each with its own join:

=============  ============================================  ===================
part           meaning                                       join
=============  ============================================  ===================
level          public < internal < confidential < restricted the higher one
categories     kinds of content: personal, health, secret…   union
residency      jurisdictions where it may be processed       intersection
licences       terms that its sources carry                  union
=============  ============================================  ===================

``a.join(b)`` is the least upper bound, ``PUBLIC`` the bottom. ``a.flows_to(b)`` says that text labelled ``a`` may
be treated as ``b``: the order of the lattice (Denning, "A lattice model of secure information flow", 1976).
Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce

from isthmus.errors import InvalidRequest

_MOST_NAMES, _LONGEST_NAME = 64, 64


class Level(IntEnum):
    """How sensitive a text is, ordered."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    RESTRICTED = 3

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: object) -> Level:
        """The level of that name. Raises :class:`InvalidRequest` for any other value."""
        if isinstance(text, str) and text.upper() in cls.__members__:
            return cls[text.upper()]
        names = ", ".join(str(level) for level in cls)
        raise InvalidRequest(f"There is no level {text!r}.", hint=f"The levels are: {names}.")


@dataclass(frozen=True, slots=True)
class Label:
    """One point of the lattice. ``residency`` is an allow-set; ``None`` allows every jurisdiction."""

    level: Level = Level.PUBLIC
    categories: frozenset[str] = frozenset()
    residency: frozenset[str] | None = None
    licences: frozenset[str] = frozenset()

    def join(self, other: Label) -> Label:
        """The label of a text that mixes both."""
        if self is other or self == other:
            return self
        return Label(
            max(self.level, other.level),
            self.categories | other.categories,
            _meet_allowed(self.residency, other.residency),
            self.licences | other.licences,
        )

    def flows_to(self, other: Label) -> bool:
        """Whether this label is at or below the other."""
        return (
            self.level <= other.level
            and self.categories <= other.categories
            and self.licences <= other.licences
            and (self.residency is None or (other.residency is not None and other.residency <= self.residency))
        )

    def as_dict(self) -> dict[str, object]:
        """Plain data in a stable order; ``residency`` is absent where every jurisdiction is allowed."""
        plain: dict[str, object] = {"level": str(self.level), "categories": sorted(self.categories)}
        if self.residency is not None:
            plain["residency"] = sorted(self.residency)
        if self.licences:
            plain["licences"] = sorted(self.licences)
        return plain

    @classmethod
    def parse(cls, plain: object) -> Label:
        """A label from plain data (``as_dict``'s shape, every field optional, or a level's name).

        Raises :class:`InvalidRequest` for an unknown field or a wrong type: a label that cannot be read stops
        the request, it is never guessed.
        """
        if isinstance(plain, str):
            return cls(Level.parse(plain))
        if not isinstance(plain, Mapping):
            raise InvalidRequest("A label must be a level's name or an object.")
        unknown = set(plain) - {"level", "categories", "residency", "licences"}
        if unknown:
            raise InvalidRequest(f"A label has no field {min(map(str, unknown))!r}.")
        residency = plain.get("residency")
        return cls(
            Level.parse(plain.get("level", "public")),
            _names(plain.get("categories", ()), "categories"),
            None if residency is None else _names(residency, "residency"),
            _names(plain.get("licences", ()), "licences"),
        )

    def __str__(self) -> str:
        parts = [str(self.level), *sorted(self.categories)]
        if self.residency is not None:
            parts.append("only " + ("/".join(sorted(self.residency)) or "this machine"))
        parts += sorted(self.licences)
        return " · ".join(parts)


PUBLIC = Label()
INTERNAL = Label(Level.INTERNAL)
#: Text whose origin is lost: restricted, and no jurisdiction but this very process is allowed.
ORIGIN_LOST = Label(Level.RESTRICTED, frozenset({"origin-lost"}), frozenset())


def join(labels: Iterable[Label]) -> Label:
    """The join of any number of labels; of none, ``PUBLIC``."""
    return reduce(Label.join, labels, PUBLIC)


def _meet_allowed(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None:
        return other
    return one if other is None else one & other


def _names(value: object, field: str) -> frozenset[str]:
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InvalidRequest(f"A label's {field} must be a list of names.")
    names = list(value)
    if len(names) > _MOST_NAMES or not all(map(_is_name, names)):
        raise InvalidRequest(
            f"A label's {field} must be a list of at most {_MOST_NAMES} names of 1 to {_LONGEST_NAME} characters."
        )
    return frozenset(names)


def _is_name(name: object) -> bool:
    """Printable, since names travel in headers and in the log: no line breaks, no lone surrogates."""
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable()
