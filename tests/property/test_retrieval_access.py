"""What one may not read does not exist: it changes no score, no order and no word of a retrieval."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.labels import INTERNAL
from isthmus.messages import Text
from isthmus.retrieval import keyword
from isthmus.retrieval.scope import Scopes
from isthmus.seams import Retrieval
from unit.retrieval_fixtures import BEN, document, store

WORDS = ["pump", "holiday", "contract", "zebra", "flow", "salary", "board", "price", "42"]
sentence = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
readable = st.lists(sentence, min_size=0, max_size=5)
forbidden = st.lists(sentence, min_size=1, max_size=8)


def found(folder: Path, own: list[str], others: list[str], question: str) -> tuple[Retrieval, list[float]]:
    with store(folder / "isthmus.db") as held:
        for number, text in enumerate(others):
            if number % 2:
                held.documents.put(document(f"other{number}", text, groups=frozenset({"board"}), owner="key_ann"))
        for number, text in enumerate(own):
            held.documents.put(
                document(f"own{number}", text, groups=frozenset({"staff"}) if number % 2 else frozenset())
            )
        for number, text in enumerate(others):
            if not number % 2:
                held.documents.put(document(f"other{number}", text, groups=frozenset({"board"}), owner="key_ann"))
        scope = Scopes().of(held.passages.current(), BEN, ())
        scores = keyword.search(scope, keyword.Postings(held.passages), question.split(), 10).ranked.scores.tolist()
        return asyncio.run(held.retriever.retrieve(Text(question, INTERNAL), BEN, collections=(), limit=10)), scores


@settings(max_examples=12, deadline=None)
@given(readable, forbidden, sentence)
def test_documents_of_others_change_nothing(own: list[str], others: list[str], question: str):
    with TemporaryDirectory() as without, TemporaryDirectory() as with_others:
        alone, alone_scores = found(Path(without), own, [], question)
        among, among_scores = found(Path(with_others), own, others, question)
    seen = [[(passage.source, passage.text, passage.score) for passage in result.passages] for result in (alone, among)]
    assert seen[0] == seen[1]
    assert alone_scores == among_scores
    assert (alone.relevant, alone.reason) == (among.relevant, among.reason)
