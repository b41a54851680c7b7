"""A stream split at any bytes gives the same events: of the event decoder, and of the answer decoder above it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from contract.wires import WIRES
from isthmus.messages import ChatEvent, TextDelta, fold
from isthmus.wire.openai_upstream_answer import AnswerDecoder
from isthmus.wire.openai_upstream_chunk import DONE
from isthmus.wire.sse import EventDecoder

LINE_ENDS = st.sampled_from(["\n", "\r", "\r\n"])
#: No line ends within: those are drawn apart.
LINES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
FIELDS = st.one_of(
    LINES.map(lambda text: f"data: {text}"),
    LINES.map(lambda text: f"data:{text}"),
    LINES.map(lambda text: f": {text}"),
    LINES.map(lambda text: f"event: {text}"),
    st.just("data"),
    st.just(""),
    LINES,
)


def split(data: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def decode(pieces: list[bytes]) -> list[bytes]:
    decoder = EventDecoder()
    return [data for piece in pieces for data in decoder.feed(piece)] + decoder.close()


@given(st.lists(st.tuples(FIELDS, LINE_ENDS), max_size=20), st.lists(st.integers(0, 10_000), max_size=12))
def test_events_do_not_depend_on_where_bytes_are_split(lines: list[tuple[str, str]], places: list[int]) -> None:
    data = "".join(line + end for line, end in lines).encode()
    assert decode(split(data, places)) == decode([data])
    assert decode([data[i : i + 1] for i in range(len(data))]) == decode([data])


@given(st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=6), LINE_ENDS, st.booleans())
def test_every_line_end_gives_the_same_events(payloads: list[list[str]], end: str, mark: bool) -> None:
    """Against the specification: the data lines of an event, joined by LF."""
    data = "".join("".join(f"data: {line}{end}" for line in lines) + end for lines in payloads)
    encoded = (b"\xef\xbb\xbf" if mark else b"") + data.encode()
    assert decode([encoded]) == ["\n".join(lines).encode() for lines in payloads if lines != [""]]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_any_bytes_are_survived_alike(data: bytes, places: list[int]) -> None:
    assert decode(split(data, places)) == decode([data])


def answer(pieces: list[bytes]) -> list[ChatEvent]:
    events, decoder = EventDecoder(), AnswerDecoder("m", 3)
    payloads = [payload for piece in pieces for payload in events.feed(piece)] + events.close()
    came = [event for payload in payloads if payload != DONE for event in decoder.feed(payload)]
    return [*came, *decoder.end()]


@given(st.sampled_from(sorted(WIRES)), st.booleans(), st.lists(st.integers(0, 100_000), max_size=12))
def test_answers_do_not_depend_on_where_bytes_are_split(row: str, tools: bool, places: list[int]) -> None:
    wire = WIRES[row]
    data = b"".join(piece for piece in (wire.tools if tools else wire.text) if isinstance(piece, bytes))
    assert answer(split(data, places)) == answer([data])


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=8))
def test_what_a_model_writes_is_what_comes_out(words: list[str]) -> None:
    chunks = [{"choices": [{"delta": {"content": word}}]} for word in words]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    data = b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks)
    came = answer([data])
    assert [event.text for event in came if isinstance(event, TextDelta)] == words
    assert fold(came).text == "".join(words)
