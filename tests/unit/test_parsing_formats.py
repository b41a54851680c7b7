"""What each family of formats gives: text, headings, pages, rows that stand alone."""

from __future__ import annotations

import pytest

from isthmus.data.parsing.parsed import Parsed
from isthmus.data.parsing.raw import decode
from unit.parsing_fixtures import excel, mail, parse, pdf, rewritten, saved, slides, word


def headings_of(parsed: Parsed, phrase: str) -> tuple[str, ...]:
    place = parsed.text.index(phrase)
    return next(block.headings for block in parsed.blocks if block.start <= place < block.end)


def page_of(parsed: Parsed, phrase: str) -> int | None:
    place = parsed.text.index(phrase)
    return next(block.page for block in parsed.blocks if block.start <= place < block.end)


def test_markdown_headings_nest_and_code_is_no_heading() -> None:
    parsed = parse("# A\n\n## B\none\n\n```\n# not a heading\n```\n\nC\n=\n\ntwo <!-- hidden -->\n", "a.md")
    assert headings_of(parsed, "one") == ("A", "B")
    assert headings_of(parsed, "# not") == ("A", "B")
    assert headings_of(parsed, "two") == ("C",)
    assert "hidden" not in parsed.text


def test_markdown_front_matter_gives_the_title() -> None:
    parsed = parse("---\ntitle: 'The title'\nowner: x\n---\n# First\ntext\n", "a.md")
    assert parsed.title == "The title"
    assert "owner" not in parsed.text


def test_markdown_tables_become_rows_with_headers() -> None:
    assert "Model: LS-40; Price: 12" in parse("| Model | Price |\n|---|--:|\n| LS-40 | 12 |\n", "a.md").text


def test_html_shows_what_a_reader_sees() -> None:
    parsed = parse(
        "<html><head><title>T</title><style>x{}</style></head><body><h1>Head</h1><p>Seen &amp; read</p>"
        "<p style='display:none'>unseen1</p><div hidden>unseen2</div><script>unseen3</script><!-- unseen4 -->"
        "<ul><li>item</li></ul><img src='http://192.0.2.1/x.png' alt='a heron'></body></html>",
        "a.html",
    )
    assert parsed.title == "T"
    assert headings_of(parsed, "Seen & read") == ("Head",)
    assert "unseen" not in parsed.text
    assert "- item" in parsed.text
    assert "a heron" in parsed.text


def test_html_is_decoded_as_it_declares() -> None:
    page = '<html><head><meta charset="iso-8859-5"></head><body><p>Привет</p></body></html>'
    assert "Привет" in parse(page.encode("iso-8859-5"), "a.html").text


def test_pdf_pages_and_paragraphs() -> None:
    parsed = parse(pdf("First page\nsecond line", "Last page"), "a.pdf")
    assert page_of(parsed, "second line") == 1
    assert page_of(parsed, "Last page") == 2


def test_pdf_with_some_scanned_pages_says_which() -> None:
    parsed = parse(pdf("words", "", "more words"), "a.pdf")
    assert "1 of 3 pages" in parsed.notes[0]
    assert "2" in parsed.notes[0]


def test_pdf_without_its_tail_is_repaired() -> None:
    whole = pdf("The quick brown fox jumps over the lazy dog")
    assert "quick brown fox" in parse(whole[: whole.index(b"xref")], "a.pdf").text


def test_docx_headings_lists_tables_and_content_controls() -> None:
    import docx

    document = docx.Document()
    document.add_heading("Leave", 1)
    document.add_paragraph("27 days")
    document.add_paragraph("an item", style="List Bullet")
    table = document.add_table(2, 3)
    for row, texts in zip(table.rows, (("Place", "Nights", "Rate"), ("Geneva", "2", "164")), strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    inside = document.add_paragraph("inside a control")._p
    control = docx.oxml.parse_xml(
        '<w:sdt xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:sdtContent/></w:sdt>'
    )
    inside.addprevious(control)
    control[0].append(inside)
    parsed = parse(saved(document), "a.docx")
    assert headings_of(parsed, "27 days") == ("Leave",)
    assert "- an item" in parsed.text
    assert "Place: Geneva; Nights: 2; Rate: 164" in parsed.text
    assert "inside a control" in parsed.text


def test_docx_deleted_text_stays_deleted() -> None:
    document = word("kept")
    body = (
        b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p>'
        b"<w:r><w:t>kept</w:t></w:r><w:del><w:r><w:delText>struck</w:delText></w:r></w:del></w:p></w:body></w:document>"
    )
    assert parse(rewritten(document, "word/document.xml", body), "a.docx").text == "kept"


def test_slides_are_pages_with_notes() -> None:
    parsed = parse(slides("Plan 2027", "say it slowly"), "a.pptx")
    assert headings_of(parsed, "Another point") == ("Plan 2027",)
    assert page_of(parsed, "say it slowly") == 1


def test_sheets_are_pages_and_rows_stand_alone() -> None:
    import datetime as dt

    parsed = parse(excel(["Part", "Price", "From"], ["SP-113", 412.5, dt.date(2026, 9, 1)]), "prices.xlsx")
    assert "Part: SP-113; Price: 412.5; From: 2026-09-01" in parsed.text
    assert page_of(parsed, "SP-113") == 1
    assert headings_of(parsed, "SP-113") == ("Sheet",)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_delimiters_are_found(delimiter: str) -> None:
    rows = [["Name", "Town", "Age"], ["Ebba, the elder", "Ystad", "61"], ["Nils", "Lund", "9"]]
    text = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    assert "Name: Ebba, the elder; Town: Ystad; Age: 61" in parse(text, "a.csv").text


def test_mail_headers_body_and_attachments() -> None:
    attachments = {"offer.docx": word("the offer"), "photo.png": b"\x89PNG\r\n\x1a\n", "note.txt": b"a note"}
    parsed = parse(mail("Hello Henrik", attachments=attachments), "a.eml")
    assert parsed.title == "Grüße aus Kiruna"
    assert "From: ebba@lindqvist.example" in parsed.text
    assert headings_of(parsed, "the offer") == ("Attachment: offer.docx",)
    assert headings_of(parsed, "a note") == ("Attachment: note.txt",)
    assert "photo.png" in parsed.text
    assert "photo.png" in parsed.notes[0]


def test_mail_with_only_html() -> None:
    assert "Hello <b>" not in parse(mail(html="<p>Hello <b>you</b></p>"), "a.eml").text
    assert "Hello you" in parse(mail(html="<p>Hello <b>you</b></p>"), "a.eml").text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße".encode("utf-8-sig"), "Grüße"),
        ("Grüße aus Köln".encode("utf-16"), "Grüße aus Köln"),
        ("Gruesse aus Koeln".encode("utf-16-be"), "Gruesse aus Koeln"),
        ("Grüße".encode("utf-32"), "Grüße"),
        ("Grüße – “Zitat”".encode("cp1252"), "Grüße – “Zitat”"),
        (("Съешь же ещё этих мягких французских булок, да выпей чаю. " * 8).encode("cp1251"), "Съешь же ещё"),
    ],
)
def test_encodings(data: bytes, text: str) -> None:
    assert text in decode(data)


def test_rtf_unicode_code_pages_and_destinations() -> None:
    rtf = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\*\secret x}"
        rb"Gr\'fc\'dfe \u8211? na\u239\'efve\par {\info{\author Y}}end}"
    )
    assert parse(rtf, "a.rtf").text == "Grüße – naïve\n\nend"


def test_content_is_believed_before_the_name() -> None:
    assert parse(word("a word file"), "a.pdf").text == "a word file"
    assert "a page" in parse(pdf("a page"), "a.docx").text
    assert parse("just text", "a.pdf").media_type == "text/plain"


def test_a_file_without_title_or_heading_is_called_by_its_name() -> None:
    assert parse("just text", "minutes of May.txt").title == "minutes of May"
