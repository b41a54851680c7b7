"""Normalising: the way back is exact, and a second time changes nothing."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from isthmus.guardrails.normalise import normalise

HIDDEN = st.sampled_from("\u200b\u200d\u2060\ufeff\u00ad\ufe0f\U000e0041\u034f\u202e\u3164")
SPECIAL = st.sampled_from("ﬁ１２Ａ½ﷺ가ᄀ각é\u0301\u0316\u09cb\u0bca\u2013 \u00a0ẛ\u0323Ω㎏\ud800")
TEXT = st.lists(st.one_of(st.characters(), HIDDEN, SPECIAL), max_size=30).map("".join)


@given(TEXT)
@example("a" + "\u0301\u0316" * 60)
@example("각")
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text).text
    assert normalise(once).text == once


@given(TEXT)
def test_ranges_lead_back_in_order_and_within_the_text(text: str) -> None:
    normal = normalise(text)
    spans = [normal.span(at, at + 1) for at in range(len(normal.text))]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)


@given(st.text(st.characters(codec="utf8"), max_size=20), st.text("0123456789", min_size=3, max_size=12), st.data())
def test_what_is_hidden_in_a_number_does_not_hide_it(before: str, number: str, data: st.DataObject) -> None:
    hidden = "".join(digit + data.draw(HIDDEN) for digit in number)
    text = f"{before} {hidden} end"
    normal = normalise(text)
    at = normal.text.rfind(f" {number} end") + 1
    assert at > 0
    start, end = normal.span(at, at + len(number))
    assert normalise(text[start:end]).text == number


@given(st.text("abcÀéü ,.0-9", max_size=40))
def test_plain_text_of_western_europe_is_left_alone(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert normalise(composed).text == composed
    assert normalise(composed).span(0, 1) == (0, 1)


def test_forms_fold() -> None:
    assert normalise("Ａ１２\u200b３–４\u00a0ﬁx").text == "A123-4 fix"
