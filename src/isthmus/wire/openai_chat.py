"""OpenAI's chat completions, server side: the request in.

Shapes after OpenAI's API reference (chat/create). Fields that only serve the vendor's bookkeeping (``user``,
``metadata``, ``store``…) are read past and never sent on: what is not a part with a label does not leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from isthmus.errors import InvalidRequest
from isthmus.labels import PUBLIC, Label
from isthmus.messages import (
    ChatRequest,
    Image,
    JsonFormat,
    Message,
    Part,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
)
from isthmus.principals import Principal

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


#: Bounds that no honest number passes; JSON has none.
_Count = Annotated[int, Meta(ge=1, le=10_000_000)]
_Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]


class _ImageUrl(Struct):
    url: Annotated[str, Meta(pattern=r"^(data:image/[a-z.+-]+;base64,[A-Za-z0-9+/=]*$|https://)")]
    detail: Literal["auto", "low", "high"] = "auto"


class _Part(Struct):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: _ImageUrl | None = None


class _Function(Struct):
    name: str
    arguments: str = ""


class _Call(Struct):
    id: str
    function: _Function
    type: str = "function"


class _Message(Struct):
    role: str
    content: str | list[_Part] | None = None
    name: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None


class _ToolFunction(Struct):
    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(Struct):
    function: _ToolFunction
    type: str = "function"


class _JsonSchema(Struct):
    name: str = "answer"
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Format(Struct):
    type: str
    json_schema: _JsonSchema | None = None


class _StreamOptions(Struct):
    include_usage: bool = False


class _Extra(Struct, forbid_unknown_fields=True):
    knowledge: list[str] | bool = False
    purpose: Annotated[str, Meta(max_length=128)] = ""
    label: Any = None


class _Chat(Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    stop: str | list[str] | None = None
    seed: _Integer | None = None
    n: int | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: _Format | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    isthmus: _Extra | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Asked:
    """A decoded call: the request, and how the client wants it answered. ``knowledge`` names collections to ground
    the answer in (``("*",)``: all that the principal may read; empty: none)."""

    request: ChatRequest
    knowledge: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False


_decoder = msgspec.json.Decoder(_Chat)


def decode(body: bytes, id: str, principal: Principal, typed: Callable[[str], Label]) -> Asked:
    """The request in ``body``. ``typed(purpose)`` is the default label of typed text for that purpose.

    Raises :class:`InvalidRequest`, saying where, for anything that is not a chat completion request.
    """
    try:
        chat = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The request is not a chat completion: {error}.") from error
    _check(chat)
    extra = _Extra() if isinstance(chat.isthmus, UnsetType) else chat.isthmus
    label = typed(extra.purpose).join(PUBLIC if extra.label is None else Label.parse(extra.label))
    request = ChatRequest(
        id=id,
        principal=principal,
        model=chat.model,
        messages=tuple(_message(message, label, index) for index, message in enumerate(chat.messages)),
        purpose=extra.purpose,
        floor=label,
        sampling=_sampling(chat),
        tools=tuple(_tools(chat)),
        tool_choice=_tool_choice(chat.tool_choice),
        parallel_tool_calls=chat.parallel_tool_calls,
        format=_format(chat.response_format),
        reasoning_effort=chat.reasoning_effort,
    )
    options = chat.stream_options or _StreamOptions()
    return Asked(request, _knowledge(extra.knowledge), bool(chat.stream), options.include_usage)


def _check(chat: _Chat) -> None:
    if not chat.messages:
        raise InvalidRequest("messages must hold at least one message.")
    if chat.n not in (None, 1):
        raise InvalidRequest("n must be 1: ask again for another answer.")


def _knowledge(value: list[str] | bool) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("*",) if value else ()
    return tuple(value)


def _message(message: _Message, label: Label, index: int) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidRequest(f"messages[{index}].role cannot be {message.role!r}.")
    if role == "tool" and not message.tool_call_id:
        raise InvalidRequest(f"messages[{index}] answers a tool call and must name it in tool_call_id.")
    calls = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ())
    parts = tuple(_parts(message, label, _ORIGINS[role], index))
    return Message(role, parts, calls, message.tool_call_id, message.name)


#: What the text of a turn claims to be; an ``answer`` must be one that was given here (see ``orchestration.label``).
_ORIGINS: dict[Role, str] = {"system": "system", "user": "typed", "assistant": "answer", "tool": "tool"}


def _parts(message: _Message, label: Label, origin: str, index: int) -> Iterator[Part]:
    if isinstance(message.content, str):
        yield Text(message.content, label, origin)
    for number, part in enumerate(message.content if isinstance(message.content, list) else ()):
        if part.type == "text":
            yield Text(part.text, label, origin)
        elif part.type == "refusal":
            yield Text(part.refusal, label, origin)
        elif part.type == "image_url" and part.image_url is not None:
            yield Image(part.image_url.url, label, part.image_url.detail)
        else:
            raise InvalidRequest(f"messages[{index}].content[{number}] has the unsupported type {part.type!r}.")
    if message.refusal:
        yield Text(message.refusal, label, origin)


def _sampling(chat: _Chat) -> Sampling:
    stop = (chat.stop,) if isinstance(chat.stop, str) else tuple(chat.stop or ())
    return Sampling(
        temperature=chat.temperature,
        top_p=chat.top_p,
        max_tokens=chat.max_completion_tokens or chat.max_tokens,
        stop=stop,
        seed=chat.seed,
        presence_penalty=chat.presence_penalty,
        frequency_penalty=chat.frequency_penalty,
        logprobs=bool(chat.logprobs),
        top_logprobs=chat.top_logprobs,
    )


def _tools(chat: _Chat) -> Iterator[Tool]:
    for tool in chat.tools or ():
        if tool.type != "function":
            raise InvalidRequest(f"A tool of the type {tool.type!r} is not supported; use a function.")
        function = tool.function
        yield Tool(function.name, function.description, function.parameters or {}, bool(function.strict))


def _tool_choice(choice: str | dict[str, Any] | None) -> str | None:
    if choice is None or isinstance(choice, str):
        return choice
    function = choice.get("function")
    if isinstance(function, dict) and isinstance(name := function.get("name"), str):
        return name
    raise InvalidRequest("tool_choice must be none, auto, required, or name a function.")


def _format(format: _Format | None) -> JsonFormat | None:
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return JsonFormat()
    if format.type == "json_schema" and format.json_schema is not None:
        schema = format.json_schema
        return JsonFormat(schema.schema, schema.name, schema.strict is not False)
    raise InvalidRequest(f"response_format cannot be of the type {format.type!r}.")
