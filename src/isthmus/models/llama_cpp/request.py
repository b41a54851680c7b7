"""A ``ChatRequest`` as the runtime's chat completion takes it (llama.cpp, tools/server/README.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from isthmus.errors import InvalidRequest
from isthmus.messages import ChatRequest, Image, Message
from isthmus.models.llama_cpp import tools
from isthmus.models.llama_cpp.schema import TEXT_ONLY, grammar, inlined

# The runtime renders the conversation to one text and reads control tokens anywhere in it, so that a document which
# quotes them could speak as the system. A space keeps them text.
_CONTROL = re.compile(r"<(?=\|[^|<>\s]{1,40}\|>|/?(?:start|end)_of_turn>)|\[(?=/?INST\])")


def payload(request: ChatRequest, max_tokens: int) -> dict[str, Any]:
    """``max_tokens`` stands in where the request says none. Raises :class:`InvalidRequest`."""
    sampling = request.sampling
    given = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "stop": list(sampling.stop) or None,
        "logprobs": sampling.logprobs or None,
        "top_logprobs": sampling.top_logprobs if sampling.logprobs else None,
        "grammar": _grammar(request),
    }
    return {
        "messages": _messages(request),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # a chunk for each batch of the prompt: where a call can be cancelled
        "cache_prompt": sampling.seed is None,  # a prefix read earlier, in other batches, is not bit for bit the same
        "max_tokens": max_tokens if sampling.max_tokens is None else sampling.max_tokens,
        **{name: value for name, value in given.items() if value is not None},
    }


def _grammar(request: ChatRequest) -> str | None:
    calls, answer = tools.offered(request), _answer(request)
    if not calls and answer is None:
        return TEXT_ONLY if any(message.tool_calls for message in request.messages) else None
    if not calls:
        return grammar(answer or {})
    schema = tools.schema(calls, request)
    if answer is None or not tools.optional(request):
        return grammar(schema, or_text=tools.optional(request))
    return grammar({"anyOf": [schema, answer]})


def _answer(request: ChatRequest) -> dict[str, Any] | None:
    """The JSON Schema of the answer's text, if it must be JSON."""
    if request.format is None:
        return None
    return {"type": "object"} if request.format.schema is None else inlined(request.format.schema)


def _messages(request: ChatRequest) -> list[dict[str, str]]:
    """Roles that every chat template knows, no two alike in a row: many templates refuse anything else."""
    spoken = [*_instructions(request), *_spoken(request)]
    return [
        {"role": role, "content": "\n\n".join(text for _, text in turns)}
        for role, turns in groupby(spoken, key=lambda turn: turn[0])
    ]


def _instructions(request: ChatRequest) -> Iterator[tuple[str, str]]:
    if calls := tools.offered(request):
        text = request.format is None and tools.optional(request)
        yield "system", _plain(tools.instructions(calls, text=text))


def _spoken(request: ChatRequest) -> Iterator[tuple[str, str]]:
    names: dict[str, str] = {}
    for message in request.messages:
        names |= {call.id: call.name for call in message.tool_calls}
        text = _plain(_text(message))
        match message.role:
            case "tool":
                yield "user", f"The tool {names.get(message.tool_call_id or '', 'called')} answered:\n{text}"
            case "assistant" if message.tool_calls:
                yield "assistant", "\n".join(filter(None, (text, _plain(tools.written(message.tool_calls)))))
            case role:
                yield role, text


def _text(message: Message) -> str:
    if any(isinstance(part, Image) for part in message.parts):
        raise InvalidRequest("This local model cannot see images.", hint="Send text, or ask a model that can.")
    return message.text


def _plain(text: str) -> str:
    return _CONTROL.sub(lambda match: f"{match[0]} ", text)
