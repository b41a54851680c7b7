"""Retrieval over a real store: what is found, by whom, from which collection, and what happens with odd questions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus.data.database import Database
from isthmus.data.documents import Documents
from isthmus.errors import InvalidRequest, StoreUnavailable
from isthmus.labels import INTERNAL, Label, Level
from isthmus.messages import Text
from isthmus.principals import Principal
from isthmus.retrieval import dense
from isthmus.retrieval.evaluate import Evaluation, read
from isthmus.retrieval.fusion import distinct, fuse
from isthmus.retrieval.metrics import average_precision, interval, ndcg, recall, summary
from isthmus.retrieval.scope import Ranked, Scopes
from isthmus.seams import Retrieval
from unit.retrieval_fixtures import ANN, BEN, Store, document, store

SECRET = Label(Level.CONFIDENTIAL)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Store]:
    with store(tmp_path / "isthmus.db") as opened:
        put = opened.documents.put
        put(document("leave", "Employees have 28 days of paid holiday.", "Unused holiday lapses in March."))
        put(document("travel", "Train tickets are reimbursed within a month."))
        put(document("deal", "The board buys Northwind Robotics.", groups=frozenset({"board"}), label=SECRET))
        put(document("pump", "The pump moves 200 litres a minute.", collection="products"))
        yield opened


async def ask(held: Store, question: str, who: Principal = BEN, *collections: str, limit: int = 4) -> Retrieval:
    return await held.retriever.retrieve(
        Text(question, INTERNAL), who, collections=collections, limit=limit, purpose="p"
    )


async def test_the_best_passage_comes_first_with_all_that_a_citation_needs(held: Store):
    found = await ask(held, "How many days of paid holiday?")
    assert found.relevant
    first = found.passages[0]
    assert (first.source, first.collection, first.text) == (
        "leave",
        "handbook",
        "Employees have 28 days of paid holiday.",
    )
    assert held.documents.text(first.document, BEN)[first.start : first.end] == first.text
    assert [passage.score for passage in found.passages] == sorted((p.score for p in found.passages), reverse=True)


async def test_a_passage_keeps_its_label_and_goes_only_to_its_readers(held: Store):
    assert "deal" not in {passage.source for passage in (await ask(held, "Northwind Robotics board", BEN)).passages}
    best = (await ask(held, "Northwind Robotics board", ANN)).passages[0]
    assert (best.source, best.label) == ("deal", SECRET)


async def test_readers_that_change_are_seen_at_the_next_question(held: Store):
    held.documents.put(
        document("deal", "The board buys Northwind Robotics.", groups=frozenset({"other"}), label=SECRET)
    )
    assert "deal" not in {passage.source for passage in (await ask(held, "Northwind", ANN)).passages}


async def test_only_the_collections_named_are_searched(held: Store):
    assert {passage.source for passage in (await ask(held, "holiday pump", BEN, "products")).passages} == {"pump"}
    assert (await ask(held, "holiday pump", BEN, "nowhere")) == Retrieval(
        (), False, "There is no document here that you may read."
    )


async def test_the_question_is_embedded_as_the_principal_s_text_with_its_label(held: Store):
    await held.retriever.retrieve(Text("a question", SECRET), ANN, collections=(), limit=1, purpose="support")
    request = held.embedder.asked[-1]
    assert (request.principal, request.label, request.purpose, request.kind) == (ANN, SECRET, "support", "query")


async def test_what_nothing_is_close_to_is_not_relevant_and_the_reason_has_the_scores(held: Store):
    found = await ask(held, "zebra quantum chromodynamics")
    assert not found.relevant
    assert "cosine" in found.reason


@pytest.mark.parametrize(
    "question",
    ['"', "a AND", "NEAR(a b", "holiday*", "text:holiday", "'; DROP TABLE chunks; --", "(((", "-holiday",
     "\0holiday", "\ud800", "🦓", "日本語", "[1] {x}", "the of and",
     "holiday " * 5000, " ".join(f"w{n}" for n in range(5000))],
)  # fmt: skip
async def test_no_question_breaks_the_search(held: Store, question: str):
    found = await ask(held, question)
    assert len(found.passages) <= 4
    assert len(held.documents.list()) == 4


async def test_an_empty_question_asks_no_embedder(held: Store):
    assert not (await ask(held, " \n")).relevant
    assert held.embedder.asked == []


async def test_vectors_of_another_embedder_are_an_error_not_nonsense(tmp_path: Path):
    with store(tmp_path / "isthmus.db") as held:
        whole = document("a", "text")
        held.documents.put(replace(whole, chunks=(replace(whole.chunks[0], vector=np.ones(3, np.float32)),)))
        with pytest.raises(StoreUnavailable, match="not this embedder's"):
            await ask(held, "text")


async def test_passages_that_say_the_same_come_once_and_a_different_figure_is_another_fact(held: Store):
    for source, text in (("a", "The fee is 40 euros."), ("b", "the FEE is 40 euros"), ("c", "The fee is 45 euros.")):
        held.documents.put(document(source, text, collection="fees"))
    found = await ask(held, "What is the fee in euros?", BEN, "fees")
    assert sorted(passage.source for passage in found.passages) == ["a", "c"]


async def test_dense_search_is_exact_under_any_filter(tmp_path: Path):
    rng = np.random.default_rng(3)
    with store(tmp_path / "isthmus.db") as held:
        for number in range(70):
            name = f"g{number % 7}"
            held.documents.put(document(f"d{number}", f"text {number} {rng.random()}", groups=frozenset({name})))
        snapshot = held.passages.current()
        query = rng.standard_normal(256).astype(np.float32)
        query /= np.linalg.norm(query)
        for groups in ({"g1"}, {"g1", "g2"}, {f"g{n}" for n in range(7)}):
            who = Principal("key", "who", groups=frozenset(groups))
            scope = Scopes().of(snapshot, who, ())
            allowed = [row for row in range(70) if f"g{row % 7}" in groups]
            wanted = sorted(allowed, key=lambda row: -float(snapshot.vectors[row] @ query))[:10]
            assert dense.search(scope, query, 10).rows.tolist() == wanted


def test_fusion_prefers_what_both_rankings_have():
    one = Ranked(np.array([5, 7, 9]), np.array([3.0, 2.0, 1.0]))
    two = Ranked(np.array([9, 1]), np.array([8.0, 7.0]))
    fused = fuse([one, two], 10)
    assert fused.rows.tolist() == [9, 5, 1, 7]
    assert fused.scores[0] == pytest.approx(1 / 63 + 1 / 61)
    assert distinct([], 3) == ()


def test_measures_against_values_worked_by_hand():
    gains = {"a": 3.0, "b": 1.0, "c": 2.0, "x": 0.0}
    assert ndcg(["a", "c", "b"], gains) == pytest.approx(1.0)
    assert ndcg(["b", "x", "a"], gains) == pytest.approx((1 + 3 / 2) / (3 + 2 / np.log2(3) + 1 / 2))
    assert average_precision(["b", "x", "a"], gains) == pytest.approx((1 + 2 / 3) / 3)
    assert recall(["b", "x", "a"], gains) == pytest.approx(2 / 3)
    assert ndcg([], {}) == average_precision([], {}) == recall([], {}) == 0.0
    low, high = interval(np.array([0.0, 1.0] * 50))
    assert low < 0.5 < high
    assert summary({"q": ["a"]}, {"q": {"a": 1.0}, "missing": {"a": 1.0}})["map"] == 0.5


CORPUS = """{"_id": "d1", "title": "Pumps", "text": "A pump moves water."}
{"_id": "d2", "text": "Trains move people.\u2028"}
"""
QUERIES = '{"_id": 1, "text": "what moves water"}\n{"_id": 2, "text": "not judged"}\n'
QRELS = "query-id\tcorpus-id\tscore\n1\td1\t2\n9\td1\t1\n"


def files(folder: Path, corpus: str = CORPUS, queries: str = QUERIES, qrels: str = QRELS) -> tuple[Path, Path, Path]:
    paths = folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels.tsv"
    for path, text in zip(paths, (corpus, queries, qrels), strict=True):
        path.write_text(text, encoding="utf8")
    return paths


async def test_an_evaluation_goes_through_the_same_store_and_retriever(tmp_path: Path, held: Store):
    trial = read(*files(tmp_path))
    database = Database(tmp_path / "temporary.db")
    work = Evaluation(Documents(database), held.embedder, BEN, INTERNAL)
    told: list[tuple[int, int]] = []
    await work.store(trial, lambda *counts: told.append(counts))
    retriever = type(held.retriever)(type(held.passages)(database), held.embedder)
    rankings = await work.rank(trial, retriever, lambda *counts: told.append(counts))
    database.close()
    assert rankings["1"][0] == "d1"
    assert summary(rankings, trial.judgements)["ndcg@10"] == 1.0
    assert told == [(1, 2), (2, 2), (1, 1)]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"corpus": '{"_id": "d1"}'}, "line 1"),
        ({"queries": "not json"}, "line 1"),
        ({"qrels": "head\n1 d1 1"}, "line 2"),
        ({"qrels": "head\n7\td1\t1"}, "judges none"),
    ],
)
def test_a_trial_that_cannot_be_read_says_where(tmp_path: Path, broken: dict[str, str], says: str):
    with pytest.raises(InvalidRequest, match=says):
        read(*files(tmp_path, **broken))


def test_a_missing_file_is_said(tmp_path: Path):
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read(tmp_path / "none", tmp_path / "none", tmp_path / "none")


def test_nothing_heavy_is_imported_for_retrieval():
    code = "import sys, isthmus.retrieval.retriever; print({'onnxruntime', 'alembic', 'chonkie'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
