"""Parse → chunk → join loses no text but headings that travel beside it, and every chunk is what its offsets say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.data.chunking import TARGET_TOKENS, Chunk, Chunker, count_tokens
from isthmus.data.parsing.clean import clean
from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import Parsers
from isthmus.errors import DocumentRejected

CHUNKER = Chunker()
PARSERS = Parsers.installed()
KINDS = st.sampled_from(["paragraph", "list", "row", "code", "note"])
ODD = st.sampled_from(
    ["\0", "\ud800", "\u202e", "a\u0301", "ﬁ", "\ufeff", "👩‍🔬", "קשה", "한국어", "✄", ". ", "\r\n", "\u2028"]
)
PROSE = st.text() | st.lists(ODD | st.text(max_size=12), max_size=300).map("".join)
#: Sentences, and words that nothing divides, so that blocks are too long for a chunk.
LONG = st.lists(
    st.sampled_from(["Wort ", "Satz. ", "x" * 40, "數" * 30, "\n", "3.14 ", "\n        indented "]), max_size=400
).map("".join)


def read_or_reject(data: bytes, name: str) -> Parsed | None:
    """Any other exception is a defect."""
    try:
        return PARSERS.parse(Raw(data, name))
    except DocumentRejected:
        return None


@st.composite
def documents(draw: st.DrawFn) -> Parsed:
    writer = Writer()
    writer.add("begin")
    for _ in range(draw(st.integers(0, 12))):
        match draw(st.integers(0, 3)):
            case 0:
                writer.turn(draw(st.integers(1, 9)), keep_headings=draw(st.booleans()))
            case 1:
                writer.heading(draw(st.text(max_size=30)), draw(st.integers(0, 6)))
            case _:
                writer.add(draw(PROSE | LONG), draw(KINDS))
    return writer.finish("title", "text/plain")


@given(documents())
@settings(max_examples=150, deadline=None)
def test_chunks_are_slices_that_cover_the_text(document: Parsed) -> None:
    chunks = CHUNKER.chunk(document)
    covered = 0
    for chunk in chunks:
        assert chunk.text == document.text[chunk.start : chunk.end]
        assert chunk.text.strip()
        assert covered <= chunk.start
        covered = chunk.end
    inside = [any(chunk.start <= block.start < chunk.end for chunk in chunks) for block in document.blocks]
    beside = {document.title, *(heading for chunk in chunks for heading in chunk.headings)}
    for block, held in zip(document.blocks, inside, strict=True):
        extent = document.text[block.start : block.end]
        assert held or (block.kind == "heading" and extent in beside)
        ends = [chunk.end for chunk in chunks if block.start < chunk.end and chunk.start < block.end]
        assert not held or (len(ends) > 1 or ends[0] >= block.end)
    assert document.text.encode("utf8").decode("utf8") == document.text


@given(documents())
@settings(max_examples=80, deadline=None)
def test_chunks_stay_on_their_page_and_within_the_budget(document: Parsed) -> None:
    for chunk in CHUNKER.chunk(document):
        inside = [block for block in document.blocks if block.start < chunk.end and chunk.start < block.end]
        assert {block.page for block in inside} == {chunk.page}
        under = [block for block in inside if block.kind != "heading"] or inside
        assert all(block.headings[: len(chunk.headings)] == chunk.headings for block in under)
        assert count_tokens(chunk.text) <= TARGET_TOKENS + 60


@given(documents())
@settings(max_examples=80, deadline=None)
def test_a_chunk_of_headings_alone_says_what_no_other_says(document: Parsed) -> None:
    chunks = CHUNKER.chunk(document)
    bodies = [chunk for chunk in chunks if not headings_alone(document, chunk)]
    beside = {document.title, *(heading for chunk in bodies for heading in chunk.headings)}
    for chunk in chunks:
        assert not bodies or chunk in bodies or not beside.issuperset(chunk.text.split("\n\n"))


def headings_alone(document: Parsed, chunk: Chunk) -> bool:
    inside = [block for block in document.blocks if block.start < chunk.end and chunk.start < block.end]
    return all(block.kind == "heading" for block in inside)


def test_a_title_page_is_no_chunk_of_its_own() -> None:
    writer = Writer()
    writer.turn(1)
    writer.heading("Staff handbook", 1)
    writer.turn(2, keep_headings=True)
    writer.heading("Holiday", 2)
    writer.add("Everyone has 27 days.")
    (chunk,) = CHUNKER.chunk(writer.finish("", "application/pdf"))
    assert (chunk.text, chunk.page) == ("Holiday\n\nEveryone has 27 days.", 2)
    assert chunk.headings == ("Staff handbook", "Holiday")


def test_a_heading_with_nothing_under_it_goes_with_the_text_before_it() -> None:
    writer = Writer()
    writer.heading("Handbook", 1)
    writer.add("Everyone has 27 days of holiday. " * 12)
    writer.heading("To be written", 2)
    (chunk,) = CHUNKER.chunk(writer.finish("", "text/plain"))
    assert chunk.text.endswith("To be written")
    assert chunk.headings == ("Handbook",)


def test_headings_that_follow_each_other_go_with_the_text_below() -> None:
    writer = Writer()
    for number in range(12):
        writer.heading(f"A rather long heading number {number} about nothing in particular", 2)
    writer.add("Everyone has 27 days.")
    document = writer.finish("", "text/plain")
    (chunk,) = CHUNKER.chunk(document)
    assert chunk.text == document.text
    assert chunk.headings == ("A rather long heading number 11 about nothing in particular",)


def test_nothing_but_headings_still_gives_chunks() -> None:
    writer = Writer()
    writer.heading("Staff handbook", 1)
    (chunk,) = CHUNKER.chunk(writer.finish("", "text/plain"))
    assert chunk.text == "Staff handbook"


@given(st.text(), st.booleans())
@settings(deadline=None)
def test_cleaning_is_stable_and_leaves_nothing_invisible(text: str, keep: bool) -> None:
    once = clean(text, keep_spaces=keep)
    assert clean(once, keep_spaces=keep) == once
    assert not set("\0\u202e\u200b\ufeff\u2066\xad\U000e0041") & set(once)


@given(PROSE | LONG, st.sampled_from(["txt", "md", "html", "csv", "json", "xml", "vtt", "eml", "rtf", "pdf", "docx"]))
@settings(max_examples=200, deadline=None)
def test_any_text_under_any_name_is_read_or_rejected(text: str, extension: str) -> None:
    parsed = read_or_reject(text.encode("utf8", errors="surrogatepass"), f"name.{extension}")
    if parsed is None:
        return
    assert [parsed.text[block.start : block.end].strip() for block in parsed.blocks if block.end > block.start]
    assert "".join(chunk.text for chunk in CHUNKER.chunk(parsed)).strip()


@given(st.binary(max_size=400), st.sampled_from([b"", b"%PDF-1.7\n", b"PK\3\4", b"{\\rtf1 ", b"<html>", b"\xff\xfe"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_rejected(data: bytes, magic: bytes) -> None:
    parsed = read_or_reject(magic + data, "name.bin")
    assert parsed is None or parsed.text


@pytest.mark.parametrize("words", [400, 4000])
def test_plain_text_keeps_every_word_in_order(words: int) -> None:
    text = " ".join(f"word{number}." for number in range(words))
    chunks = CHUNKER.chunk(PARSERS.parse(Raw(text.encode(), "a.txt")))
    assert " ".join(chunk.text for chunk in chunks).split() == text.split()
    assert len(chunks) > 3


def test_indented_code_keeps_every_character() -> None:
    writer = Writer()
    writer.add("\n".join(f"{' ' * (number % 9)}line_{number}()" for number in range(400)), "code")
    document = writer.finish("", "text/plain")
    chunks = CHUNKER.chunk(document)
    assert len(chunks) > 3
    assert all(chunk.text == document.text[chunk.start : chunk.end] for chunk in chunks)
    assert "".join("".join(chunk.text for chunk in chunks).split()) == "".join(document.text.split())
