"""Stop 7, release: what the model says becomes what the client gets, through a window of guards, never unchecked.

Text runs through its stages in order (citations, then the output guards' window); reasoning and tool arguments through
windows of their own. Log-probabilities spell out tokens, so they are held to the end and dropped if text was changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from isthmus.messages import ChatEvent, Finish, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from isthmus.models.streams import closing
from isthmus.seams import OutputWindow


class TextStage(Protocol):
    """A filter over streamed text: ``feed`` gives what may go on now, ``close`` the rest."""

    def feed(self, text: str) -> str: ...

    def close(self) -> str: ...


@dataclass(slots=True)
class Release:
    """One answer on its way out. ``window`` makes a fresh guard window; ``stage`` filters the text before it."""

    window: Callable[[], OutputWindow]
    stage: TextStage | None = None
    _windows: dict[object, OutputWindow] = field(default_factory=dict)
    _came: list[str] = field(default_factory=list)
    _went: list[str] = field(default_factory=list)
    _logprobs: list[Mapping[str, object]] = field(default_factory=list)

    async def events(self, events: AsyncIterator[ChatEvent]) -> AsyncIterator[ChatEvent]:
        """The events as they may be released. Raises :class:`isthmus.errors.GuardBlocked` midway."""
        async with closing(events):
            async for event in events:
                if isinstance(event, Finish):
                    async for last in self._close():
                        yield last
                    yield event
                elif (released := await self._pass(event)) is not None:
                    yield released

    def found(self) -> dict[str, int]:
        """What the output guards found so far, by kind, in all of the answer's texts."""
        total: Counter[str] = Counter()
        for window in self._windows.values():
            total.update(window.found)
        return dict(sorted(total.items()))

    async def _pass(self, event: ChatEvent) -> ChatEvent | None:
        match event:
            case TextDelta():
                return await self._text(event)
            case ReasoningDelta() | RefusalDelta():
                out = await self._window(type(event)).feed(event.text)
                return type(event)(out) if out else None
            case ToolCallDelta():
                out = await self._window(event.index).feed(event.arguments)
                return ToolCallDelta(event.index, out, event.id, event.name)
            case _:
                return event

    async def _text(self, event: TextDelta) -> TextDelta | None:
        self._came.append(event.text)
        self._logprobs += event.logprobs
        staged = event.text if self.stage is None else self.stage.feed(event.text)
        out = await self._window(TextDelta).feed(staged)
        self._went.append(out)
        return TextDelta(out) if out else None

    async def _close(self) -> AsyncIterator[ChatEvent]:
        if self.stage is not None:
            self._went.append(await self._window(TextDelta).feed(self.stage.close()))
        rest = "" if self.stage is None else self._went[-1]
        for key, window in self._windows.items():
            out = await window.close()
            match key:
                case int():
                    yield ToolCallDelta(key, out)
                case type() if key is TextDelta:
                    rest += out
                    self._went.append(out)
                case type() if out:
                    yield ReasoningDelta(out) if key is ReasoningDelta else RefusalDelta(out)
        unchanged = "".join(self._came) == "".join(self._went)
        if rest or (self._logprobs and unchanged):
            yield TextDelta(rest, tuple(self._logprobs) if unchanged else ())

    def _window(self, key: object) -> OutputWindow:
        """A window per kind of text, and per tool call by its index."""
        if key not in self._windows:
            self._windows[key] = self.window()
        return self._windows[key]
