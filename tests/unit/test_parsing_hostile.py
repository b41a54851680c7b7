"""Hostile files: refused or made harmless, in bounded time, without reaching out."""

from __future__ import annotations

import socket
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest

from isthmus.errors import DocumentRejected
from unit.parsing_fixtures import excel, mail, parse, part, pdf, rewritten, word


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """An address on loopback, and who has connected to it."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.05)
    callers: list[str] = []
    stop = threading.Event()

    def accept() -> None:
        while not stop.is_set():
            try:
                connection, caller = server.accept()
            except TimeoutError:
                continue
            callers.append(str(caller))
            connection.close()

    thread = threading.Thread(target=accept)
    thread.start()
    yield "http://{}:{}".format(*server.getsockname()), callers
    stop.set()
    thread.join()
    server.close()


def rejected(data: bytes | str, name: str) -> DocumentRejected:
    with pytest.raises(DocumentRejected) as caught:
        parse(data, name)
    assert caught.value.message
    return caught.value


def test_nothing_external_is_fetched(listener: tuple[str, list[str]]) -> None:
    url, callers = listener
    link = (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId9"'
        f' TargetMode="External" Target="{url}/t.dotx" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
        f'relationships/attachedTemplate"/></Relationships>'
    )
    files = {
        "a.html": f'<html><head><link rel=stylesheet href="{url}/c.css"><base href="{url}/"></head><body>'
        f'<img src="{url}/i.png" alt=x><iframe src="{url}/f"></iframe><p>text</p></body></html>',
        "b.xml": f'<!DOCTYPE a SYSTEM "{url}/a.dtd" [<!ENTITY e SYSTEM "{url}/e">]><a><p>text &e;</p></a>',
        "c.md": f"text ![image]({url}/i.png) <img src='{url}/j.png'>",
        "d.docx": rewritten(word("text"), "word/_rels/settings.xml.rels", link.encode()),
        "e.eml": mail(html=f'<p>text</p><img src="{url}/pixel">'),
        "f.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}/i"/><text>text</text></svg>',
    }
    for name, data in files.items():
        assert "text" in parse(data, name).text, name
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
        time.sleep(0.2)
    assert len(callers) == 1, "the listener hears its own call and no other"


def test_external_entities_do_not_read_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("canary-4711")
    entity = f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{secret}">]><a><p>before &e; after</p></a>'
    assert "canary" not in parse(entity, "a.xml").text
    for name, member in (("a.docx", "word/document.xml"), ("a.xlsx", "xl/workbook.xml")):
        whole = word("x") if name.endswith("docx") else excel(["x"])
        error = rejected(rewritten(whole, member, entity.encode()), name)
        assert "document type" in error.message


def test_entity_bombs_are_not_expanded() -> None:
    names = [f"e{number}" for number in range(12)]
    rows = "".join(f'<!ENTITY {name} "{f"&{below};" * 10}">' for below, name in pairwise(names))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "boom">{rows}]><a><p>small &e11;</p></a>'
    started = time.monotonic()
    rejected(bomb, "a.xml")
    assert time.monotonic() - started < 2
    assert "document type" in rejected(rewritten(word("x"), "word/styles.xml", bomb.encode()), "a.docx").message
    hidden = bomb.encode("utf-16")
    assert "document type" in rejected(rewritten(word("x"), "word/styles.xml", hidden), "a.docx").message


def test_zip_bombs_are_refused() -> None:
    started = time.monotonic()
    for whole, member in ((excel(["x"]), "xl/media/image1.bin"), (word("x"), "word/document.xml")):
        assert "inflate" in rejected(rewritten(whole, member, b"\0" * 60_000_000), "a.bin").message
    assert time.monotonic() - started < 5


def test_an_archive_that_lies_about_its_size_is_not_believed() -> None:
    whole = bytearray(rewritten(word("x"), "word/document.xml", b"<a>" + b" " * 3_000_000 + b"</a>"))
    with zipfile.ZipFile(BytesIO(bytes(whole))) as opened:
        true = opened.getinfo("word/document.xml").file_size
    place = whole.rindex(struct.pack("<L", true))
    whole[place : place + 4] = struct.pack("<L", 20)
    assert rejected(bytes(whole), "a.docx")


def test_encrypted_files_say_so() -> None:
    assert "encrypted" in rejected(pdf("secret", password="a password"), "a.pdf").message
    office = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 100
    assert "encrypted" in rejected(office, "a.xlsx").message


def test_an_encrypted_archive_says_so() -> None:
    whole = bytearray(word("x"))
    place = whole.index(b"PK\x01\x02")
    whole[place + 8] |= 1
    assert "encrypted" in rejected(bytes(whole), "a.docx").message


@pytest.mark.parametrize(
    ("data", "name", "says"),
    [
        (b"", "a.txt", "empty"),
        (b"\0\0\0", "a.txt", "empty"),
        (b"   \n", "a.md", "empty"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "a.png", "OCR"),
        (b"PK\3\4 not a zip", "a.docx", "damaged"),
        (word("x")[:2000], "a.docx", "damaged"),
        (excel(["x"])[:1000], "a.xlsx", "damaged"),
        (pdf("hello")[:300], "a.pdf", ""),
        (b"%PDF-1.7\n" + b"garbage " * 50, "a.pdf", ""),
        (b'{"a": ', "a.json", "damaged"),
        (b"[" * 200_000, "a.json", "nested too deep"),
        (b"<a>" * 100_000, "a.xml", "damaged"),
        (b"<a><b></a>", "a.xml", "damaged"),
        (b"{\\rtf1}", "a.rtf", "no text"),
        (b"<html><body></body></html>", "a.html", "no text"),
    ],
)
def test_broken_files_are_rejected_in_words(data: bytes, name: str, says: str) -> None:
    error = rejected(data, name)
    assert says in error.message
    assert "Traceback" not in error.message


def test_a_plain_zip_is_told_to_unpack() -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../etc/passwd", "root")
    assert "unpack" in rejected(buffer.getvalue(), "a.zip").hint


@pytest.mark.parametrize("tag", ["div", "table><tr><td", "ul><li", "b"])
def test_deep_html_costs_no_recursion(tag: str) -> None:
    assert "deep" in parse(f"<html><body>{f'<{tag}>' * 500}deep</body></html>", "a.html").text
    assert "too deep" in rejected(f"<html><body>first{f'<{tag}>' * 20_000}lost</body></html>", "a.html").message


def test_deep_mail_ends() -> None:
    inner = mail("innermost")
    for _ in range(8):
        inner = mail("outer", attachments={"inner.eml": inner})
    parsed = parse(inner, "a.eml")
    assert "nested too deep" in " ".join(parsed.notes)
    assert "innermost" not in parsed.text


def test_a_row_that_repeats_a_million_times_is_not_believed() -> None:
    content = (
        b'<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
        b' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
        b' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
        b'<table:table table:name="S"><table:table-row table:number-rows-repeated="1048576">'
        b'<table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell>'
        b"</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"
    )
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<m/>")
        archive.writestr("content.xml", content)
    started = time.monotonic()
    assert len(parse(buffer.getvalue(), "a.ods").text) < 100_000
    assert time.monotonic() - started < 2


def test_a_used_range_of_a_million_rows_is_scanned_no_further_than_it_holds() -> None:
    sheet = part(excel(["only"]), "xl/worksheets/sheet1.xml").decode()
    far = sheet.replace(
        "</sheetData>", '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far</t></is></c></row></sheetData>'
    )
    started = time.monotonic()
    assert "only" in parse(rewritten(excel(["only"]), "xl/worksheets/sheet1.xml", far.encode()), "a.xlsx").text
    assert time.monotonic() - started < 3


def test_invisible_characters_do_not_survive() -> None:
    tags = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore")
    text = f"pay\u202e{tags}ment\0 \u200bo\xadn time ﬁrst e\u0301"
    assert parse(text, "a.txt").text == "payment on time first é"
