"""How long a search takes over many chunks, unfiltered and for readers of a small part. Needs no model.

    python benchmarks/retrieval.py [--chunks 100000] [--folder DIR]

Builds a store of random vectors and of words drawn by Zipf's law, then times the whole search after the embedding
(view, dense, keyword, fusion, fetch, judgement), median and 95th percentile in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from isthmus.cards import Card
from isthmus.data.database import Database
from isthmus.data.documents import Documents
from isthmus.data.passages import Passages
from isthmus.labels import INTERNAL, PUBLIC
from isthmus.messages import EmbedRequest, Text
from isthmus.principals import Principal
from isthmus.retrieval import dense
from isthmus.retrieval.retriever import HybridRetriever
from isthmus.retrieval.scope import Scopes
from isthmus.seams import Embeddings, NewChunk, NewDocument

DIMENSIONS, WORDS, VOCABULARY, PER_DOCUMENT = 384, 120, 50_000, 50
#: Each document is read by a group that holds this share of them all.
SHARES = (1.0, 0.5, 0.1, 0.01)


class RandomEmbedder:
    card = Card(id="random", provider="benchmark", kind="embedding", locality="in_process")
    dimensions = DIMENSIONS

    async def embed(self, request: EmbedRequest) -> Embeddings:
        rng = np.random.default_rng(abs(hash(request.texts[0].text)) % 2**32)
        return Embeddings(_unit(rng.standard_normal((len(request.texts), DIMENSIONS), dtype=np.float32)), 0)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--chunks", type=int, default=100_000)
    arguments.add_argument("--folder", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database((options.folder or Path(folder)) / "benchmark.db")
        plain = asyncio.run(_run(database, options.chunks))
        database.close()
    print(json.dumps(plain, indent=1))


async def _run(database: Database, chunks: int) -> dict[str, object]:
    rng = np.random.default_rng(0)
    documents = Documents(database)
    started = time.perf_counter()
    for number in range(len(documents.list()), chunks // PER_DOCUMENT):
        documents.put(_document(rng, number))
    plain: dict[str, object] = {"chunks": chunks, "store_s": round(time.perf_counter() - started, 1)}
    started = time.perf_counter()
    passages = Passages(database)
    snapshot = passages.current()
    plain["load_s"] = round(time.perf_counter() - started, 2)
    retriever = HybridRetriever(passages, RandomEmbedder())
    questions = [_words(rng, 9) for _ in range(40)]
    for share in SHARES:
        asker = Principal("key", "reader", groups=frozenset({f"share-{share}"}))
        scope = Scopes().of(snapshot, asker, ())
        query = _unit(rng.standard_normal((1, DIMENSIONS), dtype=np.float32))[0]
        alone = [_timed(lambda: dense.search(scope, query, 100)) for _ in range(20)]  # noqa: B023
        whole = []
        for question in questions:
            started = time.perf_counter()
            await retriever.retrieve(Text(question, INTERNAL), asker, collections=(), limit=4)
            whole.append(time.perf_counter() - started)
        cold, warm = whole[0], whole[1:]
        plain[f"readable {share:.0%}"] = {
            "rows": len(scope.rows), "dense_ms": _ms(alone), "search_ms": _ms(warm), "first_ms": round(cold * 1e3, 1)
        }  # fmt: skip
    documents.put(_document(rng, chunks))
    plain["refresh_s"] = round(_timed(passages.current), 2)
    plain["purge_s"] = round(_timed(documents.purge), 1)
    return plain


def _document(rng: np.random.Generator, number: int) -> NewDocument:
    vectors = _unit(rng.standard_normal((PER_DOCUMENT, DIMENSIONS), dtype=np.float32))
    groups = frozenset(f"share-{share}" for share in SHARES if number % round(1 / share) == 0)
    texts = [_words(rng, WORDS) for _ in range(PER_DOCUMENT)]
    chunks = tuple(
        NewChunk(text, 0, len(text), None, (), PUBLIC, vector) for text, vector in zip(texts, vectors, strict=True)
    )
    return NewDocument("c", str(number), f"t{number}", "text/plain", "", "\n".join(texts), PUBLIC, groups, "", chunks)


def _words(rng: np.random.Generator, count: int) -> str:
    return " ".join(f"w{rank % VOCABULARY}" for rank in rng.zipf(1.2, count))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _timed(call) -> float:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _ms(seconds: list[float]) -> dict[str, float]:
    return {"p50": round(float(np.median(seconds)) * 1e3, 2), "p95": round(float(np.quantile(seconds, 0.95)) * 1e3, 2)}


if __name__ == "__main__":
    main()
