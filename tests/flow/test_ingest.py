"""Files into a real store, through a real parsing process."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from flow.ingest_fixtures import CURATOR, Bench, spec_of, statuses
from isthmus.config import CollectionSettings, KnowledgeSettings, LabelSettings
from isthmus.errors import AuditUnavailable, Forbidden, InvalidRequest
from isthmus.governance.audit.commitments import commitment
from isthmus.labels import Label, Level
from isthmus.orchestration.ingest import Spec
from isthmus.orchestration.manifest import load

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "organisation"
DOCS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "docs"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.reader.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.md").write_text("# Leave\n\n27 days of holiday.")
    (folder / "inner" / "b.txt").write_text("The gateway is called Kattegat.")
    (folder / ".hidden.txt").write_text("not read")
    (folder / "~$a.docx").write_text("not read")
    return folder


def on_disk(home: Path) -> bytes:
    """Every byte of the database, its log included."""
    return b"".join(path.read_bytes() for path in home.glob("isthmus.db*"))


async def test_a_folder_goes_in_and_again_only_what_changed(bench: Bench, folder: Path) -> None:
    assert statuses(await bench.run(folder)) == {"a.md": "added", "b.txt": "added"}
    assert bench.documents.find("handbook", str(folder / "a.md")).title == "Leave"  # type: ignore[union-attr]
    embedded = len(bench.embedder.requests)
    (folder / "a.md").write_text("# Leave\n\n28 days of holiday.")
    (folder / "c.csv").write_text("Town,People,Year\nYstad,340,2026\n")
    report = await bench.run(folder)
    assert statuses(report) == {"a.md": "updated", "b.txt": "unchanged", "c.csv": "added"}
    assert len(bench.embedder.requests) == embedded + 2
    assert not report.failed


async def test_what_has_gone_is_deleted_to_the_last_word(bench: Bench, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "docs2"
    other.mkdir()
    (other / "inner.txt").write_text("stays")
    await bench.run(folder, other)
    (folder / "inner" / "b.txt").unlink()
    assert statuses(await bench.run(folder))["b.txt"] == "deleted"
    assert sorted(bench.sources()) == ["a.md", "inner.txt"]
    with sqlite3.connect(tmp_path / "isthmus.db") as database:
        assert database.execute("SELECT count(*) FROM chunks WHERE text LIKE '%Kattegat%'").fetchone() == (0,)
    database.close()
    assert b"attegat" not in on_disk(tmp_path)


async def test_a_folder_that_is_away_deletes_nothing(bench: Bench, folder: Path) -> None:
    await bench.run(folder)
    os.rename(folder, folder.with_name("elsewhere"))
    report = await bench.run(folder)
    assert report.count("deleted") == 0
    assert report.failed
    assert sorted(bench.sources()) == ["a.md", "b.txt"]


async def test_links_are_followed_within_the_folder_only(bench: Bench, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("canary outside")
    (folder / "out.txt").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    (folder / "in.txt").symlink_to(folder / "a.md")
    (folder / "dangling.txt").symlink_to(tmp_path / "nowhere")
    report = await bench.run(folder)
    found = statuses(report)
    assert found["out.txt"] == found["up"] == found["dangling.txt"] == "skipped"
    assert found["in.txt"] == "added"
    assert "not followed" in str(next(r.error for r in report.results if r.source.endswith("out.txt"))["message"])
    assert "canary" not in "".join(bench.documents.text(d.id, CURATOR) for d in bench.documents.list())


async def test_a_name_that_is_not_utf8_stops_nothing(bench: Bench, folder: Path) -> None:
    try:
        os.close(os.open(os.path.join(os.fsencode(folder), b"caf\xe9.txt"), os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("NOT RUN: this file system wants UTF-8 names")
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("coffee")
    report = await bench.run(folder)
    assert statuses(report) == {"a.md": "added", "b.txt": "added", "caf\\xe9.txt": "added"}


async def test_pipes_and_large_files_are_rejected_and_the_rest_goes_on(tmp_path: Path, folder: Path) -> None:
    bench = Bench(tmp_path, KnowledgeSettings(max_file_bytes=1000))
    os.mkfifo(folder / "0-pipe.txt")
    (folder / "1-large.txt").write_text("word " * 1000)
    (folder / "2-random.bin").write_bytes(bytes(range(256)) * 3)
    report = await bench.run(folder)
    await bench.reader.stop()
    assert statuses(report) == {
        "0-pipe.txt": "rejected", "1-large.txt": "rejected", "2-random.bin": "rejected",
        "a.md": "added", "b.txt": "added",
    }  # fmt: skip
    assert all(result.error["message"] and result.error["hint"] for result in report.results if result.error)
    assert report.failed


async def test_labels_join_and_only_climb(tmp_path: Path, folder: Path) -> None:
    collection = CollectionSettings(label=LabelSettings(level="internal", residency=["SE", "DE"]), groups=["staff"])
    bench = Bench(tmp_path, KnowledgeSettings(collections={"handbook": collection}))
    bench.guard.raises = {
        "Kattegat": Label(Level.RESTRICTED, frozenset({"secret"})),
        "Leave": Label(Level.CONFIDENTIAL),
    }
    report = await bench.run(folder, spec=spec_of(Level.PUBLIC))
    await bench.reader.stop()
    stored = bench.documents.find("handbook", str(folder / "inner" / "b.txt"))
    assert stored is not None
    assert stored.label == Label(Level.INTERNAL, residency=frozenset({"SE", "DE"}))
    assert stored.groups == frozenset({"staff"})
    by_name = {Path(result.source).name: result.label for result in report.results}
    assert by_name["b.txt"] == Label(Level.RESTRICTED, frozenset({"secret"}), frozenset({"SE", "DE"}))
    assert by_name["a.md"] is not None
    assert by_name["a.md"].level == Level.CONFIDENTIAL
    assert {text.label.level for request in bench.embedder.requests for text in request.texts} == {
        Level.RESTRICTED,
        Level.CONFIDENTIAL,
    }


async def test_a_title_that_gives_it_away_raises_every_chunk(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "long.md").write_text("# Heron\n\n" + "\n\n".join(f"## Part {n}\n\n" + "word " * 150 for n in range(3)))
    bench.guard.raises = {"Heron": Label(Level.RESTRICTED)}
    await bench.run(tmp_path / "long.md", spec=spec_of(Level.PUBLIC))
    labels = [text.label.level for request in bench.embedder.requests for text in request.texts]
    assert len(labels) > 2
    assert set(labels) == {Level.RESTRICTED}


async def test_a_label_or_reader_that_changes_reaches_the_store(bench: Bench, folder: Path) -> None:
    await bench.run(folder)
    report = await bench.run(folder, spec=spec_of(Level.CONFIDENTIAL, groups=frozenset({"board"})))
    assert report.count("updated") == 2
    assert {document.label.level for document in bench.documents.list()} == {Level.CONFIDENTIAL}
    assert {document.groups for document in bench.documents.list()} == {frozenset({"board"})}


async def test_a_guard_that_is_away_stops_that_file_only(bench: Bench, folder: Path) -> None:
    bench.guard.fails = "Kattegat"
    report = await bench.run(folder)
    assert statuses(report) == {"a.md": "added", "b.txt": "rejected"}
    assert report.results[1].error["code"] == "guard_unavailable"
    assert bench.sources() == ["a.md"]


async def test_a_version_that_may_no_longer_stand_is_withdrawn(bench: Bench, folder: Path) -> None:
    await bench.run(folder)
    (folder / "a.md").write_bytes(b"\0\1\2" * 300)
    bench.guard.fails = "Kattegat"
    report = await bench.run(folder, spec=spec_of(Level.RESTRICTED))
    assert statuses(report) == {"a.md": "rejected", "b.txt": "rejected"}
    assert bench.sources() == []
    assert all("deleted" in result.notes[0] for result in report.results)


async def test_an_outage_leaves_what_is_stored(bench: Bench, folder: Path) -> None:
    await bench.run(folder)
    (folder / "inner" / "b.txt").write_text("Kattegat has changed.")
    bench.guard.fails = "Kattegat"
    assert statuses(await bench.run(folder))["b.txt"] == "rejected"
    assert bench.sources() == ["a.md", "b.txt"]


async def test_a_blocked_file_is_not_stored(bench: Bench, folder: Path) -> None:
    bench.guard.blocks = "Kattegat"
    report = await bench.run(folder)
    assert report.results[1].error["code"] == "guard_blocked"
    assert bench.sources() == ["a.md"]


async def test_what_cannot_be_recorded_is_not_stored(bench: Bench, folder: Path) -> None:
    bench.log.broken = True
    with pytest.raises(AuditUnavailable):
        await bench.run(folder)
    assert bench.sources() == []
    bench.log.broken = False
    await bench.run(folder)
    bench.log.broken = True
    (folder / "a.md").unlink()
    with pytest.raises(AuditUnavailable):
        await bench.run(folder)
    assert bench.sources() == ["a.md", "b.txt"]


async def test_the_record_has_intents_first_and_no_content(bench: Bench, folder: Path) -> None:
    await bench.run(folder)
    (folder / "a.md").unlink()
    await bench.run(folder)
    assert bench.log.types() == [
        "document.intent", "document.added", "document.intent", "document.added", "ingest.finished",
        "document.intent", "document.deleted", "ingest.finished",
    ]  # fmt: skip
    assert all(e["flushed"] for e in bench.log.events if e["type"] in ("document.intent", "ingest.finished"))
    told = str(bench.log.events)
    assert not [word for word in ("a.md", "docs", "Leave", "holiday", "Kattegat") if word in told]


async def test_a_document_is_named_by_commitments_that_its_owner_can_open(bench: Bench, folder: Path) -> None:
    await bench.run(folder)
    (folder / "a.md").write_text("Leave is thirty days now.", encoding="utf8")
    await bench.run(folder)
    intents = [event for event in bench.log.events if event["type"] == "document.intent"]
    source = bench.documents.list()[0].source
    salt = bench.vault.salt(CURATOR.id, f"document/handbook/{source}")
    assert salt is not None
    assert [event["source"] == commitment(salt, source) for event in intents] == [True, False, True]
    assert intents[0]["digest"] != intents[2]["digest"]


async def test_only_a_curator_and_no_wider_groups(tmp_path: Path, folder: Path) -> None:
    narrow = CollectionSettings(groups=["staff", "board"])
    bench = Bench(tmp_path, KnowledgeSettings(collections={"handbook": narrow}))
    user = replace(CURATOR, roles=frozenset({"user", "admin"}))
    with pytest.raises(Forbidden):
        await bench.run(folder, spec=Spec("handbook", user))
    with pytest.raises(InvalidRequest):
        await bench.run(folder, spec=spec_of(groups=frozenset({"guests"})))
    assert bench.sources() == []


async def test_progress_names_each_file_before_it_is_read(bench: Bench, folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    await bench.ingest.ingest(
        [folder], spec_of(), lambda source, done, total: told.append((Path(source).name, done, total))
    )
    assert told == [("a.md", 0, 2), ("b.txt", 1, 2)]


async def test_the_example_organisation_goes_in_by_its_manifest(bench: Bench) -> None:
    for paths, spec in load(EXAMPLES / "manifest.yaml", CURATOR):
        report = await bench.ingest.ingest(paths, spec)
        assert report.count("added") == len(paths), report
    stored = {Path(document.source).name: document for document in bench.documents.list()}
    assert len(stored) == 15
    assert stored["memo-heron.docx"].label == Label(Level.CONFIDENTIAL)
    assert stored["memo-heron.docx"].groups == frozenset({"management"})
    assert stored["clinic-letter.docx"].label.residency == frozenset({"SE"})
    assert stored["betriebsvereinbarung-mobile-arbeit.pdf"].title == "Betriebsvereinbarung Mobile Arbeit"
    chunks = [text for request in bench.embedder.requests for text in request.texts]
    assert any("Part: SP-113; Name: Lamp module" in text.text for text in chunks)
    assert any("84 million kronor" in text.text and "3 million" in text.text for text in chunks)


@pytest.mark.parametrize(
    "text", ["documents: [{path: ../x, collection: a, level: public}]", "documents: 3", "[", "documents: [{path: x}]"]
)
def test_a_manifest_that_reaches_out_or_is_wrong_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text(text)
    with pytest.raises(InvalidRequest):
        load(tmp_path / "manifest.yaml", CURATOR)


@pytest.mark.skipif(not DOCS.is_dir(), reason=f"NOT RUN: the shared documents are not at {DOCS}")
async def test_bad_files_stop_none_of_the_others(bench: Bench) -> None:
    report = await bench.run(DOCS / "bad")
    assert {name for name, status in statuses(report).items() if status == "rejected"} == {
        "MEDRPT-2024-PAT-3847_medical_report_scan.pdf", "empty.pdf", "ocr_test_rotated_180.pdf", "random.bin",
        "truncated.pdf",
    }  # fmt: skip
    assert report.count("added") == 8
