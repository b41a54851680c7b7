"""A store on disk, a small deterministic embedder, and documents in a few words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from isthmus.cards import Card
from isthmus.data.database import Database
from isthmus.data.documents import Documents
from isthmus.data.passages import Passages
from isthmus.labels import PUBLIC, Label
from isthmus.messages import EmbedRequest
from isthmus.principals import Principal
from isthmus.retrieval.retriever import HybridRetriever
from isthmus.seams import Embeddings, NewChunk, NewDocument

DIMENSIONS = 256
ANN = Principal("key_ann", "Ann", groups=frozenset({"board", "staff"}))
BEN = Principal("key_ben", "Ben", groups=frozenset({"staff"}))
EVE = Principal("key_eve", "Eve", roles=frozenset({"admin"}))


def vector(text: str, dimensions: int = DIMENSIONS) -> np.ndarray:
    """Words hashed to directions: texts with words in common point the same way."""
    total = np.zeros(dimensions)
    for word in re.findall(r"\w+", text.casefold()):
        total += _direction(word, dimensions)
    length = np.linalg.norm(total)
    return (total / length if length else np.eye(dimensions)[0]).astype(np.float32)


@lru_cache(4096)
def _direction(word: str, dimensions: int) -> np.ndarray:
    digest = hashlib.sha256(word.encode("utf8", "replace")).digest()
    return np.random.default_rng(int.from_bytes(digest[:8])).standard_normal(dimensions)


@dataclass
class HashingEmbedder:
    """Keeps what it was asked, so that a test can see who asked, and with which label."""

    asked: list[EmbedRequest] = field(default_factory=list)

    @property
    def card(self) -> Card:
        return Card(id="test/hashing", provider="test", kind="embedding", locality="in_process")

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    async def embed(self, request: EmbedRequest) -> Embeddings:
        self.asked.append(request)
        return Embeddings(np.stack([vector(text.text) for text in request.texts]), 0)


def document(
    source: str,
    *texts: str,
    groups: frozenset[str] = frozenset(),
    label: Label = PUBLIC,
    owner: str = "",
    collection: str = "handbook",
) -> NewDocument:
    """One chunk a text; the document's text is all of them, a line each."""
    chunks, start = [], 0
    for text in texts:
        chunks.append(NewChunk(text, start, start + len(text), None, (), label, vector(text)))
        start += len(text) + 1
    whole = "\n".join(texts)
    return NewDocument(collection, source, source, "text/plain", "sha256:0", whole, label, groups, owner, tuple(chunks))


@dataclass
class Store:
    database: Database
    documents: Documents
    passages: Passages
    embedder: HashingEmbedder
    retriever: HybridRetriever


@contextmanager
def store(path: Path) -> Iterator[Store]:
    database = Database(path)
    passages, embedder = Passages(database), HashingEmbedder()
    yield Store(database, Documents(database), passages, embedder, HybridRetriever(passages, embedder))
    database.close()
