"""Citations: the same wherever the stream is cut, none that no passage stands behind, offsets that point."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from isthmus.labels import INTERNAL
from isthmus.messages import Passage
from isthmus.retrieval.attribution import attribute
from isthmus.retrieval.citations import CitationFilter

COUNT = 4
pieces = st.sampled_from(
    ["[1]", "[9]", "[2, 7]", "[1][8]", " [3]", "[", "]", "【2】", "【6†source】", "`", "``", "```", "\n", " ",
     "  ", "a[0]", "x1[2]", "days[2]", "days[9]", "[2024]", "[1](http://x)", "[9](", "(", ".", ". The", "[Passage 3]",
     "[passage 12]", "[^2]", "[1-9]", "[1, 2", "rows[1].name", "m[1][9]", "word", "ü",
     "42[7]", ",", "[ 1 ;5 and 2 ]", "[0]", "[007]"]
)  # fmt: skip
texts = st.lists(st.one_of(pieces, st.text(max_size=3)), max_size=14).map("".join)


def filtered(parts: list[str]) -> tuple[str, tuple[int, ...]]:
    stream = CitationFilter(range(COUNT))
    out = "".join([*(stream.feed(part) for part in parts), stream.close()])
    return out, stream.used


@given(texts, st.data())
def test_where_the_stream_is_cut_makes_no_difference(text: str, data: st.DataObject):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert filtered(parts) == filtered([text]) == filtered(list(text))


@given(texts)
@example("see [7].")
@example("a[0]【2】[9]")
@example("[1, 2\n[0]")
def test_no_plain_citation_is_left_without_a_passage(text: str):
    out, used = filtered([text])
    assert all(1 <= number <= COUNT for number in used)
    if "`" not in out:
        standing = re.findall(r"(?<![\w\]])\[(\d{1,3})\](?!\()", out)
        assert {int(number) for number in standing} <= set(range(1, COUNT + 1))


@given(texts)
def test_only_brackets_and_the_spaces_before_them_are_ever_removed(text: str):
    out, _ = filtered([text])
    left = iter(text.replace("【", "[").replace("】", "]"))
    kept = re.sub(r"\[\d\]", "", out)
    assert all(any(character == other for other in left) for character in kept if character not in "[]【】")


@given(st.text(alphabet=st.characters(exclude_characters="[【"), max_size=80))
def test_text_without_brackets_passes_unchanged(text: str):
    assert filtered([text]) == (text, ())


@pytest.mark.parametrize(
    ("given_", "wanted", "used"),
    [
        ("It is 30 days [1].", "It is 30 days [1].", (1,)),
        ("It is 30 days [7].", "It is 30 days.", ()),
        ("It is 30 days[7].", "It is 30 days.", ()),
        ("In 2024[2], and", "In 2024[2], and", (2,)),
        ("Both [1, 9] and [3; 2].", "Both [1] and [3][2].", (1, 3, 2)),
        ("Both [1][9].", "Both [1].", (1,)),
        ("See [Passage 3] and [source: 8].", "See [3] and.", (3,)),
        ("Ja 【2】 und 【6†source】.", "Ja [2] und.", (2,)),
        ("All [1-3].", "All [1][2][3].", (1, 2, 3)),
        ("As of [2024] it is.", "As of [2024] it is.", ()),
        ("Take a[0] or x1[9], rows[9].name, my_list[8].", "Take a[0] or x1[9], rows[9].name, my_list[8].", ()),
        ("A matrix m[1][9] here", "A matrix m[1][9] here", ()),
        ("Use `v [9]` [9].", "Use `v [9]`.", ()),
        ("```\nv [9]\n``` [9]", "```\nv [9]\n```", ()),
        ("A stray ` stays\nand [9] goes", "A stray ` stays\nand goes", ()),
        ("[1](https://example.com) and [text](u) and [x]", "[1](https://example.com) and [text](u) and [x]", ()),
        ("cut [", "cut [", ()),
        ("cut [1", "cut [1", ()),
    ],
)
def test_what_counts_as_a_citation(given_: str, wanted: str, used: tuple[int, ...]):
    assert filtered([given_]) == filtered(list(given_)) == (wanted, used)


def passage(text: str, start: int = 100) -> Passage:
    return Passage(
        "doc_a#1",
        "doc_a",
        "Leave",
        "leave.md",
        "handbook",
        text,
        INTERNAL,
        start,
        start + len(text),
        3,
        ("Leave", "Days"),
    )


LEAVE = passage(
    "Leave. Full-time employees have 28 days of paid holiday a year. "
    "Up to five days may be carried over until 31 March."
)
TRAVEL = passage("Travel costs are paid back within 30 days. Receipts go to the finance portal.", 900)


def test_a_citation_points_at_the_sentence_that_supports_it():
    (citation,) = attribute("You can carry over five days until March [1].", [LEAVE, TRAVEL])
    assert citation.quote == "Up to five days may be carried over until 31 March."
    assert LEAVE.text[citation.start - 100 : citation.end - 100] == citation.quote
    assert (citation.number, citation.document, citation.title, citation.page) == (1, "doc_a", "Leave", 3)
    assert (citation.headings, citation.by) == (("Leave", "Days"), "model")
    plain = citation.as_dict()
    assert plain["by"] == "model"
    assert plain["headings"] == ["Leave", "Days"]
    assert plain["label"] == INTERNAL.as_dict()


def test_a_citation_of_a_passage_that_says_nothing_of_it_is_marked():
    (citation,) = attribute("Penguins live in Antarctica [2].", [LEAVE, TRAVEL])
    assert (citation.number, citation.title, citation.quote) == (2, "Leave", "")
    assert (citation.supported, citation.by) == (False, "model")
    assert (citation.start, citation.end) == (TRAVEL.start, TRAVEL.end)
    assert citation.as_dict()["supported"] is False


def test_an_index_in_code_is_no_citation():
    assert attribute("Penguins are in `birds[2]` and a[1].", [LEAVE, TRAVEL]) == ()


def test_a_bare_number_behind_a_wrong_citation_is_found_where_it_stands():
    price = passage("The fixed price is 455000 euros. Both earn-outs come on top.", 2000)
    found = attribute("455000 [2]", [LEAVE, TRAVEL, price])
    assert [(citation.number, citation.by, citation.supported) for citation in found] == [
        (3, "overlap", True),
        (2, "model", False),
    ]
    assert found[0].quote == "The fixed price is 455000 euros."


def test_a_number_that_the_cited_passage_lacks_is_found_where_it_stands():
    price = passage("The fixed price is 455000 euros, paid in one sum.", 2000)
    found = attribute("The price is paid: 455000 [1].", [TRAVEL, price])
    assert [(citation.number, citation.by) for citation in found] == [(1, "model"), (2, "overlap")]


@pytest.mark.parametrize("answer", ["Penguins lay 28 eggs on ice floes [2].", "28 and 455000 [2]"])
def test_a_number_alone_does_not_attribute_other_words_or_other_numbers(answer: str):
    assert [citation.supported for citation in attribute(answer, [LEAVE, TRAVEL])] == [False]


def test_two_numbers_are_quoted_from_the_two_sentences_that_hold_them():
    leave = passage(
        "Everyone has 27 days of holiday a year. Holiday is agreed with the team. "
        "Left-over days can be used until 31 May. In May, 31 people were away."
    )
    found = attribute("You have 27 days of holiday, and left-over days can be used until 31 May [1].", [leave])
    assert [citation.quote for citation in found] == [
        "Everyone has 27 days of holiday a year.",
        "Left-over days can be used until 31 May.",
    ]


def test_one_sentence_is_quoted_where_it_holds_all_numbers():
    both = passage("There are 27 days of holiday and 3 days of rest. Of holiday, 27 days. Of rest, 3 days.")
    (citation,) = attribute("You have 27 days of holiday and 3 days of rest [1].", [both])
    assert citation.quote == "There are 27 days of holiday and 3 days of rest."


def test_a_number_that_stands_in_unrelated_words_is_not_quoted_beside():
    text = passage("Up to five days of holiday may be carried over until March. Call gate 3 for days at sea.")
    (citation,) = attribute("3. Five days of holiday may be carried over until March [1].", [text])
    assert citation.quote.startswith("Up to five days")


@pytest.mark.parametrize("heading", ["Leave", "LEAVE.", "Days"])
def test_a_title_or_heading_is_no_evidence(heading: str):
    text = passage(f"{heading}\n\nEmployees agree on leave and days off with their team.")
    (citation,) = attribute("Leave days [1].", [text])
    assert citation.quote == "Employees agree on leave and days off with their team."
    (citation,) = attribute("Leave days [1].", [passage(heading)])
    assert not citation.supported


def test_a_heading_inside_the_passage_gives_way_to_the_text_below_it():
    text = passage("Can I send an instrument back?\n\nYes, within 45 days of delivery, in its own crate.")
    (citation,) = attribute("You can send an instrument back within some days [1].", [text])
    assert citation.quote.startswith("Yes, within 45 days")


ROWS = [
    ("name: Anna Berg; office: Ystad", "name: Olu Adeyemi; office: Kalmar, Dr. Vogt. Second floor"),
    ("anna berg | 4711", "olu adeyemi | 4712"),
    ("anna: extension 4711", "olu: extension 4712"),
]


@pytest.mark.parametrize("rows", ROWS)
def test_a_row_of_a_table_is_quoted_whole_and_alone(rows: tuple[str, str]):
    table = passage("People and places:\n\n" + "\n".join(rows))
    for row in rows:
        (citation,) = attribute(f"{row} [1]", [table])
        assert citation.quote == row


def test_a_sentence_without_citation_is_attributed_where_it_is_strongly_supported():
    answer = "Full-time employees have 28 days of paid holiday. The moon is made of cheese."
    (citation,) = attribute(answer, [TRAVEL, LEAVE])
    assert (citation.number, citation.by) == (2, "overlap")
    assert answer[citation.answer_start : citation.answer_end] == "Full-time employees have 28 days of paid holiday."


def test_a_sentence_that_is_wrapped_is_quoted_whole():
    wrapped = passage("Unused days of holiday can be\ntaken until the end of May. Later they lapse.\n- A list item")
    (citation,) = attribute("Unused days can be taken until the end of May [1].", [wrapped])
    assert citation.quote == "Unused days of holiday can be\ntaken until the end of May."


def test_a_wrong_number_is_not_strong_support():
    assert (
        attribute(
            "Full-time employees have 31 days of paid holiday a year.",
            [TRAVEL, passage(LEAVE.text.replace("31", "30"))],
        )
        == ()
    )


def test_a_bare_yes_is_supported_by_what_the_rest_of_the_answer_shares():
    cited = attribute("Yes [1]. Travel costs are paid back.", [TRAVEL])
    assert [citation.by for citation in cited] == ["model"]  # the same quote is given once


@given(texts, st.lists(st.text(max_size=60), max_size=3))
def test_offsets_point_at_the_quote_and_each_quote_comes_once(answer: str, bodies: list[str]):
    passages = [passage(body, 7 * number) for number, body in enumerate(bodies)]
    citations = attribute(answer, passages)
    for citation in citations:
        held = passages[citation.number - 1]
        extent = held.text[citation.start - held.start : citation.end - held.start]
        assert (extent == citation.quote != "") if citation.supported else (extent, citation.quote) == (held.text, "")
        assert 0 <= citation.answer_start < citation.answer_end <= len(answer)
    assert len({(citation.number, citation.quote) for citation in citations}) == len(citations)


@given(texts, st.lists(st.text(max_size=60), min_size=COUNT, max_size=COUNT))
def test_every_passage_that_an_answer_cites_is_listed(text: str, bodies: list[str]):
    answer, used = filtered([text])
    assume(filtered([answer]) == (answer, used))  # where what is left still reads the same ("m[1][9]a" does not)
    cited = attribute(answer, [passage(body) for body in bodies])
    assert set(used) <= {citation.number for citation in cited}
