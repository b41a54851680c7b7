"""A retrieval test in BEIR's shapes, through the same store, embedder and retriever that answers use.

``corpus`` has a line ``{"_id", "title", "text"}`` a document, ``queries`` ``{"_id", "text"}``; ``qrels`` is a table
of query, document and gain, separated by tabs, with a heading.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from isthmus.data.chunking import Chunker
from isthmus.data.parsing.parsed import Block, Parsed
from isthmus.errors import InvalidRequest
from isthmus.labels import Label
from isthmus.messages import EmbedRequest, Text
from isthmus.principals import Principal
from isthmus.seams import Documents, Embedder, NewChunk, NewDocument, Retriever

COLLECTION = "evaluation"
_DEPTH = 100
#: An entry of a corpus is what is judged: it stays whole up to this many tokens.
_ENTRY = 512

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """``corpus``: title and text by id; ``queries``: text by id; ``judgements``: gains by query and document."""

    corpus: Mapping[str, tuple[str, str]]
    queries: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, float]]


def read(corpus: Path, queries: Path, qrels: Path) -> Trial:
    """The three files. Raises :class:`InvalidRequest`, saying which line, or that nothing fits together."""
    documents = {str(row["_id"]): (str(row.get("title") or ""), str(row["text"])) for row in _rows(corpus)}
    texts = {str(row["_id"]): str(row["text"]) for row in _rows(queries)}
    judgements: dict[str, dict[str, float]] = {}
    for query, document, gain in _table(qrels):
        if query in texts:
            judgements.setdefault(query, {})[document] = gain
    if not judgements or not any(document in documents for gains in judgements.values() for document in gains):
        raise InvalidRequest(
            f"{qrels} judges none of these queries and documents.", hint="Check that the ids are the same."
        )
    return Trial(documents, {query: texts[query] for query in judgements}, judgements)


class Evaluation:
    """Stores a trial's corpus and asks its queries, as ``principal`` and with ``label`` on every text."""

    def __init__(self, documents: Documents, embedder: Embedder, principal: Principal, label: Label) -> None:
        self._documents = documents
        self._embedder = embedder
        self._principal = principal
        self._label = label
        self._chunker = Chunker(_ENTRY)

    async def store(self, trial: Trial, tell: Tell) -> None:
        """Chunk, embed and store the corpus, a document at a time."""
        for done, (name, (title, text)) in enumerate(trial.corpus.items(), 1):
            chunks = await self._chunks(title, text)
            document = NewDocument(
                COLLECTION, name, title, "text/plain", "", text, self._label, frozenset(), self._principal.id, chunks
            )
            self._documents.put(document)
            tell(done, len(trial.corpus))

    async def rank(self, trial: Trial, retriever: Retriever, tell: Tell) -> dict[str, list[str]]:
        """For each query the documents found, best first: a document stands where its best passage does."""
        rankings = {}
        for done, (query, text) in enumerate(trial.queries.items(), 1):
            asked = Text(text, self._label)
            found = await retriever.retrieve(asked, self._principal, collections=(COLLECTION,), limit=_DEPTH)
            rankings[query] = list(dict.fromkeys(passage.source for passage in found.passages))
            tell(done, len(trial.queries))
        return rankings

    async def _chunks(self, title: str, text: str) -> tuple[NewChunk, ...]:
        parsed = Parsed(title, "text/plain", text, (Block(0, len(text)),) if text.strip() else ())
        chunks = self._chunker.chunk(parsed)
        if not chunks:
            return ()
        texts = tuple(Text(f"{title}\n{chunk.text}".strip(), self._label) for chunk in chunks)
        request = EmbedRequest(f"evaluate_{secrets.token_hex(8)}", self._principal, self._embedder.card.id, texts)
        vectors = (await self._embedder.embed(request)).vectors
        return tuple(
            NewChunk(chunk.text, chunk.start, chunk.end, None, (), self._label, vector)
            for chunk, vector in zip(chunks, vectors, strict=True)
        )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path), 1):
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
            if "_id" not in row or "text" not in row:
                raise InvalidRequest(f"{path}, line {number}: a row needs _id and text.")
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"{path}, line {number}: {error}.") from error
        yield row


def _table(path: Path) -> Iterator[tuple[str, str, float]]:
    for number, line in enumerate(_lines(path)[1:], 2):
        try:
            query, document, gain = line.split("\t")
            yield query, document, float(gain)
        except ValueError as error:
            raise InvalidRequest(f"{path}, line {number}: three columns are needed, the last a number.") from error


def _lines(path: Path) -> Sequence[str]:
    try:
        return [line for line in path.read_text(encoding="utf8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}.") from error
