"""How the coefficients of ``isthmus.retrieval.relevance`` are made, and what they are worth on collections not seen.

    python benchmarks/relevance.py [--data ../shared/data/rag]

Three collections: Cranfield (aerodynamics), PubMedQA (medicine), FinanceBench (annual reports). A question belongs to
its own collection, whole or cut to about 15 documents, and to none of the others; questions about nothing in any of
them (``OFF_TOPIC``) belong nowhere. The logistic fit gives each group of cases the same weight. Generalisation is
measured by leaving a whole collection out: its coefficients come from the other two.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, log, sqrt
from pathlib import Path

import numpy as np

from isthmus.data.chunking import Chunker
from isthmus.data.database import Database
from isthmus.data.documents import Documents
from isthmus.data.parsing.parsed import Block, Parsed
from isthmus.data.passages import Passages, Snapshot
from isthmus.data.words import Words
from isthmus.labels import PUBLIC
from isthmus.principals import Principal
from isthmus.retrieval import dense, keyword
from isthmus.retrieval.fusion import fuse
from isthmus.retrieval.relevance import Relevance, measure
from isthmus.retrieval.scope import Scope, Scopes
from isthmus.retrieval.stopwords import STOPWORDS
from isthmus.seams import NewChunk, NewDocument

Embed = Callable[[Sequence[str]], Awaitable[np.ndarray]]
READER = Principal("benchmark", "benchmark")
SMALL, RIDGE, WEIGHT = 15, 0.1, 100.0

OFF_TOPIC = """
hi there | how are you today? | tell me a joke | what's the weather like in Berlin tomorrow | ok | thanks
who won the football match last night | write a poem about the sea | what is your favourite colour | sing me a song
asdf qwerty zxcv | lorem ipsum dolor sit amet | can you recommend a good pizza place | how do I bake sourdough bread
which film won the Oscar for best picture in 1994 | what is the capital of Mongolia | who painted the Mona Lisa
how tall is Mount Everest | when did the Berlin wall fall | what's the best way to train a puppy | play some jazz music
how do I change a bicycle tyre | translate good morning into Japanese | what time is it | do you dream
are you a human or a machine | blargh flump wibble | how many strings does a violin have | how do I knit a scarf
recipe for chicken curry with coconut milk | what are the rules of chess | who wrote Pride and Prejudice
how old is the universe | plan a three day trip to Lisbon | what does my horoscope say for Leo
which guitar should a beginner buy | how do I get red wine out of a carpet | why is the sky blue
what language do they speak in Brazil | tell me about the Roman emperor Nero | best hiking boots for winter
how do I say thank you in Polish | what is the airspeed of an unladen swallow | who is the president of France
Wie wird das Wetter morgen? | Erzähl mir einen Witz | Wie backe ich einen Apfelkuchen?
Wer hat die Fußballweltmeisterschaft 2014 gewonnen? | Was ist die Hauptstadt von Australien?
Kannst du mir ein Gedicht schreiben?
"""


@dataclass(frozen=True)
class Question:
    text: str
    answered_by: frozenset[str]


@dataclass(frozen=True)
class Case:
    """``own``: does the collection answer it? ``kind`` groups cases of equal weight."""

    collection: str
    kind: str
    own: bool
    features: tuple[float, float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data" / "rag")
    asyncio.run(_main(arguments.parse_args().data))


async def _main(data: Path) -> None:
    from isthmus import wiring
    from isthmus.config import load
    from isthmus.messages import EmbedRequest, Text

    async with wiring.embedder(*load()) as embedder:

        async def embed(texts: Sequence[str]) -> np.ndarray:
            parts = [texts[start : start + 32] for start in range(0, len(texts), 32)]
            requests = [
                EmbedRequest("benchmark", READER, embedder.card.id, tuple(Text(text, PUBLIC) for text in part))
                for part in parts
            ]
            return np.concatenate([(await embedder.embed(request)).vectors for request in requests])

        report(await cases(data, embed))


def report(made: list[Case]) -> None:
    names = sorted({case.collection for case in made})
    for left_out in names:
        model = fit([case for case in made if case.collection != left_out])
        print(f"\n{left_out}, from the others' coefficients {_rounded(model)}:")
        _measures(model, [case for case in made if case.collection == left_out])
    model = fit(made)
    print(f"\nall three: {_rounded(model)}; in the code: {_rounded(Relevance())}")
    _measures(model, made)


async def cases(data: Path, embed: Embed) -> list[Case]:
    """Every question against every collection, whole and small."""
    collections = {"cranfield": cranfield(data), "pubmedqa": pubmedqa(data), "financebench": financebench(data)}
    off_topic = [
        Question(text.strip(), frozenset()) for text in OFF_TOPIC.replace("\n", "|").split("|") if text.strip()
    ]
    asked = {name: questions for name, (_, questions) in collections.items()} | {"off topic": off_topic}
    vectors = {name: await embed([question.text for question in questions]) for name, questions in asked.items()}
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "relevance.db")
        for name, (documents, _) in collections.items():
            await _store(Documents(database), name, documents, embed)
        bench = _Bench(database)
        made = []
        for name, kind in product(collections, asked):
            made += bench.cases(name, kind, zip(asked[kind], vectors[kind], strict=True))
        database.close()
    return made


class _Bench:
    def __init__(self, database: Database) -> None:
        self.snapshot: Snapshot = (passages := Passages(database)).current()
        self.postings, self.words = keyword.Postings(passages), Words()
        self.ignored = frozenset(term for word in STOPWORDS for term in self.words.terms(word))
        self.sources = {found.source: found.collection for found in Documents(database).list()}
        with database.read() as connection:
            rows = connection.exec_driver_sql("SELECT number, source FROM documents").all()
        self.numbers = {source: number for number, source in rows}
        self.rng = np.random.default_rng(1)

    def cases(self, name: str, kind: str, asked: Iterable[tuple[Question, np.ndarray]]) -> Iterator[Case]:
        whole = Scopes().of(self.snapshot, READER, [name])
        own = kind == name
        for question, vector in asked:
            yield Case(name, f"{kind}, whole", own, self.features(whole, question.text, vector))
            yield Case(
                name, f"{kind}, small", own, self.features(self.small(whole, question, own), question.text, vector)
            )

    def small(self, whole: Scope, question: Question, own: bool) -> Scope:
        held = np.unique(self.snapshot.documents[whole.rows])
        answers = [self.numbers[source] for source in sorted(question.answered_by)[:6] if source in self.numbers]
        chosen = np.union1d(self.rng.choice(held, SMALL, replace=False), answers if own else [])
        mask = np.isin(self.snapshot.documents, chosen)
        return Scope(self.snapshot, np.flatnonzero(mask), mask)

    def features(self, scope: Scope, text: str, vector: np.ndarray) -> tuple[float, float]:
        terms = list(dict.fromkeys(self.words.terms(text)))
        terms = [term for term in terms if term not in self.ignored] or terms
        close, worded = dense.search(scope, vector, 100), keyword.search(scope, self.postings, terms, 100)
        evidence = measure(close, worded, fuse([close, worded.ranked], 16).rows, self.ignored)
        return evidence.cosine, evidence.coverage


def fit(made: Sequence[Case]) -> Relevance:
    """Logistic regression by Newton's method, ridge on the two slopes; each collection and kind weighs the same."""
    groups = [(case.collection, case.kind) for case in made]
    sides = {own: {group for group, case in zip(groups, made, strict=True) if case.own is own} for own in (True, False)}
    share = [WEIGHT / groups.count(group) / len(sides[case.own]) for group, case in zip(groups, made, strict=True)]
    x = np.array([[*case.features, 1.0] for case in made])
    y, weight = np.array([case.own for case in made], float), np.array(share)
    beta, ridge = np.zeros(3), RIDGE * np.diag([1.0, 1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        gradient = x.T @ (weight * (p - y)) + ridge @ beta
        hessian = (x.T * (weight * p * (1 - p))) @ x + ridge
        beta -= np.linalg.solve(hessian, gradient)
    return Relevance(*map(float, beta))


def _measures(model: Relevance, made: Sequence[Case]) -> None:
    bound = log(model.least / (1 - model.least))
    for kind in dict.fromkeys(case.kind for case in made):
        for own in (True, False):
            chosen = [case.features for case in made if case.kind == kind and case.own is own]
            if chosen:
                kept = sum(model.cosine * a + model.coverage * b + model.constant >= bound for a, b in chosen)
                print(f"  {'answerable' if own else 'off topic':>10}  {kind:<22} kept {_share(kept, len(chosen))}")


def _share(count: int, total: int) -> str:
    """With Wilson's 95 % interval."""
    p, z = count / total, 1.96
    middle, half = p + z * z / (2 * total), z * sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    low, high = ((middle + sign * half) / (1 + z * z / total) for sign in (-1, 1))
    return f"{p:.3f} ({low:.3f} to {high:.3f}) of {total}"


def _rounded(model: Relevance) -> tuple[float, float, float]:
    assert 0 < 1 / (1 + exp(-model.constant)) < 1
    return round(model.cosine, 2), round(model.coverage, 2), round(model.constant, 2)


async def _store(documents: Documents, name: str, texts: dict[str, str], embed: Embed) -> None:
    chunker = Chunker()
    cut = [
        (source, text, chunker.chunk(Parsed("", "", text, (Block(0, len(text)),)))) for source, text in texts.items()
    ]
    vectors = iter(await embed([chunk.text for _, _, chunks in cut for chunk in chunks]))
    for source, text, chunks in cut:
        made = tuple(NewChunk(one.text, one.start, one.end, None, (), PUBLIC, next(vectors)) for one in chunks)
        documents.put(NewDocument(name, source, "", "text/plain", "", text, PUBLIC, frozenset(), "", made))


def cranfield(data: Path) -> tuple[dict[str, str], list[Question]]:
    documents = {row["_id"]: row["text"] for row in _rows(data / "cranfield" / "corpus.jsonl") if row["text"].strip()}
    judged: dict[str, set[str]] = {}
    with (data / "cranfield" / "qrels.tsv").open(encoding="utf8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            judged.setdefault(row["query-id"], set()).add(row["corpus-id"])
    queries = _rows(data / "cranfield" / "queries.jsonl")
    return documents, [Question(row["text"], frozenset(judged.get(row["_id"], ()))) for row in queries]


def pubmedqa(data: Path) -> tuple[dict[str, str], list[Question]]:
    rows = list(_rows(data / "pubmedqa.jsonl"))
    documents = {f"pubmed {row['pmid']}": "\n".join(row["contexts"]) for row in rows}
    return documents, [Question(row["question"], frozenset({f"pubmed {row['pmid']}"})) for row in rows]


def financebench(data: Path) -> tuple[dict[str, str], list[Question]]:
    documents = {row["_id"]: row["text"] for row in _rows(data / "financebench" / "pages.jsonl")}
    questions = _rows(data / "financebench" / "questions.jsonl")
    return documents, [
        Question(row["question"], frozenset(page for page in documents if page.split("#")[0] == row["doc_name"]))
        for row in questions
    ]


def _rows(path: Path) -> Iterator[dict]:  # type: ignore[type-arg]
    with path.open(encoding="utf8") as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    main()
