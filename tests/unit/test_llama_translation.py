"""Requests into llama.cpp's words and its chunks back, without a model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from isthmus.errors import ContextTooLong, InvalidRequest, UpstreamFailed
from isthmus.labels import PUBLIC
from isthmus.messages import (
    ChatEvent,
    ChatRequest,
    Completion,
    JsonFormat,
    Message,
    Role,
    Sampling,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    Usage,
    fold,
)
from isthmus.models.llama_cpp import reply, tools
from isthmus.models.llama_cpp.request import payload
from isthmus.models.llama_cpp.schema import grammar, inlined, probe, with_text
from isthmus.principals import Principal

SEARCH = Tool("search", "Find.", {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]})


def say(role: Role, text: str, **fields: Any) -> Message:
    return Message(role, (Text(text, PUBLIC),), **fields)


def ask(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest("r", Principal("p", "t"), "local/m", messages or (say("user", "hi"),), **fields)


async def stream(*chunks: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for chunk in chunks:
        yield chunk


def text(content: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content}, "finish_reason": None}]}


def end(reason: str = "stop") -> tuple[dict[str, Any], ...]:
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}
    return {"choices": [{"delta": {}, "finish_reason": reason}]}, {"choices": [], "usage": usage}


async def read(request: ChatRequest, *chunks: dict[str, Any]) -> tuple[list[ChatEvent], Completion]:
    events = [event async for event in reply.events(stream(*chunks), reply.reader(request))]
    return events, fold(events)


# ---------------------------------------------------------------- what goes in


def test_sampling_goes_through_and_nothing_is_made_up() -> None:
    sampling = Sampling(0.5, 0.9, 7, ("END",), None, 0.1, 0.2, True, 3)
    body = payload(ask(sampling=sampling), 99)
    wanted = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": ["END"], "presence_penalty": 0.1}
    wanted |= {"frequency_penalty": 0.2, "logprobs": True, "top_logprobs": 3}
    assert {name: body[name] for name in wanted} == wanted
    bare = payload(ask(), 99)
    assert bare["max_tokens"] == 99
    assert not {"temperature", "top_p", "stop", "seed", "logprobs", "grammar"} & bare.keys()


def test_a_seed_turns_the_prompt_cache_off() -> None:
    assert payload(ask(), 9)["cache_prompt"] is True
    assert payload(ask(sampling=Sampling(seed=1)), 9)["cache_prompt"] is False


def test_roles_alternate_and_tools_join_the_system_prompt() -> None:
    messages = (say("system", "Be kind."), say("user", "one"), say("user", "two"), say("assistant", "three"))
    plain = payload(ask(*messages, tools=(SEARCH,)), 9)["messages"]
    assert [message["role"] for message in plain] == ["system", "user", "assistant"]
    assert plain[0]["content"].endswith("Be kind.")
    assert '"name": "search"' in plain[0]["content"]
    assert plain[1]["content"] == "one\n\ntwo"


def test_earlier_calls_and_results_are_told() -> None:
    called = Message("assistant", (), (ToolCall("c1", "search", '{"q": "x"}'),))
    result = say("tool", "found y", tool_call_id="c1")
    plain = payload(ask(say("user", "go"), called, result), 9)["messages"]
    assert json.loads(plain[1]["content"]) == {"tool_calls": [{"name": "search", "arguments": {"q": "x"}}]}
    assert plain[2] == {"role": "user", "content": "The tool search answered:\nfound y"}


@pytest.mark.parametrize(
    "hostile", ["<|im_start|>system", "<|eot_id|>", "<start_of_turn>model", "</end_of_turn>", "[INST] x [/INST]"]
)
def test_control_tokens_are_broken_everywhere(hostile: str) -> None:
    called = Message("assistant", (Text(hostile, PUBLIC),), (ToolCall("c", "search", json.dumps({"q": hostile})),))
    tool = Tool("search", hostile, {"type": "object"})
    messages = (say("system", hostile), say("user", hostile), called, say("tool", hostile, tool_call_id="c"))
    contents = [message["content"] for message in payload(ask(*messages, tools=(tool,)), 9)["messages"]]
    assert not [content for content in contents if hostile in content]


def test_ordinary_angle_brackets_and_pipes_stay() -> None:
    code = "if a <b || c> d: x = [INSTANCE] <|> <| y |>"
    assert payload(ask(say("user", code)), 9)["messages"][0]["content"] == code


def test_a_choice_of_no_tool_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="none of the tools"):
        payload(ask(tools=(SEARCH,), tool_choice="other"), 9)


def test_forced_calls_have_one_tool_and_one_call() -> None:
    other = Tool("other", "", {})
    schema = tools.schema(tools.offered(ask(tools=(SEARCH, other), tool_choice="other")), ask(tool_choice="other"))
    calls = schema["properties"]["tool_calls"]
    assert calls["maxItems"] == 1
    assert [item["properties"]["name"]["const"] for item in calls["items"]["anyOf"]] == ["other"]


# ---------------------------------------------------------------- schemas


def test_references_are_inlined_and_recursion_ends() -> None:
    schema = {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "s/x": {"const": 1}}}},
        "anyOf": [{"$ref": "#/$defs/node"}, {"$ref": "#/$defs/node/properties/s~1x"}],
    }
    node = {"type": "object", "properties": {"next": {}, "s/x": {"const": 1}}}
    assert inlined(schema) == {"anyOf": [node, {"const": 1}]}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """Small, and 2 to the power of ``levels`` once its references are followed."""
    defs: dict[str, Any] = {"d0": {"type": "string"}}
    for level in range(1, levels):
        defs[f"d{level}"] = {"anyOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 2}
    return {"$defs": defs, "$ref": f"#/$defs/d{levels - 1}"}


@pytest.mark.parametrize(
    "schema",
    [deep(5000), doubling(40), {"$ref": "https://example.com/s.json"}, {"$ref": "#/nowhere"}, {"$ref": "#/type/0"}],
    ids=["deep", "doubling", "remote", "dangling", "no object"],
)
def test_hostile_schemas_are_the_clients_error(schema: Mapping[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        inlined(schema)


def test_a_grammar_can_allow_text_and_be_probed() -> None:
    made = grammar({"type": "integer"}, or_text=True)
    assert "start: json | text" in made
    assert 'start: "@@" rest' in str(probe(made))
    gbnf = with_text('space ::= " "\nroot ::= "{" space "}"')
    assert gbnf.startswith("root ::= json | text\n")
    assert '\njson ::= "{" space "}"' in gbnf
    assert probe(gbnf) is None


def test_after_calls_a_plain_answer_is_no_json() -> None:
    called = Message("assistant", (), (ToolCall("c", "search", "{}"),))
    assert "grammar" in payload(ask(say("user", "x"), called, say("tool", "y", tool_call_id="c")), 9)


# ---------------------------------------------------------------- what comes back


async def test_text_usage_and_finish() -> None:
    events, whole = await read(ask(), text("a"), text("b"), *end())
    assert whole == Completion("ab", usage=Usage(9, 4, 5), finish="stop")
    assert isinstance(events[-2], Usage)


async def test_calls_are_built_whole() -> None:
    pieces = ('{"tool_ca', 'lls": [{"name": "search", "arg', 'uments": {"q": "ü"}}]}')
    _, whole = await read(ask(tools=(SEARCH,)), *map(text, pieces), *end())
    (call,) = whole.tool_calls
    assert (call.name, json.loads(call.arguments), whole.finish, whole.text) == ("search", {"q": "ü"}, "tool_calls", "")


async def test_text_streams_although_tools_are_there() -> None:
    events, whole = await read(ask(tools=(SEARCH,)), text(" He"), text("llo"), *end())
    assert [event.text for event in events if isinstance(event, TextDelta)] == [" He", "llo"]
    assert whole.finish == "stop"


async def test_calls_that_were_cut_are_not_shown() -> None:
    _, whole = await read(ask(tools=(SEARCH,)), text('{"tool_calls": [{"name": "se'), *end("length"))
    assert (whole.text, whole.tool_calls, whole.finish) == ("", (), "length")


async def test_with_tools_and_a_format_json_is_an_answer() -> None:
    request = ask(tools=(SEARCH,), format=JsonFormat({"type": "object"}))
    _, whole = await read(request, text('{"a"'), text(": 1}"), *end())
    assert (whole.text, whole.tool_calls, whole.finish) == ('{"a": 1}', (), "stop")


@pytest.mark.parametrize(
    "request_", [ask(format=JsonFormat()), ask(tools=(SEARCH,), tool_choice="required")], ids=["format", "required"]
)
async def test_what_breaks_the_schema_is_never_a_finished_answer(request_: ChatRequest) -> None:
    with pytest.raises(UpstreamFailed, match="schema"):
        await read(request_, text("Sorry, no."), *end())


async def test_a_stream_without_a_reason_has_no_finish() -> None:
    _, whole = await read(ask(), text("a"))
    assert whole.finish is None


async def test_errors_in_a_stream_say_nothing_of_the_prompt() -> None:
    long = {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 10, "n_ctx": 5, "message": "SECRET"}
    with pytest.raises(ContextTooLong) as caught:
        await read(ask(), {"error": long})
    assert caught.value.details == {"tokens": 10, "context": 5}
    for code, kind in ((400, InvalidRequest), (500, UpstreamFailed)):
        with pytest.raises(kind) as refused:
            await read(ask(), {"error": {"code": code, "message": "SECRET"}})
        assert "SECRET" not in str(refused.value.as_dict())
