"""Stop 2, label: every piece of text gets the label of what it repeats and of what guards find in it.

Typed text comes with the default of its key and purpose. On top of it, text that was labelled before is recognised
when it comes back; an assistant turn must be an answer that was given here, or its origin is lost; and guards may
raise. Nothing here lowers a label.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from isthmus.errors import GuardBlocked, RequestTooLarge
from isthmus.labels import ORIGIN_LOST, PUBLIC, Label, join
from isthmus.messages import ChatRequest, EmbedRequest, Image, Message, Part, Text
from isthmus.seams import Finding, Guard, Provenance, Stage, Verdict

_OFF_THE_LOOP = 20_000  # characters from which recognition would hold up other requests


@dataclass(frozen=True, slots=True)
class Findings:
    """What guards found, for the record: kinds and counts, never the text."""

    found: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for finding in self.found:
            counts[finding.kind] = counts.get(finding.kind, 0) + 1
        return dict(sorted(counts.items()))


@dataclass(frozen=True, slots=True)
class _Turns:
    """What turns share: who sent them, what guards found, and the labels of tool calls, which their results take on."""

    principal: str
    found: list[Finding]
    calls: dict[str, Label]


class Labeller:
    """Labels the texts of a request. ``trust_answers`` takes unknown assistant turns for the client's own text;
    ``most`` bounds a request's text in characters, since every one of them is looked at."""

    def __init__(
        self, guards: Sequence[Guard], provenance: Provenance, *, trust_answers: bool = False, most: int = 400_000
    ) -> None:
        self._most = most
        self._guards = guards
        self._provenance = provenance
        self._trust_answers = trust_answers

    async def chat(self, request: ChatRequest) -> tuple[ChatRequest, Findings]:
        """The request with every part labelled, and what was found.

        Raises :class:`RequestTooLarge`, :class:`GuardBlocked` and :class:`isthmus.errors.GuardUnavailable`.
        """
        self._bound([text.text for text in request.texts()] + other_texts(request))
        found: list[Finding] = []
        turns = _Turns(request.principal.id, found, {})
        messages = tuple([await self._message(message, turns) for message in request.messages])
        extra = [await self._label(text, found) for text in other_texts(request)]
        extra += [await self._recognise(whole) for whole in _wholes(request)]
        extra += turns.calls.values()
        return replace(request, messages=messages, floor=request.floor.join(join(extra))), Findings(tuple(found))

    async def embed(self, request: EmbedRequest) -> tuple[EmbedRequest, Findings]:
        """The same for texts to embed."""
        self._bound([text.text for text in request.texts])
        found: list[Finding] = []
        texts = tuple([replace(text, label=text.label.join(await self._label(text.text, found)))
                       for text in request.texts])  # fmt: skip
        pieces = [text.text for text in request.texts]
        whole = join([await self._recognise(between.join(pieces)) for between in ("\n", "")])
        return replace(request, texts=texts, floor=request.floor.join(whole)), Findings(tuple(found))

    def _bound(self, texts: Sequence[str]) -> None:
        size = sum(map(len, texts))
        if size > self._most:
            raise RequestTooLarge(
                f"The request holds {size:,} characters of text, and {self._most:,} are taken.",
                hint="Send less text, or raise server.max_prompt_characters in isthmus.yaml.",
            )

    async def _message(self, message: Message, turns: _Turns) -> Message:
        called = join(self._given(call.arguments, turns.principal) for call in message.tool_calls)
        turns.calls.update((call.id, called) for call in message.tool_calls)
        owed = called.join(turns.calls.get(message.tool_call_id or "", PUBLIC))
        parts: list[Part] = []
        for part in message.parts:
            label = part.label.join(owed)
            if isinstance(part, Text):
                origin = self._given(part.text, turns.principal) if part.origin == "answer" else PUBLIC
                label = label.join(origin).join(await self._label(part.text, turns.found))
            parts.append(replace(part, label=label))
        return replace(message, parts=tuple(parts))

    def _given(self, text: str, principal: str) -> Label:
        """What an assistant wrote carries the label of the answer that this principal was given; if it was none, its
        origin is lost."""
        if not text.strip() or text.strip() == "{}":
            return PUBLIC
        given = self._provenance.answered(text, principal)
        if given is not None:
            return given
        return PUBLIC if self._trust_answers else ORIGIN_LOST

    async def _label(self, text: str, found: list[Finding]) -> Label:
        if not text.strip():
            return PUBLIC
        label = await self._recognise(text)
        verdict = await check(self._guards, text, "input")
        found += verdict.findings
        return label.join(verdict.label)

    async def _recognise(self, text: str) -> Label:
        if len(text) > _OFF_THE_LOOP:
            return await asyncio.to_thread(self._provenance.recognise, text)
        return self._provenance.recognise(text)


def _wholes(request: ChatRequest) -> list[str]:
    """The request's text as a reader would put it together: what is cut between turns or parts is whole again."""
    pieces = [text.text for text in request.texts()]
    if len(pieces) + len(request.sampling.stop) < 2:
        return []
    return ["\n".join(pieces), "".join(pieces), " ".join(request.sampling.stop)]


def other_texts(request: ChatRequest) -> list[str]:
    """Typed text outside the parts, all of which leaves too: tools, schemas, stop words, addresses of images, names
    and ids of calls."""
    texts = [" ".join([tool.name, tool.description, *_strings(tool.parameters)]) for tool in request.tools]
    for message in request.messages:
        texts += [f"{call.id} {call.name} {call.arguments}" for call in message.tool_calls]
        texts.append(message.tool_call_id or "")
        texts += [part.url for part in message.parts if isinstance(part, Image) and not part.url.startswith("data:")]
    if request.format is not None:
        texts.append(" ".join([request.format.name, *_strings(request.format.schema)]))
    return [*texts, request.tool_choice or "", *request.sampling.stop]


def _strings(schema: object) -> Iterator[str]:
    """Every word in a schema, names of fields included."""
    if isinstance(schema, str):
        yield schema
    elif isinstance(schema, Mapping):
        for name, value in schema.items():
            yield str(name)
            yield from _strings(value)
    elif isinstance(schema, Sequence):
        for value in schema:
            yield from _strings(value)


async def check(guards: Sequence[Guard], text: str, stage: Stage) -> Verdict:
    """All guards over one text: labels join, findings add up. Raises :class:`GuardBlocked` where one blocks."""
    label = PUBLIC
    findings: list[Finding] = []
    for guard in guards:
        verdict = await guard.check(text, stage)
        if verdict.action == "block":
            raise GuardBlocked(
                f"The guard {guard.name!r} blocked this text.",
                details={"rule": verdict.rule, "findings": Findings(verdict.findings).as_dict()},
            )
        label = label.join(verdict.label)
        findings += verdict.findings
    return Verdict("allow", label, tuple(findings))
