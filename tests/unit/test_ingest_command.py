"""What the command line makes of its options, and how it reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from isthmus.cli.ingest import label_of, render, work_of
from isthmus.errors import DocumentRejected, InvalidRequest
from isthmus.labels import Label, Level
from isthmus.orchestration.ingest import FileResult, Report


def test_options_make_a_label() -> None:
    assert label_of("", None, None) is None
    assert label_of("restricted", ["health"], ["SE"]) == Label(
        Level.RESTRICTED, frozenset({"health"}), frozenset({"SE"})
    )
    assert label_of("", ["health"], None) == Label(Level.INTERNAL, frozenset({"health"}))
    with pytest.raises(InvalidRequest):
        label_of("secret", None, None)


@pytest.mark.parametrize(("paths", "collection", "manifest"), [([], "a", False), (["x"], "", False), (["x"], "", True)])
def test_options_that_say_too_little_or_too_much(paths: list[str], collection: str, manifest: bool) -> None:
    with pytest.raises(InvalidRequest):
        work_of([*map(Path, paths)], collection, None, frozenset(), Path("m.yaml") if manifest else None)


def test_the_report_names_what_failed_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    error = DocumentRejected("It is a scan.", hint="Run OCR.").as_dict()
    results = (
        FileResult("/f/a [b].md", "added", "doc_1", 3, Label(Level.INTERNAL)),
        FileResult("/f/b.pdf", "rejected", error=error),
        FileResult("/f/c.md", "unchanged", "doc_2"),
    )
    render(Console(width=200), Report(results))
    said = capsys.readouterr().out
    assert [
        line for line in ("/f/a [b].md  (3 chunks, internal)", "It is a scan.", "Run OCR.") if line not in said
    ] == []
    assert "/f/c.md" not in said
    assert "1 added, 1 unchanged, 1 rejected, 3 chunks" in said


def test_one_chunk_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    render(Console(width=200), Report((FileResult("/f/a.md", "added", "doc_1", 1, Label(Level.INTERNAL)),)))
    assert capsys.readouterr().out.split("/f/a.md")[1] == "  (1 chunk, internal)\n1 added, 1 chunk\n"
