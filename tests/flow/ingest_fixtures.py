"""The neighbours of an ingest: a real store and reader; an embedder, a guard and a log that tell what they saw."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from isthmus.cards import Card
from isthmus.config import Home, KnowledgeSettings
from isthmus.data.database import Database
from isthmus.data.documents import Documents, utc_now
from isthmus.data.parsing.reader import Reader
from isthmus.data.vault import open_vault
from isthmus.errors import AuditUnavailable, GuardUnavailable
from isthmus.governance.audit.commitments import commitment
from isthmus.labels import PUBLIC, Label, Level
from isthmus.messages import EmbedRequest
from isthmus.orchestration.filing import Filing
from isthmus.orchestration.ingest import Ingest, Report, Spec
from isthmus.principals import Principal
from isthmus.seams import Embeddings, Receipt, Stage, Verdict

CURATOR = Principal("key_1", "a curator", roles=frozenset({"curator"}))


@dataclass
class WordEmbedder:
    """One dimension a hash of a word."""

    requests: list[EmbedRequest] = field(default_factory=list)
    card: Card = field(default_factory=lambda: Card("local/words", "words", "embedding", "in_process"))
    dimensions: int = 16

    async def embed(self, request: EmbedRequest) -> Embeddings:
        self.requests.append(request)
        vectors = np.full((len(request.texts), self.dimensions), 0.01, np.float32)
        for row, text in zip(vectors, request.texts, strict=True):
            for word in text.text.split():
                row[zlib.crc32(word.encode()) % self.dimensions] += 1
        return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), 0)


@dataclass
class WordGuard:
    """Raises the label of a text that holds a word; blocks one, and fails on another."""

    raises: Mapping[str, Label] = field(default_factory=dict)
    blocks: str = "\0"
    fails: str = "\0"
    name: str = "words"

    async def check(self, text: str, stage: Stage) -> Verdict:
        assert stage == "ingest"
        if self.fails in text:
            raise GuardUnavailable("The guard is away.")
        label = PUBLIC
        for word, raised in self.raises.items():
            label = label.join(raised) if word in text else label
        return Verdict("block" if self.blocks in text else "allow", label, rule=self.name)


@dataclass
class ListLog:
    """Keeps events in a list; ``broken`` refuses them."""

    events: list[dict[str, object]] = field(default_factory=list)
    broken: bool = False

    async def append(self, event: Mapping[str, object], *, flush: bool) -> int:
        if self.broken:
            raise AuditUnavailable("The log cannot be written.")
        self.events.append({**event, "flushed": flush})
        return len(self.events) - 1

    async def receipt(self, index: int) -> Receipt:
        raise NotImplementedError

    def types(self) -> list[object]:
        return [event["type"] for event in self.events]


class Bench:
    """An ingest with its neighbours at hand."""

    def __init__(self, home: Path, settings: KnowledgeSettings | None = None) -> None:
        database = Database(home / "isthmus.db")
        self.documents = Documents(database)
        self.vault = open_vault(database, Home(home), commitment, utc_now)
        self.embedder, self.guard, self.log = WordEmbedder(), WordGuard(), ListLog()
        self.filing = Filing(self.log, self.vault)
        self.reader = Reader(seconds=30)
        self.ingest = Ingest(
            self.documents, self.embedder, [self.guard], self.filing, self.reader, settings or KnowledgeSettings()
        )

    async def run(self, *paths: Path, spec: Spec | None = None) -> Report:
        return await self.ingest.ingest(paths, spec or spec_of())

    def sources(self) -> list[str]:
        return [Path(document.source).name for document in self.documents.list()]


def spec_of(level: Level = Level.INTERNAL, collection: str = "handbook", groups: frozenset[str] = frozenset()) -> Spec:
    return Spec(collection, CURATOR, Label(level), groups)


def statuses(report: Report) -> dict[str, str]:
    return {Path(result.source).name: result.status for result in report.results}
