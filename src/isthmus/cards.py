"""A model's card: the declared facts that policy reads. What a model *is said to be*; policy trusts nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal, TypeAlias

from isthmus.labels import Level
from isthmus.messages import Usage

Locality: TypeAlias = Literal["in_process", "on_premises", "api"]
Kind: TypeAlias = Literal["chat", "embedding"]


@dataclass(frozen=True, slots=True)
class Openness:
    """Each "open", "closed" or "" (not declared), after the Model Openness Framework; ``licence`` by SPDX id."""

    weights: str = ""
    code: str = ""
    data: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Clearance:
    """The highest label a model may see. ``categories=None`` clears every category."""

    level: Level = Level.PUBLIC
    categories: frozenset[str] | None = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """The evidence behind ``retention``: the contract, and the last day on which it holds."""

    contract: str = ""
    expires: date | None = None
    subprocessors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Price:
    """Money per ``per`` tokens."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None
    currency: str = "USD"
    per: int = 1_000_000

    def cost(self, usage: Usage) -> float:
        """What the call cost, in ``currency``; cached prompt tokens cost ``cached``, or like any other."""
        cached = self.input if self.cached is None else self.cached
        fresh = usage.prompt - usage.cached
        return (fresh * self.input + usage.cached * cached + usage.completion * self.output) / self.per


@dataclass(frozen=True, slots=True)
class Card:
    """One model of the catalogue. ``context`` in tokens; ``digest`` is ``sha256:…`` of the weights, where we hold them;
    ``retention`` is what the vendor keeps: "none", a duration such as "30d", or "" (not declared). ``host`` is who
    receives what is sent: host and port of the model's server, "" for a model in this process."""

    id: str
    provider: str
    kind: Kind = "chat"
    locality: Locality = "api"
    jurisdiction: str = ""
    retention: str = ""
    tier: str = ""
    context: int | None = None
    digest: str = ""
    openness: Openness = field(default_factory=Openness)
    clearance: Clearance = field(default_factory=Clearance)
    terms: Terms | None = None
    price: Price = field(default_factory=Price)
    host: str = ""

    @property
    def open(self) -> bool:
        """Whether the weights are held openly."""
        return self.openness.weights == "open"

    @property
    def leaves(self) -> bool:
        """Whether a call to this model leaves the premises."""
        return self.locality == "api"
