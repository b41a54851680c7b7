"""Every file of the shared document set: text comes out of the good ones, a clear word out of the bad."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.data.parsing.parsed import Parsed
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import Parsers
from isthmus.errors import DocumentRejected

DOCS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason=f"NOT RUN: the shared documents are not at {DOCS}")
PARSERS = Parsers.installed()
#: Old formats that are refused, with what the refusal must name.
REFUSED = {"legacy_sample.doc": "DOCX", "legacy_sample.ppt": "PPTX", "test.xls": "XLSX"}
GOOD = sorted(path.name for path in (DOCS / "good").glob("*") if not path.name.endswith(".expected.md"))
EXPECTED = sorted(path.name.removesuffix(".expected.md") for path in (DOCS / "good").glob("*.expected.md"))


def parse(path: Path) -> Parsed:
    return PARSERS.parse(Raw(path.read_bytes(), path.name))


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{2,}", text.lower()))


@pytest.mark.parametrize("name", GOOD)
def test_good_files_give_text_or_a_clear_word(name: str) -> None:
    if name in REFUSED:
        with pytest.raises(DocumentRejected) as caught:
            parse(DOCS / "good" / name)
        assert REFUSED[name] in caught.value.hint
        return
    parsed = parse(DOCS / "good" / name)
    assert len(parsed.text) > 30
    assert parsed.title
    covered = "".join(parsed.text[block.start : block.end] for block in parsed.blocks)
    assert "".join(covered.split()) == "".join(parsed.text.split())


@pytest.mark.parametrize("name", EXPECTED)
def test_pdfs_hold_the_words_that_people_read_in_them(name: str) -> None:
    expected = words((DOCS / "good" / f"{name}.expected.md").read_text(encoding="utf8"))
    found = words(parse(DOCS / "good" / name).text)
    assert len(expected & found) / len(expected) > 0.97


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("csv-semicolon.csv", ["First Name: Sheryl; Last Name: Baxter"]),
        ("equations.docx", ["The angle is", "sin45.0"]),
        ("html_rich_table_cells.html", ["Name: Wood Duck", "Basic duck facts"]),
        ("nested.md", ["abcd12345"]),
        ("normal_4pages.pdf", ["코로나바이러스감염"]),
        ("odf_table_with_title_01.ods", ["Year: 2019; Freshwater Ducks: 120"]),
        ("pntd.0008301.nxml", ["lymphatic filariasis"]),
        ("powerpoint_with_image.pptx", ["Docling"]),
        ("right_to_left_01.pdf", ["البرمجة"]),
        ("test.json", ["key3[0]: list_value1"]),
        ("test.pptx", ["ColA: 1; ColB: 2", "a3f6004b-6f4f-4ea8-bee3-3741f4dc385f", "2003"]),
        ("test.rtf", ["This is a Sample RTF File"]),
        ("test_notebook.ipynb", ["print(42)", "Code Cell Below"]),
        ("test_rss.xml", ["The Official Microsoft Blog"]),
        ("text_document_01.odt", ["heading level 1"]),
        ("unit_test_headers_numbered.docx", ["Paragraph 1.2.3.1", "This is the first reference."]),
        ("webvtt_example_01.vtt", ["Roger Bingham: We are in New York City"]),
        ("wiki_duck.html", ["The word duck comes from"]),
        ("word_tables.docx", ["Header 0.0: Cell 1.0; Header 0.1: Cell 1.1; Header 0.2: Cell 1.2"]),
        ("xlsx_01.xlsx", ["first: 1; second: 5; third: 9", "col-1: 4; col-2: 8; col-3: 12; col-4: 16"]),
        ("xlsx_05_table_with_title.xlsx", ["Year: 2024; Freshwater Ducks: 180"]),
    ],
)
def test_what_stands_in_a_file_is_found(name: str, phrases: list[str]) -> None:
    text = parse(DOCS / "good" / name).text
    assert [phrase for phrase in phrases if phrase not in text] == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("MEDRPT-2024-PAT-3847_medical_report_scan.pdf", "scan"),
        ("ocr_test_rotated_180.pdf", "scan"),
        ("empty.pdf", "empty"),
        ("random.bin", "binary"),
        ("truncated.pdf", "garbage"),
    ],
)
def test_bad_files_are_rejected_in_clear_words(name: str, says: str) -> None:
    with pytest.raises(DocumentRejected) as caught:
        parse(DOCS / "bad" / name)
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("docx_named.pdf", "Swimming in the lake"),
        ("latin1.txt", "Grüße aus Köln, café, niño"),
        ("utf16_bom.txt", "Curaçao – naïve café ☕ 東京"),
        ("csv-too-few-columns.csv", "c"),
        ("csv-too-many-columns.csv", "e"),
        ("csv-inconsistent-header.csv", "d"),
        ("powerpoint_malformed_pictures.pptx", "Slide With Dangling Rel"),
        ("xlsx_04_inflated.xlsx", "first: 1; second: 5; third: 9"),
    ],
)
def test_odd_files_degrade_cleanly(name: str, phrase: str) -> None:
    parsed = parse(DOCS / "bad" / name)
    assert phrase in parsed.text
    assert bool(parsed.notes) == name.startswith("csv")
