"""The catalogue: a card for every model of isthmus.yaml, in the file's order, and for the embedder that ships.

Cards hold declared facts; where the file leaves the clearance out, it follows from where the model runs:

============  ============  ==========
locality      level         categories
============  ============  ==========
in_process    restricted    every one
on_premises   confidential  every one
api           internal      none        with ``retention: none`` and terms that hold today
api           public        none        otherwise
============  ============  ==========
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from urllib.parse import urlsplit

from isthmus.cards import Card, Clearance, Openness, Price, Terms
from isthmus.config import ClearanceSettings, Home, ModelSettings, OpennessSettings, Settings, TermsSettings
from isthmus.labels import Level
from isthmus.models.openai_compatible.rows import ROWS
from isthmus.models.weights import known_digest, locate

#: The embedder that is always there, named in the file or not.
MINILM = ModelSettings(
    id="local/minilm",
    provider="minilm",
    kind="embedding",
    weights="starter/minilm",
    locality="in_process",
    context=256,
    openness=OpennessSettings(weights="open", code="open", data="open", licence="Apache-2.0"),
)

_LOCAL: Mapping[str, Clearance] = MappingProxyType(
    {
        "in_process": Clearance(Level.RESTRICTED, categories=None),
        "on_premises": Clearance(Level.CONFIDENTIAL, categories=None),
    }
)


def models(settings: Settings) -> dict[str, ModelSettings]:
    """The file's models by id, and the embedder that ships unless the file says otherwise."""
    named = {model.id: model for model in settings.models}
    return named if MINILM.id in named else {**named, MINILM.id: MINILM}


def cards(settings: Settings, home: Home | None = None, today: date | None = None) -> dict[str, Card]:
    """A card for each model. ``home`` resolves relative paths of weights. Reads the disk, but hashes nothing large."""
    day = today or datetime.now(UTC).date()
    return {name: _card(model, home, day) for name, model in models(settings).items()}


def weights_name(model: ModelSettings, home: Home | None) -> str | None:
    """The name that ``models.weights`` knows the model's weights by: paths are made absolute."""
    name = model.weights
    if name is None or home is None or name.startswith(("starter/", "hub:")):
        return name
    return str(home.resolve(name))


def _card(model: ModelSettings, home: Home | None, today: date) -> Card:
    openness, price = model.openness, model.price
    return Card(
        id=model.id,
        provider=model.provider,
        kind=model.kind,
        locality=model.locality,
        jurisdiction=model.jurisdiction,
        retention=model.retention,
        tier=model.tier,
        context=model.context,
        digest=_digest(model, home),
        openness=Openness(openness.weights, openness.code, openness.data, openness.licence),
        clearance=_clearance(model, today),
        terms=_terms(model.terms),
        price=Price(price.input, price.output, price.cached, price.currency, price.per),
        host=_host(model),
    )


def _host(model: ModelSettings) -> str:
    """Host, and port where one is given, of the model's server: never a user or password that stands before it."""
    row = ROWS.get(model.provider)
    url = model.base_url or (row.base_url if row else None)
    try:
        return "" if url is None else urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:  # no URL at all: the provider says so when it is made
        return ""


def _clearance(model: ModelSettings, today: date) -> Clearance:
    if model.clearance is not None:
        return _declared(model.clearance)
    if model.locality in _LOCAL:
        return _LOCAL[model.locality]
    trusted = model.retention == "none" and _valid(model.terms, today)
    return Clearance(Level.INTERNAL if trusted else Level.PUBLIC)


def _declared(clearance: ClearanceSettings) -> Clearance:
    every = "*" in clearance.categories
    return Clearance(Level.parse(clearance.level), None if every else frozenset(clearance.categories))


def _valid(terms: TermsSettings | None, today: date) -> bool:
    """Terms hold through their last day; terms without one hold until the file says otherwise."""
    return terms is not None and (terms.expires is None or terms.expires >= today)


def _terms(terms: TermsSettings | None) -> Terms | None:
    return None if terms is None else Terms(terms.contract, terms.expires, frozenset(terms.subprocessors))


def _digest(model: ModelSettings, home: Home | None) -> str:
    name = weights_name(model, home)
    path = None if name is None else locate(name)
    return "" if path is None else known_digest(path)
