"""Which files are found, what may be deleted, and what the command line makes of its options."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.console import Console

from isthmus.cli.ingest import label_of, render, work_of
from isthmus.data.files import Found, Root, explore, gone, read
from isthmus.errors import DocumentRejected, InvalidRequest
from isthmus.labels import Label, Level
from isthmus.orchestration.ingest import FileResult, Report


def test_the_order_is_fixed(tmp_path: Path) -> None:
    for name in ("b/2.txt", "a/1.txt", "c.txt", "a/0.txt", "B.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = [str(Path(one.source).relative_to(tmp_path.resolve())) for one in explore(tmp_path).found]
    assert found == ["B.txt", "c.txt", "a/0.txt", "a/1.txt", "b/2.txt"]


def test_a_name_that_is_not_utf8_becomes_valid_text(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt")
    try:
        with open(path, "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("NOT RUN: this file system wants UTF-8 names")
    (found,) = explore(tmp_path).found
    assert found.source.encode("utf8").endswith(b"caf\\xe9.txt")
    assert read(found.path, 10) == b"x"


def test_only_what_is_seen_to_be_gone_is_gone() -> None:
    found = (Found(Path("/f/a"), "/f/a"), Found(Path("/f/locked"), "/f/locked", "The folder cannot be read."))
    stored = ["/f/a", "/f/b", "/f/locked/c", "/f2/d", "/f"]
    assert gone(Root("/f", True, found), stored) == ["/f/b"]
    assert gone(Root("/f", False, found), stored) == []


def test_a_link_put_in_place_of_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    (tmp_path / "a.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(DocumentRejected):
        read(tmp_path / "a.txt", 100)


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
