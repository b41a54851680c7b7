"""Cards from the file: what is declared, and the clearance that follows where none is."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from isthmus.cards import Clearance
from isthmus.config import Home, Settings, parse
from isthmus.labels import Level
from isthmus.models.catalogue import MINILM, cards, models
from isthmus.models.weights import digest

TODAY = date(2026, 11, 25)


def clearance(tmp_path: Path, body: str) -> Clearance:
    settings = parse(f"models: [{{id: m, provider: openai, {body}}}]")
    return cards(settings, Home(tmp_path), TODAY)["m"].clearance


@pytest.mark.parametrize(
    ("body", "level", "categories"),
    [
        ("locality: in_process", Level.RESTRICTED, None),
        ("locality: on_premises", Level.CONFIDENTIAL, None),
        ("locality: api", Level.PUBLIC, frozenset()),
        ("", Level.PUBLIC, frozenset()),
        ("retention: none", Level.PUBLIC, frozenset()),
        ("retention: none, terms: {contract: C}", Level.INTERNAL, frozenset()),
        ("retention: none, terms: {expires: 2026-11-25}", Level.INTERNAL, frozenset()),
        ("retention: none, terms: {expires: 2026-11-24}", Level.PUBLIC, frozenset()),
        ("retention: 30d, terms: {contract: C}", Level.PUBLIC, frozenset()),
        ("terms: {contract: C}", Level.PUBLIC, frozenset()),
        ("locality: in_process, clearance: {level: internal}", Level.INTERNAL, frozenset()),
        ("clearance: {level: confidential, categories: [health]}", Level.CONFIDENTIAL, frozenset({"health"})),
        ("clearance: {level: restricted, categories: ['*']}", Level.RESTRICTED, None),
    ],
)
def test_clearance(tmp_path: Path, body: str, level: Level, categories: frozenset[str] | None) -> None:
    assert clearance(tmp_path, body) == Clearance(level, categories)


def test_every_declared_fact_is_on_the_card(tmp_path: Path) -> None:
    settings = parse(
        """
        models:
          - id: closed/frontier
            provider: openai
            jurisdiction: US
            retention: none
            tier: frontier
            context: 128000
            openness: {weights: closed, licence: Proprietary}
            price: {input: 3.0, output: 15.0, cached: 0.3, currency: EUR}
            terms: {contract: DPA-1, expires: 2027-06-30, subprocessors: [EU]}
        """
    )
    card = cards(settings, Home(tmp_path), TODAY)["closed/frontier"]
    assert (card.provider, card.jurisdiction, card.retention, card.tier) == ("openai", "US", "none", "frontier")
    assert (card.context, card.openness.weights, card.openness.licence) == (128000, "closed", "Proprietary")
    assert (card.price.input, card.price.output, card.price.cached, card.price.currency) == (3.0, 15.0, 0.3, "EUR")
    assert card.terms is not None
    assert (card.terms.contract, card.terms.expires) == ("DPA-1", date(2027, 6, 30))
    assert card.terms.subprocessors == {"EU"}
    assert card.leaves


def test_the_files_order_and_the_embedder_that_is_always_there(tmp_path: Path) -> None:
    settings = parse("models: [{id: z, provider: openai}, {id: a, provider: openai}]")
    made = cards(settings, Home(tmp_path), TODAY)
    assert list(made) == ["z", "a", "local/minilm"]
    minilm = made["local/minilm"]
    assert (minilm.kind, minilm.locality, minilm.openness.licence) == ("embedding", "in_process", "Apache-2.0")
    assert minilm.open


def test_the_file_may_say_otherwise_of_the_embedder(tmp_path: Path) -> None:
    settings = parse("models: [{id: local/minilm, provider: scripted, kind: embedding}]")
    assert models(settings)["local/minilm"].provider == "scripted"
    assert models(Settings())["local/minilm"] is MINILM


def test_a_digest_is_told_once_it_is_known_and_never_computed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    weights = tmp_path / "own.gguf"
    weights.write_bytes(b"weights")
    settings = parse("models: [{id: m, provider: llama_cpp, locality: in_process, weights: own.gguf}]")
    home = Home(tmp_path)
    assert cards(settings, home, TODAY)["m"].digest == ""
    known = digest(weights)
    assert cards(settings, home, TODAY)["m"].digest == known
    weights.write_bytes(b"other weights")
    assert cards(settings, home, TODAY)["m"].digest == ""
