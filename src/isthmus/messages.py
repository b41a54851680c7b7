"""The frozen values of a conversation: what goes to a model, and what comes back.

Every text carries its label, so that a request's label is a property of its parts and cannot be lost on the way.
Wire formats (``isthmus.wire``) translate to and from these values; nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from isthmus.labels import PUBLIC, Label, join
from isthmus.principals import Principal

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


# ---------------------------------------------------------------- what goes in


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text, its label, and where it came from: ``typed``, ``system``, ``passage``, ``tool``, ``answer``."""

    text: str
    label: Label
    origin: str = "typed"


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a ``data:`` URL (or an https one, which only the vendor fetches), with its label."""

    url: str
    label: Label
    detail: str = "auto"


Part: TypeAlias = Text | Image


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for; ``arguments`` is JSON text, as the wire has it, possibly invalid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The text parts, joined by new lines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; ``parameters`` is its JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, object]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """Every field optional: ``None`` leaves the model's own default. ``max_tokens`` counts generated tokens."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool = False
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The answer must be JSON; where ``schema`` is given, of that JSON Schema."""

    schema: Mapping[str, object] | None = None
    name: str = "answer"
    strict: bool = True


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call of a chat model, whole: who asks, for what purpose, and what the text is labelled.

    ``floor`` joins into the label whatever the parts say: the default label of what was typed (tool descriptions,
    schemas and stop words are typed text too), raised by ``isthmus.label`` and by guards.
    """

    id: str
    principal: Principal
    model: str
    messages: tuple[Message, ...]
    purpose: str = ""
    floor: Label = PUBLIC
    sampling: Sampling = field(default_factory=Sampling)
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None  # "auto", "none", "required", or a function's name
    parallel_tool_calls: bool | None = None
    format: JsonFormat | None = None
    reasoning_effort: str | None = None

    @property
    def label(self) -> Label:
        """The join of the floor and of every part."""
        return self.floor.join(join(part.label for message in self.messages for part in message.parts))

    def texts(self) -> Iterator[Text]:
        """Every text part, in order."""
        for message in self.messages:
            yield from (part for part in message.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to embed, with the same who, why and labels as a chat request. ``kind``: "query" or "passage". ``of`` is
    the request that a query is part of, ``collection`` where passages belong."""

    id: str
    principal: Principal
    model: str
    texts: tuple[Text, ...]
    purpose: str = ""
    floor: Label = PUBLIC
    kind: Literal["query", "passage"] = "passage"
    of: str = ""
    collection: str = ""

    @property
    def label(self) -> Label:
        return self.floor.join(join(text.label for text in self.texts))


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of a document as retrieval hands it out.

    ``start`` and ``end`` are character offsets into the document's extracted text, so that a citation points at
    exactly this passage; ``page`` counts from 1 where the format has pages; ``headings`` runs from the outermost in.
    """

    chunk: str
    document: str
    title: str
    source: str
    collection: str
    text: str
    label: Label
    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()
    score: float = 0.0


# ---------------------------------------------------------------- what comes back


@dataclass(frozen=True, slots=True)
class Started:
    """First event: the model that answers, as the vendor names its snapshot."""

    model: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str
    logprobs: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """``id`` and ``name`` come with the first delta of an ``index``; ``arguments`` is appended."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """The model declines in its own words: an answer, never a failure."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model's runtime counts them. ``cached`` is the part of ``prompt`` read from a prompt cache,
    ``reasoning`` the part of ``completion`` that is hidden thought. ``estimated`` where the vendor sent none."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True)
class Finish:
    """Last event of an answer that ended properly; a stream without it was cut."""

    reason: FinishReason


ChatEvent: TypeAlias = Started | TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta | Usage | Finish


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: the fold of its events."""

    text: str
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish: FinishReason | None = None
    model: str = ""
    fingerprint: str = ""
    logprobs: tuple[Mapping[str, object], ...] = ()


def fold(events: Iterable[ChatEvent]) -> Completion:
    """The answer that a stream of events amounts to: the one way a non-streaming answer is made."""
    text, reasoning, refusal = [], [], []
    calls: dict[int, list[str]] = {}
    logprobs: list[Mapping[str, object]] = []
    usage, finish, started = Usage(), None, Started("")
    for event in events:
        match event:
            case TextDelta():
                text.append(event.text)
                logprobs += event.logprobs
            case ReasoningDelta():
                reasoning.append(event.text)
            case RefusalDelta():
                refusal.append(event.text)
            case ToolCallDelta():
                call = calls.setdefault(event.index, ["", "", ""])
                call[0] = event.id or call[0]
                call[1] = event.name or call[1]
                call[2] += event.arguments
            case Usage():
                usage = event
            case Finish():
                finish = event.reason
            case Started():
                started = event
    return Completion(
        "".join(text), "".join(reasoning), "".join(refusal),
        tuple(ToolCall(*calls[index]) for index in sorted(calls)),
        usage, finish, started.model, started.fingerprint, tuple(logprobs),
    )  # fmt: skip
