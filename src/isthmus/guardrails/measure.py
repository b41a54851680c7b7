"""How well the PII guard finds what people marked: by any overlap, whatever the kinds are called."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec

from isthmus.errors import InvalidRequest
from isthmus.guardrails.pii import Pii
from isthmus.seams import Finding


class Span(msgspec.Struct, frozen=True):
    start: int
    end: int


class Sample(msgspec.Struct, frozen=True):
    """A text and the ranges in it that are personal; other fields of a line are ignored."""

    text: str
    spans: list[Span]


@dataclass(frozen=True, slots=True)
class Measured:
    """``marked`` ranges of which ``met`` were found; ``found`` ranges of which ``right`` meet a marked one.
    ``ms_p50``: milliseconds a text, median."""

    texts: int
    marked: int
    met: int
    found: int
    right: int
    ms_p50: float

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.met / self.marked if self.marked else 1.0

    @property
    def f2(self) -> float:
        """Recall counts twice as much as precision."""
        below = 4 * self.precision + self.recall
        return 5 * self.precision * self.recall / below if below else 0.0

    def as_dict(self) -> dict[str, float]:
        figures = {"precision": self.precision, "recall": self.recall, "f2": self.f2}
        rounded = {name: round(value, 4) for name, value in figures.items()}
        return {"texts": self.texts, "spans": self.marked, **rounded, "ms_p50": round(self.ms_p50, 2)}


def read(path: Path) -> list[Sample]:
    """The samples of a JSON Lines file. Raises :class:`InvalidRequest`, naming the line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from error
    return [_sample(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _sample(line: bytes, where: str) -> Sample:
    try:
        return msgspec.json.decode(line, type=Sample)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"{where}: {error}.", hint="A line is an object with text and spans.") from error


async def measure(guard: Pii, samples: Sequence[Sample], step: Callable[[], None] = lambda: None) -> Measured:
    """Run the guard over the samples, one after the other; ``step`` is called after each."""
    await guard.find("Warm-up.")  # a cold start is not what a text costs
    marked = met = found = right = 0
    times = []
    async for sample, ranges, seconds in _answers(guard, samples):
        marked += len(sample.spans)
        met += _meeting(sample.spans, ranges)
        found += len(ranges)
        right += _meeting(ranges, sample.spans)
        times.append(seconds)
        step()
    return Measured(len(samples), marked, met, found, right, 1000 * median(times) if times else 0.0)


async def _answers(guard: Pii, samples: Iterable[Sample]) -> AsyncIterator[tuple[Sample, list[Span], float]]:
    for sample in samples:
        began = time.perf_counter()
        findings = await guard.find(sample.text)
        yield sample, _ranges(findings), time.perf_counter() - began


def _ranges(findings: Iterable[Finding]) -> list[Span]:
    """What identifies, without kinds: ranges that overlap are one. Medical words identify nobody."""
    ranges: list[Span] = []
    for finding in sorted(findings, key=lambda one: one.start):
        if finding.kind.startswith("HEALTH"):
            continue
        if ranges and finding.start < ranges[-1].end:
            ranges[-1] = Span(ranges[-1].start, max(ranges[-1].end, finding.end))
        else:
            ranges.append(Span(finding.start, finding.end))
    return ranges


def _meeting(some: Iterable[Span], others: Sequence[Span]) -> int:
    return sum(any(one.start < other.end and other.start < one.end for other in others) for one in some)
