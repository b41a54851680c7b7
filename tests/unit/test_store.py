"""Documents in the store: readers, replacement, deletes that finish, views that follow other processes."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus.data import migrations
from isthmus.data.database import Database, advance, version
from isthmus.data.documents import Documents
from isthmus.data.passages import Passages
from isthmus.data.tables import TOKENIZER
from isthmus.data.words import Words
from isthmus.errors import DocumentRejected, NotFound, StoreUnavailable
from isthmus.labels import Label, Level
from isthmus.principals import Principal
from isthmus.seams import NewChunk
from unit.retrieval_fixtures import ANN, BEN, EVE, Store, document, store, vector

BOARD = frozenset({"board"})
SECRET = Label(Level.CONFIDENTIAL, frozenset({"finance"}), frozenset({"DE"}), frozenset({"own"}))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Store]:
    with store(tmp_path / "home" / "isthmus.db") as opened:
        yield opened


def test_only_the_owner_of_the_home_folder_can_read_the_file(held: Store):
    held.documents.put(document("a", "text"))
    files = list(held.database.path.parent.iterdir())
    assert {path.name for path in files} == {"isthmus.db", "isthmus.db-wal", "isthmus.db-shm"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert stat.S_IMODE(held.database.path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path):
    path = tmp_path / "isthmus.db"
    path.touch()
    path.chmod(0o644)
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_document_comes_back_as_it_was(held: Store):
    put = document("a.md", "one", "two", groups=BOARD, label=SECRET, owner="key_x")
    identity = held.documents.put(put)
    found = held.documents.find("handbook", "a.md")
    assert found is not None
    assert (found.id, found.label, found.groups, found.owner, found.chunks) == (identity, SECRET, BOARD, "key_x", 2)
    assert found.added.utcoffset() is not None
    assert held.documents.text(identity, ANN) == "one\ntwo"
    assert held.documents.find("handbook", "b.md") is None


@pytest.mark.parametrize(
    ("groups", "owner", "who", "may"),
    [
        (frozenset(), "", EVE, True),
        (BOARD, "", ANN, True),
        (BOARD, "", BEN, False),
        (BOARD, "", EVE, False),  # no role is a way around
        (BOARD, "key_ben", BEN, True),
        (BOARD, "", Principal("", "nobody"), False),  # a document without an owner is not everyone's
        (frozenset({"board", "staff"}), "", BEN, True),
    ],
)
def test_who_may_read(held: Store, groups: frozenset[str], owner: str, who: Principal, may: bool):
    identity = held.documents.put(document("a", "the plan", groups=groups, owner=owner))
    number = int(held.passages.current().numbers[0])
    assert bool(held.documents.list(who)) is may
    assert bool(held.passages.read([number], who)) is may
    if may:
        assert held.documents.text(identity, who) == "the plan"
    else:
        with pytest.raises(NotFound) as refused:
            held.documents.text(identity, who)
        with pytest.raises(NotFound) as unknown:
            held.documents.text("doc_none", who)
        assert refused.value.message.replace(identity, "doc_none") == unknown.value.message


def test_the_same_source_is_replaced_whole_and_keeps_its_id(held: Store):
    first = held.documents.put(document("a", "old words here", "more of the old", groups=BOARD))
    before = held.passages.current().numbers.tolist()
    assert held.documents.put(document("a", "new")) == first
    assert held.documents.text(first, BEN) == "new"
    assert len(held.documents.list()) == 1
    assert held.passages.occurrences("old").tolist() == []
    assert not set(held.passages.current().numbers.tolist()) & set(before)  # a number never comes to mean another text


def test_what_is_deleted_is_gone_from_every_file(held: Store):
    held.documents.put(document("keep", "ordinary words"))
    gone = held.documents.put(document("a", "the codeword is brennholtz", "and zwieback", owner="key_zwiebackowner"))
    assert held.passages.occurrences("brennholtz").size == 1
    assert held.documents.delete(gone)
    assert not held.documents.delete(gone)
    held.documents.purge()
    held.database.close()
    for path in held.database.path.parent.iterdir():
        content = path.read_bytes()
        for trace in (b"brennholtz", b"zwieback", gone.encode(), vector("the codeword is brennholtz").tobytes()):
            assert trace not in content
        assert b"ordinary words" in content


def test_another_process_s_documents_are_seen_and_only_new_rows_are_read(held: Store):
    held.documents.put(document("a", "one", "two"))
    first = held.passages.current()
    other = Database(held.database.path)
    Documents(other).put(document("b", "three"))
    Documents(other).put(document("a", "one again"))
    second = held.passages.current()
    fresh = Passages(other).current()
    other.close()
    assert len(first.numbers) == 2
    for name in ("numbers", "documents", "words", "vectors"):
        np.testing.assert_array_equal(getattr(second, name), getattr(fresh, name))
    assert second.access == fresh.access
    assert held.passages.current() is second


def test_writers_in_turn_each_see_what_the_one_before_wrote(held: Store):
    def count() -> None:
        with held.database.write() as connection:
            version(connection, "documents")
            advance(connection, "documents")

    with ThreadPoolExecutor(1) as pool:
        with held.database.write() as connection:
            version(connection, "documents")  # a view that would be too old to write on, had the other one got between
            other = pool.submit(count)
            wait([other], timeout=0.3)
            advance(connection, "documents")
        other.result()
    assert held.database.version("documents") == 2


def test_an_empty_store_and_a_store_emptied_again(held: Store):
    assert len(held.passages.current().rows(np.array([1, 2]))) == 0
    held.documents.delete(held.documents.put(document("a", "one")))
    assert held.passages.current().vectors.shape[0] == 0
    held.documents.put(document("b", "two"))
    assert held.passages.current().vectors.shape[0] == 1


def test_vectors_of_another_embedder_are_refused_and_nothing_is_stored(held: Store):
    held.documents.put(document("a", "one"))
    other = document("b", "two")
    short = NewChunk("two", 0, 3, None, (), other.label, np.ones(3, np.float32))
    with pytest.raises(DocumentRejected, match="256 dimensions"):
        held.documents.put(replace(other, chunks=(short,)))
    assert [found.source for found in held.documents.list()] == ["a"]


def test_text_that_is_not_unicode_is_refused(held: Store):
    with pytest.raises(DocumentRejected, match="Unicode"):
        held.documents.put(document("a", "half a \ud800 pair"))
    assert held.documents.list() == []


def test_terms_are_cut_as_the_index_cut_them(held: Store):
    texts = [
        "Companies' REVENUES, café Straße naïve",
        "runs: 3.14 x_y a-b 日本語 ﬁne İstanbul",
        "it''s \"quoted\" AND NOT NEAR(x)",
    ]
    held.documents.put(document("a", *texts))
    words = Words()
    for number, text in zip(held.passages.current().numbers, texts, strict=True):
        assert words.terms(text)
        assert all(number in held.passages.occurrences(term) for term in words.terms(text))
    words.close()


def test_the_tokenizer_in_the_schema_is_the_one_that_cuts_questions(held: Store):
    with sqlite3.connect(held.database.path) as raw:
        (sql,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'chunk_words'").fetchone()
    raw.close()
    assert TOKENIZER in sql


def test_the_last_revision_is_the_one_the_program_works_with(held: Store):
    versions = sorted(path.name for path in Path(migrations.__file__).parent.glob("versions/r*.py"))
    assert versions[-1].startswith(f"r{migrations.HEAD}_")
    with held.database.read() as connection:
        assert migrations.revision(connection) == migrations.HEAD


def test_a_database_of_a_newer_isthmus_is_refused(tmp_path: Path):
    path = tmp_path / "isthmus.db"
    Database(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StoreUnavailable, match="newer version"):
        Database(path)


def test_migrations_do_not_need_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Database(tmp_path / "100% full" / "isthmus.db").close()
    assert os.listdir(tmp_path) == ["100% full"]
