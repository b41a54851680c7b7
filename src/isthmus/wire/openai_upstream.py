"""OpenAI's chat completions, client side: the request out.

Shapes after OpenAI's API reference (chat/create); a ``Dialect`` says where a compatible server
differs. Only the conversation leaves: never who asks, for what purpose, or how the text is labelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import msgspec

from isthmus.errors import InvalidRequest
from isthmus.messages import ChatRequest, Image, JsonFormat, Message, Part, Sampling, Text, Tool, ToolCall

Json: TypeAlias = dict[str, Any]
Schema: TypeAlias = Callable[[JsonFormat], Json]

_encode = msgspec.json.Encoder().encode
_ANY_OBJECT = {"type": "object"}


def json_schema(format: JsonFormat) -> Json:
    """OpenAI's ``response_format``, which most servers read."""
    if format.schema is None:
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": format.name, "schema": format.schema, "strict": format.strict},
    }


def only_json_schema(format: JsonFormat) -> Json:
    """For servers that do not know ``json_object`` (LM Studio)."""
    return json_schema(replace(format, schema=_ANY_OBJECT if format.schema is None else format.schema))


def grammar_value(format: JsonFormat) -> Json:
    """Text Generation Inference's: the schema is the ``value`` (its ``GrammarType``)."""
    return {"type": "json_object", "value": _ANY_OBJECT if format.schema is None else format.schema}


def only_json_object(format: JsonFormat) -> Json:
    """For servers that cannot bind an answer to a schema: any JSON is good enough unless the caller insists."""
    if format.schema is not None and format.strict:
        raise InvalidRequest(
            "This model's server cannot bind an answer to a JSON schema.",
            hint="Ask with `strict: false` for any JSON, or name another model.",
        )
    return {"type": "json_object"}


def no_json(format: JsonFormat) -> Json:
    """For servers that cannot bind an answer at all."""
    raise InvalidRequest(
        "This model's server cannot bind an answer to JSON.", hint="Ask in words, or name another model."
    )


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where a server's chat completions differ from OpenAI's.

    ``max_tokens`` and ``seed`` name the fields, ``required`` is its word for "call some tool", ``schema`` writes the
    answer's format, and ``omit`` lists fields that it rejects: what they ask for is left out.
    """

    max_tokens: str = "max_tokens"
    seed: str = "seed"
    required: str = "required"
    schema: Schema = json_schema
    omit: frozenset[str] = frozenset()


def encode_chat(request: ChatRequest, model: str, dialect: Dialect) -> bytes:
    """The body of ``POST /chat/completions``, always streamed. Raises :class:`InvalidRequest` for what the dialect
    cannot say."""
    body: Json = {
        "model": model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling(request.sampling, dialect),
        **_tools(request, dialect),
        "response_format": dialect.schema(request.format) if request.format else None,
        "reasoning_effort": request.reasoning_effort,
    }
    return _encode({name: value for name, value in body.items() if value is not None and name not in dialect.omit})


def estimate_tokens(request: ChatRequest) -> int:
    """About how many tokens the prompt has, for a vendor that does not say: 4 bytes each, 1000 for an image (OpenAI
    counts 85 to 1105)."""
    text = sum(len(part.text.encode()) for part in request.texts())
    images = sum(isinstance(part, Image) for message in request.messages for part in message.parts)
    return -(-text // 4) + 1000 * images


def _message(message: Message) -> Json:
    plain: Json = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        plain["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    return plain


def _content(message: Message) -> str | list[Json]:
    """One string where there is only text: every server reads that, some (DeepSeek) nothing else."""
    if all(isinstance(part, Text) for part in message.parts):
        return message.text
    return [_part(part) for part in message.parts]


def _part(part: Part) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _sampling(sampling: Sampling, dialect: Dialect) -> Json:
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        dialect.max_tokens: sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        dialect.seed: sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logprobs": sampling.logprobs or None,
        "top_logprobs": sampling.top_logprobs if sampling.logprobs else None,
    }


def _tools(request: ChatRequest, dialect: Dialect) -> Json:
    if not request.tools:
        return {}
    return {
        "tools": [_tool(tool) for tool in request.tools],
        "tool_choice": _tool_choice(request.tool_choice, dialect),
        "parallel_tool_calls": request.parallel_tool_calls,
    }


def _tool(tool: Tool) -> Json:
    function: Json = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _tool_choice(choice: str | None, dialect: Dialect) -> str | Json | None:
    if choice == "required":
        return dialect.required
    if choice is None or choice in ("auto", "none"):
        return choice
    return {"type": "function", "function": {"name": choice}}
