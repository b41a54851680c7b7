"""What each provider sends, after its documentation or its source: one ``Wire`` a row of the table.

Every text is ``TEXT``, every pair of tool calls is ``CALLS``; what differs is how the vendor puts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contract.replay import Reply, events, whole
from isthmus.messages import Usage

TEXT = "Grüezi, 世界!"
WORDS = ("Grüezi", ", 世", "界!")
CALLS = (("weather", '{"city": "Bern"}'), ("weather", '{"city": "Rome"}'))

Json = dict[str, Any]


@dataclass(frozen=True)
class Wire:
    """``usage=None``: the vendor counts nothing."""

    text: tuple[bytes | object, ...]
    tools: tuple[bytes | object, ...]
    too_long: Reply
    usage: Usage | None
    model: str = "m-2026-01"
    fingerprint: str = ""
    reasoning: str = ""


def chunk(delta: Json, finish: str | None = None, *, choice: Json | None = None, **extra: object) -> Json:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish, **(choice or {})}]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1767225600, "model": "m-2026-01"}
    return {**base, "choices": choices, **extra}


def counted(prompt: int, completion: int, **extra: object) -> Json:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **extra}


def bad_request(status: int, message: str, **extra: object) -> Reply:
    return whole(status, {"error": {"message": message, **extra}})


def words(**extra: object) -> Iterator[Json]:
    yield from (chunk({"content": word}, **extra) for word in WORDS)


def streamed_calls(ids: tuple[str, str], **extra: object) -> Iterator[Json]:
    """OpenAI's way: the name first, then the arguments in pieces; the calls one after the other."""
    for index, (id, (name, arguments)) in enumerate(zip(ids, CALLS, strict=True)):
        head = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        yield chunk({"tool_calls": [head]}, **extra)
        for piece in (arguments[:7], arguments[7:]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, **extra)


def whole_calls(ids: tuple[str, str], indexes: tuple[int | None, int | None] = (0, 1)) -> list[Json]:
    """Every call in one delta, as Mistral and Ollama do."""
    calls = []
    for id, index, (name, arguments) in zip(ids, indexes, CALLS, strict=True):
        call: Json = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        calls.append(call if index is None else {**call, "index": index})
    return calls


USAGE = Usage(12, 5)
LAST = chunk({}, "stop")
LAST_TOOLS = chunk({}, "tool_calls")
ONLY_USAGE: Json = {**chunk({}), "choices": [], "usage": counted(12, 5)}
LIMIT = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
ROLE = chunk({"role": "assistant", "content": ""})

_openai = {"system_fingerprint": "fp_44709d6fcb", "service_tier": "default", "usage": None, "obfuscation": "x4Jq"}
_openai_usage = {
    **ONLY_USAGE,
    "system_fingerprint": "fp_44709d6fcb",
    "usage": counted(
        12,
        5,
        prompt_tokens_details={"cached_tokens": 8, "audio_tokens": 0},
        completion_tokens_details={"reasoning_tokens": 2, "accepted_prediction_tokens": 0},
    ),
}
_openai_role = chunk({"role": "assistant", "content": "", "refusal": None}, choice={"logprobs": None}, **_openai)
OPENAI = Wire(
    text=events(_openai_role, *words(**_openai), chunk({}, "stop", **_openai), _openai_usage),
    tools=events(
        chunk({"role": "assistant", "content": None}, **_openai),
        *streamed_calls(("call_a", "call_b"), **_openai),
        chunk({}, "tool_calls", **_openai),
        _openai_usage,
    ),
    too_long=bad_request(400, LIMIT, type="invalid_request_error", param="messages", code="context_length_exceeded"),
    usage=Usage(12, 5, cached=8, reasoning=2),
    fingerprint="fp_44709d6fcb",
)

_severities = {"hate": {"filtered": False, "severity": "safe"}}
_azure_first: Json = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _severities}],
}
_azure_choice = {"choice": {"content_filter_results": _severities, "logprobs": None}}
AZURE = Wire(
    text=events(_azure_first, _openai_role, *words(**_azure_choice), chunk({}, "stop", **_azure_choice), ONLY_USAGE),
    tools=events(_azure_first, *streamed_calls(("call_a", "call_b"), **_azure_choice), LAST_TOOLS, ONLY_USAGE),
    too_long=OPENAI.too_long,
    usage=USAGE,
    fingerprint="fp_44709d6fcb",
)

MISTRAL = Wire(
    text=events(ROLE, *words(p="abcd"), chunk({"content": ""}, "stop", usage=counted(12, 5))),
    tools=events(
        chunk(
            {"content": "", "tool_calls": whole_calls(("D681PevKs", "x9Yh2kLm0"))},
            "tool_calls",
            usage=counted(12, 5),
        ),
    ),
    too_long=whole(
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context length",
            "type": "invalid_request_prompt",
            "param": None,
            "code": "3051",
        },
    ),
    usage=USAGE,
)

_router = {"provider": "DeepInfra"}
OPENROUTER = Wire(
    text=events(
        ": OPENROUTER PROCESSING",
        ": OPENROUTER PROCESSING",
        chunk({"role": "assistant", "content": "", "reasoning": "A greeting."}, **_router),
        *words(**_router),
        chunk({"role": "assistant", "content": ""}, "stop", choice={"native_finish_reason": "stop"}, **_router),
        chunk({"role": "assistant", "content": ""}, **_router, usage=counted(12, 5, cost=0.0001)),
    ),
    tools=events(
        ": OPENROUTER PROCESSING",
        *streamed_calls(("call_a", "call_b"), **_router),
        LAST_TOOLS,
        ONLY_USAGE,
    ),
    too_long=bad_request(400, "This endpoint's maximum context length is 8192 tokens.", code=400),
    usage=USAGE,
    reasoning="A greeting.",
)

GROQ = Wire(
    text=events(
        chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_01"}),
        *words(),
        chunk({}, "stop", x_groq={"id": "req_01", "usage": counted(12, 5, queue_time=0.01)}),
    ),
    tools=events(
        chunk({"tool_calls": whole_calls(("call_a", "call_b"))}),
        chunk({}, "tool_calls", x_groq={"id": "req_01", "usage": counted(12, 5)}),
    ),
    too_long=bad_request(
        400, "Please reduce the length of the messages.", param="messages", code="context_length_exceeded"
    ),
    usage=USAGE,
)

TOGETHER = Wire(
    text=events(
        *words(choice={"text": "", "logprobs": None}), chunk({"content": "", "token_id": 2}, "eos"), ONLY_USAGE
    ),
    tools=events(*streamed_calls(("call_a", "call_b")), chunk({}, "tool_calls", usage=counted(12, 5))),
    too_long=whole(
        422,
        {
            "id": "o-1",
            "error": {
                "message": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193.",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        },
    ),
    usage=USAGE,
)

_cached = counted(12, 5, prompt_cache_hit_tokens=8, prompt_cache_miss_tokens=4)
DEEPSEEK = Wire(
    text=events(
        ": keep-alive",
        chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
        chunk({"content": None, "reasoning_content": "A greeting."}),
        *(chunk({"content": word, "reasoning_content": None}) for word in WORDS),
        chunk({"content": "", "reasoning_content": None}, "stop", usage=_cached),
    ),
    tools=events(*streamed_calls(("call_0_a", "call_1_b")), chunk({"content": ""}, "tool_calls", usage=_cached)),
    too_long=bad_request(400, LIMIT, type="invalid_request_error", param=None, code="invalid_request_error"),
    usage=Usage(12, 5, cached=8),
    reasoning="A greeting.",
)

FIREWORKS = Wire(
    text=events(ROLE, *words(), chunk({}, "stop", usage=counted(12, 5))),
    tools=events(*streamed_calls(("call_a", "call_b")), chunk({}, "tool_calls", usage=counted(12, 5))),
    too_long=bad_request(400, "The prompt is too long: 9000, model maximum context length: 8191", object="error"),
    usage=USAGE,
)

_ollama = {"system_fingerprint": "fp_ollama"}
OLLAMA = Wire(
    text=events(
        *(chunk({"role": "assistant", "content": word}, **_ollama) for word in WORDS),
        chunk({"role": "assistant", "content": ""}, "stop", **_ollama),
        {**ONLY_USAGE, **_ollama},
    ),
    tools=events(  # older ones number every call 0
        chunk({"role": "assistant", "content": "", "tool_calls": whole_calls(("call_a", "call_b"), (0, 0))}, **_ollama),
        chunk({"role": "assistant", "content": ""}, "tool_calls", **_ollama),
        {**ONLY_USAGE, **_ollama},
    ),
    too_long=bad_request(400, "the input length exceeds the context length", type="invalid_request_error", code=None),
    usage=USAGE,
    fingerprint="fp_ollama",
)

LM_STUDIO = Wire(
    text=events(ROLE, *words(system_fingerprint="m-2026-01"), LAST, ONLY_USAGE),
    tools=events(*streamed_calls(("123456789", "987654321")), LAST_TOOLS, ONLY_USAGE),
    too_long=whole(
        400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length."}
    ),
    usage=USAGE,
)

_ping = ": ping - 2026-01-01 00:00:00.000000"
WEBUI = Wire(  # sse-starlette: CRLF and pings; no [DONE]
    text=events(
        ROLE, _ping, *words(), chunk({"content": ""}, "stop", usage=counted(12, 5)), done=False, end="\r\n\r\n"
    ),
    tools=events(
        *streamed_calls(("call_a", "call_b")),
        chunk({"content": ""}, "tool_calls", usage=counted(12, 5)),
        done=False,
        end="\r\n\r\n",
    ),
    too_long=bad_request(400, "Prompt exceeds the context window", type="InvalidRequestError"),
    usage=USAGE,
)

VLLM = Wire(
    text=events(
        ROLE,
        chunk({"reasoning_content": "A greeting."}),
        *words(),
        chunk({"content": ""}, "stop", choice={"stop_reason": None, "logprobs": None}),
        ONLY_USAGE,
    ),
    tools=events(*streamed_calls(("chatcmpl-tool-a", "chatcmpl-tool-b")), LAST_TOOLS, ONLY_USAGE),
    too_long=whole(400, {"object": "error", "message": LIMIT, "type": "BadRequestError", "param": None, "code": 400}),
    usage=USAGE,
    reasoning="A greeting.",
)

_tgi = {"system_fingerprint": "3.0.1-native"}
TGI = Wire(  # no space after "data:"
    text=events(*words(**_tgi), chunk({"content": ""}, "stop", **_tgi), {**ONLY_USAGE, **_tgi}, space=False),
    tools=events(*streamed_calls(("0", "1"), **_tgi), chunk({}, "stop", **_tgi), ONLY_USAGE, space=False),
    too_long=whole(
        422,
        {
            "error": "Input validation error: `inputs` must have less than 8192 tokens. Given: 9001",
            "error_type": "validation",
        },
    ),
    usage=USAGE,
    fingerprint="3.0.1-native",
)

LLAMA_CPP_SERVER = Wire(
    text=events(
        chunk({"role": "assistant", "content": None}, system_fingerprint="b7000-abc"),
        *words(system_fingerprint="b7000-abc"),
        LAST,
        {**ONLY_USAGE, "timings": {"prompt_n": 12, "predicted_n": 5}},
    ),
    tools=events(*streamed_calls(("a1", "b2")), LAST_TOOLS, ONLY_USAGE),
    too_long=bad_request(
        400, "the request exceeds the available context size", type="exceed_context_size_error", code=400
    ),
    usage=USAGE,
    fingerprint="b7000-abc",
)


def bare(delta: Json, finish: str | None = None) -> Json:
    return {"choices": [{"delta": delta, "finish_reason": finish}]}


COMPATIBLE = Wire(  # the least that still is the protocol: no ids, no model, no usage, no [DONE]
    text=events(*(bare({"content": word}) for word in WORDS), bare({}, "stop"), done=False),
    tools=events(bare({"tool_calls": whole_calls(("a", "b"), (None, None))}), bare({}, "stop"), done=False),
    too_long=bad_request(400, "too many tokens"),
    usage=None,
    model="m",
)

WIRES = {
    "openai": OPENAI,
    "openai_compatible": COMPATIBLE,
    "azure_openai": AZURE,
    "mistral": MISTRAL,
    "openrouter": OPENROUTER,
    "groq": GROQ,
    "together": TOGETHER,
    "deepseek": DEEPSEEK,
    "fireworks": FIREWORKS,
    "ollama": OLLAMA,
    "lm_studio": LM_STUDIO,
    "text_generation_webui": WEBUI,
    "vllm": VLLM,
    "tgi": TGI,
    "llama_cpp_server": LLAMA_CPP_SERVER,
}
