"""Days and times as people write them on a command line or in an address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from isthmus.errors import InvalidRequest

_AGO = re.compile(r"([0-9]{1,6})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_MONTH, _DAY = re.compile(r"[0-9]{4}-[0-9]{2}"), re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HINT = (
    "Write a month (2026-03), a day (2026-03-14), a time with its zone (2026-03-14T09:30:00Z), or how long ago "
    "(7d, 12h, 30m)."
)


def moment(written: str, field: str, now: datetime) -> datetime:
    """The moment that is meant: a month or a day begins at midnight UTC; a time says its zone (RFC 3339).

    Raises :class:`InvalidRequest`, naming the field.
    """
    written = written.strip()
    try:
        return _read(written, now)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{field}: {written[:60]!r} is no day or time.", hint=_HINT) from None


def _read(written: str, now: datetime) -> datetime:
    if ago := _AGO.fullmatch(written):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    if _MONTH.fullmatch(written):
        written += "-01"
    if _DAY.fullmatch(written):
        written += "T00:00Z"
    found = datetime.fromisoformat(written)
    if found.tzinfo is None:
        raise ValueError
    return found.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """From ``since`` on, before ``until``; ``None`` is open."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, at: datetime | None) -> bool:
        """Whether a moment lies in it. What has none lies only in a span that is open on both sides."""
        if self.since is None and self.until is None:
            return True
        return at is not None and (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def as_dict(self) -> dict[str, str | None]:
        """Plain data, in RFC 3339."""
        return {"from": _written(self.since), "until": _written(self.until)}


EVER = Span()


def span(since: str | None, until: str | None, now: datetime) -> Span:
    """The span that is meant. Raises :class:`InvalidRequest` for what is no day or time, or no span."""
    begin = None if since is None else moment(since, "from", now)
    end = None if until is None else moment(until, "until", now)
    if begin is not None and end is not None and begin >= end:
        raise InvalidRequest(
            f"until: {until} is not after {since}.", hint="`from` is included and `until` is not: add a day."
        )
    return Span(begin, end)


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
