"""What entries share: the base of all, and the shapes that several types use."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

Maybe: TypeAlias = UnsetType
ABSENT = UNSET

Count: TypeAlias = Annotated[int, Meta(ge=0)]
#: 64 hex digits.
Hash: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Digest: TypeAlias = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]

Principal: TypeAlias = Annotated[str, Meta(description="Who asked: a key's id, a pseudonym.")]
Request: TypeAlias = Annotated[str, Meta(description="The request's id, as its answer or error names it.")]
By: TypeAlias = Annotated[
    str,
    Meta(description="Who did it: a key's id, `uid:N` for a user of the system, `signal`, or `bootstrap`."),
]
Why: TypeAlias = Annotated[str, Meta(description="Why, in the words of whoever did it; empty where none were given.")]
Model: TypeAlias = Annotated[str, Meta(description="The model's id in the catalogue.")]
Rule: TypeAlias = Annotated[str, Meta(description="The policy rule that decided.")]
PolicyHash: TypeAlias = Annotated[Digest, Meta(description="The hash of the policy set that decided.")]
Collection: TypeAlias = Annotated[str, Meta(description="The collection that the text belongs to.")]
Purpose: TypeAlias = Annotated[
    str,
    Meta(
        description="The purpose that the request states, where it is a name (letters, digits, `._:/+-`); "
        "of any other text its SHA-256, as `sha256:…`."
    ),
]
Findings: TypeAlias = Annotated[dict[str, Count], Meta(description="What guards found: how many of each kind.")]
Level: TypeAlias = Literal["public", "internal", "confidential", "restricted"]


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A shape within an entry."""


class Entry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    """What every entry has; the log itself adds it."""

    seq: Annotated[Count, Meta(description="The entry's number in the log.")]
    time: Annotated[str, Meta(description="RFC 3339, UTC. The order is that of `seq`: a clock may jump.")]


class Label(Part, frozen=True, kw_only=True):
    """A label: the level, the categories, and where the text may be processed and under which licences it stands."""

    level: Level
    categories: list[str]
    residency: Annotated[list[str] | Maybe, Meta(description="The jurisdictions allowed; absent: any.")] = ABSENT
    licences: list[str] | Maybe = ABSENT


class Cost(Part, frozen=True, kw_only=True):
    """Money, as decimal text."""

    amount: Annotated[str, Meta(pattern=r"^-?[0-9]+\.[0-9]{6}$")]
    currency: str
