"""WebVTT (W3C) and SubRip subtitles: what is said, by whom, without the times."""

from __future__ import annotations

import re

from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NAMED, NO, PROVEN, Parsers

_TIME = re.compile(r"^\s*(?:\d+:)?\d\d:\d\d[.,]\d{3}\s+-->")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"</?[^>]*>")


class Subtitles:
    def claims(self, raw: Raw) -> int:
        if raw.text is None:
            return NO
        if raw.head.startswith(b"webvtt"):
            return PROVEN
        return NAMED if raw.extension in ("vtt", "srt") else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        writer = Writer()
        for cue in re.split(r"\n\s*\n", (raw.text or "").replace("\r\n", "\n")):
            lines = cue.split("\n")
            times = next((place for place, line in enumerate(lines) if _TIME.match(line)), None)
            if times is not None:
                writer.add(_said(" ".join(lines[times + 1 :])), "row")
        return writer.finish(raw.stem, "text/vtt")


def _said(cue: str) -> str:
    voice = _VOICE.search(cue)
    said = _TAG.sub("", cue).strip()
    return f"{voice[1]}: {said}" if voice and said else said
