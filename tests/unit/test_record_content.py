"""What an intent commits to: everything that a model is sent, and for a plain question just its words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from isthmus.labels import INTERNAL
from isthmus.messages import ChatRequest, Image, JsonFormat, Message, Sampling, Text, Tool, ToolCall
from isthmus.orchestration.record import content, stated
from isthmus.principals import Principal

PLAIN = ChatRequest(
    "r", Principal("key_1", "ada"), "m", (Message("user", (Text("Wie spät ist es?", INTERNAL),)),), floor=INTERNAL
)
CALLED = Message("assistant", (), (ToolCall("c1", "look", '{"where": "shelf"}'),))


def test_a_plain_question_is_its_words() -> None:
    assert content(PLAIN) == "Wie spät ist es?"


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAIN, messages=(*PLAIN.messages, Message("user", (Image("data:image/png;base64,AA==", INTERNAL),)))),
        replace(PLAIN, messages=(*PLAIN.messages, CALLED)),
        replace(PLAIN, tools=(Tool("look", "where it is", {"type": "object"}),)),
        replace(PLAIN, format=JsonFormat({"type": "string"})),
        replace(PLAIN, sampling=Sampling(stop=("END",))),
    ],
    ids=["image", "call", "tool", "schema", "stop"],
)
def test_whatever_else_is_sent_is_committed_to(other: ChatRequest) -> None:
    assert content(other) != content(PLAIN)
    assert content(other).startswith(content(PLAIN) + "\x1e")


@pytest.mark.parametrize("purpose", ["", "support", "hr/appraisal-2.0", "a" * 128])
def test_a_purpose_that_is_a_name_is_written(purpose: str) -> None:
    assert stated(purpose) == purpose


@pytest.mark.parametrize(
    "purpose",
    ["Anna Schmidt", "anna@example.org", "Prüfung", "support\n", "\x1b[2J", "\u202esupport", "\ud800", " ", "a" * 129],
)
def test_any_other_text_is_a_digest(purpose: str) -> None:
    assert re.fullmatch("sha256:[0-9a-f]{64}", stated(purpose))
