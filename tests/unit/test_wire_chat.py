"""OpenAI's chat completions as the server reads and writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.errors import AuditUnavailable, InvalidRequest, IsthmusError, PolicyDenied
from isthmus.labels import INTERNAL, PUBLIC, Label, Level
from isthmus.messages import (
    Completion,
    Finish,
    Image,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    fold,
)
from isthmus.principals import Principal
from isthmus.wire import openai_answer, openai_chat

ADA = Principal("key_ada", "Ada")
HELLO: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}


def decode(**fields: Any) -> openai_chat.Asked:
    body = json.dumps({**HELLO, **fields}).encode()
    return openai_chat.decode(body, "req_1", ADA, lambda purpose: INTERNAL)


def test_every_field_of_a_full_request_is_read():
    asked = decode(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"},
                                         {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
            {"role": "assistant", "content": None,
             "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
        ],
        stream=True, stream_options={"include_usage": True}, temperature=0.5, top_p=0.9, max_completion_tokens=7,
        stop="END", seed=3,
        tools=[{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        tool_choice={"type": "function", "function": {"name": "look"}}, parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        reasoning_effort="high", isthmus={"knowledge": ["handbook"], "purpose": "support"},
        user="somebody", metadata={"a": "b"},
    )  # fmt: skip
    request = asked.request
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool"]
    assert [part.origin for part in request.texts()] == ["system", "typed", "tool"]
    assert isinstance(request.messages[1].parts[1], Image)
    assert request.messages[2].tool_calls == (ToolCall("call_1", "look", "{}"),)
    assert (request.sampling.max_tokens, request.sampling.stop, request.sampling.seed) == (7, ("END",), 3)
    assert (request.tool_choice, request.parallel_tool_calls) == ("look", False)
    assert request.format is not None
    assert request.format.schema == {"type": "object"}
    assert (asked.knowledge, asked.stream, asked.include_usage) == (("handbook",), True, True)
    assert request.purpose == "support"
    assert request.label == INTERNAL


def test_a_label_in_the_request_can_only_raise():
    raised = decode(isthmus={"label": {"level": "restricted", "categories": ["health"]}}).request.label
    assert raised == Label(Level.RESTRICTED, frozenset({"health"}))
    assert decode(isthmus={"label": "public"}).request.label == INTERNAL


def test_knowledge_true_means_all_that_may_be_read():
    assert decode(isthmus={"knowledge": True}).knowledge == ("*",)
    assert decode(isthmus={"knowledge": False}).knowledge == ()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"messages": []}, "at least one"),
        ({"messages": [{"role": "king", "content": "x"}]}, "role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "unsupported"),
        ({"messages": "hello"}, "Expected"),
        ({"model": None}, "Expected"),
        ({"n": 2}, "n must be 1"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 10**400}, "max_tokens"),
        ({"seed": 10**30}, "seed"),
        ({"top_logprobs": -5}, "top_logprobs"),
        ({"reasoning_effort": "as the memo says"}, "reasoning_effort"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}
                ]
            },
            "url",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:text/plain,hello"}}]}
                ]
            },
            "url",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://x/", "detail": "all of it"}}],
                    }
                ]
            },
            "detail",
        ),
        ({"tool_choice": {"type": "nothing"}}, "tool_choice"),
        ({"tools": [{"type": "browser", "function": {"name": "x"}}]}, "browser"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"isthmus": {"labels": "public"}}, "labels"),
        ({"isthmus": {"label": "secret"}}, "level"),
        ({"isthmus": {"label": {"level": "public", "categories": "health"}}}, "categories"),
    ],
)
def test_a_wrong_field_is_named(fields, says):
    with pytest.raises(InvalidRequest, match=says):
        decode(**fields)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"model": "\\ud800", "messages": []}', b"[" * 100_000],
    ids=["empty", "half", "null", "list", "not utf-8", "lone surrogate", "deep"],
)
def test_what_is_not_a_request_is_refused(body):
    with pytest.raises(InvalidRequest):
        openai_chat.decode(body, "req_1", ADA, lambda purpose: PUBLIC)


EVENTS = (
    Started("qwen"), ReasoningDelta("hm"), TextDelta("Hel"), TextDelta("lo"),
    ToolCallDelta(0, "", "call_1", "look"), ToolCallDelta(0, '{"a":'), ToolCallDelta(0, "1}"),
    Usage(3, 5, cached=1), Finish("tool_calls"),
)  # fmt: skip


def chunks(include_usage: bool) -> list[dict[str, Any]]:
    encoder = openai_answer.ChunkEncoder("chatcmpl-1", 0, "local/qwen", include_usage)
    frames = [chunk for event in EVENTS for chunk in encoder.chunks(event)]
    frames += encoder.last({"receipt": {"index": 7}})
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


def test_a_stream_and_a_whole_answer_say_the_same():
    whole = json.loads(openai_answer.completion("chatcmpl-1", 0, "local/qwen", fold(EVENTS), {"a": 1}))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(False)]
    message = whole["choices"][0]["message"]
    assert "".join(delta.get("content") or "" for delta in deltas) == message["content"] == "Hello"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == message["reasoning_content"]
    arguments = "".join(call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", []))
    assert arguments == message["tool_calls"][0]["function"]["arguments"] == '{"a":1}'
    assert whole["usage"]["total_tokens"] == 8


def test_without_usage_every_chunk_has_a_choice_and_the_last_carries_our_fields():
    streamed = chunks(False)
    assert all(chunk["choices"] for chunk in streamed)
    assert streamed[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert streamed[-1]["isthmus"] == {"receipt": {"index": 7}}
    assert [chunk["choices"][0]["finish_reason"] for chunk in streamed[:-1]] == [None] * (len(streamed) - 1)


def test_with_usage_the_last_chunk_has_no_choice():
    *rest, last = chunks(True)
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}
    assert last["isthmus"] == {"receipt": {"index": 7}}
    assert all(chunk["usage"] is None for chunk in rest)


def test_a_tool_call_alone_has_null_content_and_an_empty_answer_an_empty_one():
    call = openai_answer.completion("1", 0, "m", Completion("", tool_calls=(ToolCall("a", "f", "{}"),)), {})
    assert json.loads(call)["choices"][0]["message"]["content"] is None
    assert (
        json.loads(openai_answer.completion("1", 0, "m", Completion(""), {}))["choices"][0]["message"]["content"] == ""
    )


def test_an_error_has_its_code_its_rule_and_what_to_do():
    error = openai_answer.error(PolicyDenied("No.", details={"rule": "confidential-stays-here"}))["error"]
    assert (error["code"], error["type"]) == ("policy_denied", "invalid_request_error")
    assert error["isthmus"]["rule"] == "confidential-stays-here"
    assert "request" not in error["isthmus"]
    assert openai_answer.error(PolicyDenied("No."), "req_1")["error"]["isthmus"]["request"] == "req_1"
    assert error["isthmus"]["hint"] in error["message"]
    assert openai_answer.error(IsthmusError("x"))["error"]["type"] == "server_error"


def test_why_the_log_cannot_be_used_is_not_for_whoever_holds_a_key():
    why = AuditUnavailable("/srv/secrets/key is gone", hint="Move /srv/audit.", details={"path": "/srv"})
    error = openai_answer.error(why)["error"]
    assert "/srv" not in str(error)
    assert (error["code"], error["type"]) == ("audit_unavailable", "server_error")
    assert "Try again" in error["message"]
