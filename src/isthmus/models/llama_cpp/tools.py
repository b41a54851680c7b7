"""Tool calls from models that have none of their own: JSON that the sampler enforces, turned into ``ToolCallDelta``.

The model writes either plain text or ``{"tool_calls": [{"name": …, "arguments": …}]}``, told apart by the first
character, so that text streams as it comes. Arguments always fit the tool's schema.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from isthmus.errors import InvalidRequest
from isthmus.messages import ChatEvent, ChatRequest, Tool, ToolCall, ToolCallDelta
from isthmus.models.llama_cpp.schema import inlined

KEY = "tool_calls"
_AT_MOST = 8  # calls in one answer: a small model does not always know when to stop


def offered(request: ChatRequest) -> tuple[Tool, ...]:
    """The tools that this call may use. Raises :class:`InvalidRequest` where the choice names none of them."""
    match request.tool_choice:
        case "none":
            return ()
        case None | "auto" | "required":
            return request.tools
        case name:
            named = tuple(tool for tool in request.tools if tool.name == name)
            if not named:
                raise InvalidRequest(f"tool_choice names {name!r}, which is none of the tools.")
            return named


def optional(request: ChatRequest) -> bool:
    """Whether the model may answer without calling a tool."""
    return request.tool_choice in (None, "auto")


def schema(tools: Sequence[Tool], request: ChatRequest) -> dict[str, Any]:
    """The JSON Schema of the calls."""
    forced = not optional(request) and request.tool_choice != "required"
    most = 1 if forced or request.parallel_tool_calls is False else _AT_MOST
    calls = {"type": "array", "minItems": 1, "maxItems": most, "items": {"anyOf": [_call(tool) for tool in tools]}}
    return _object({KEY: calls})


def instructions(tools: Sequence[Tool], *, text: bool) -> str:
    """What the system prompt says of the tools; the same for every turn, so that its prefix stays cached."""
    described = [
        json.dumps(
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}, ensure_ascii=False
        )
        for tool in tools
    ]
    how = f'To call tools, write this JSON and nothing else: {{"{KEY}": [{{"name": "TOOL", "arguments": {{…}}}}]}}'
    otherwise = ["Call a tool only where it is needed, else answer in plain text."] if text else []
    return "\n".join(["You can call these tools:", *described, how, *otherwise])


def written(calls: Sequence[ToolCall]) -> str:
    """Calls of an earlier turn, as the model would have written them."""
    return json.dumps({KEY: [{"name": call.name, "arguments": _parsed(call.arguments)} for call in calls]})


def events(text: str) -> Iterator[ChatEvent]:
    """The calls in what the model wrote; none where the text was cut, or is not of calls."""
    plain = _parsed(text)
    calls = plain.get(KEY) if isinstance(plain, dict) else None
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        arguments = json.dumps(call["arguments"], ensure_ascii=False)
        yield ToolCallDelta(index, arguments, f"call_{secrets.token_hex(12)}", call["name"])


def is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _call(tool: Tool) -> dict[str, Any]:
    parameters = inlined(tool.parameters) if tool.parameters else {"type": "object"}
    return _object({"name": {"const": tool.name}, "arguments": parameters})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
