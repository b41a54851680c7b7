"""An event as the bytes that are hashed: canonical JSON with the entry's place (``seq``) and ``time``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.tree.layout import LARGEST

_fast = msgspec.json.Encoder(order="sorted").encode
_OURS = frozenset({"seq", "time"})


def encode(event: Mapping[str, object], seq: int, now: datetime) -> bytes:
    """Sorted keys, UTF-8, no spaces; ``time`` in RFC 3339, UTC, to the microsecond. A number that is none is null.

    Raises :class:`AuditUnavailable` for what JSON cannot hold, for an entry over 65,535 bytes, and for an event that
    brings its own ``seq`` or ``time``: what cannot be recorded is not done.
    """
    if not _OURS.isdisjoint(event):
        raise AuditUnavailable("An event must not bring its own seq or time.", hint="This is a fault of the caller.")
    time = now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    whole = {**event, "seq": seq, "time": time}
    try:
        entry = _fast(whole)
    except UnicodeEncodeError:
        entry = _hostile(whole)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise AuditUnavailable(
            f"The event cannot be recorded: {error}.", hint="This is a fault of the caller."
        ) from None
    if len(entry) > LARGEST:
        raise AuditUnavailable(
            f"The event takes {len(entry)} bytes; an entry holds {LARGEST}.",
            hint="Send fewer or smaller things at once.",
        )
    return entry


def _hostile(event: Mapping[str, object]) -> bytes:
    """A lone surrogate is no character: hostile text must not stop the record of it."""
    text = json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=msgspec.to_builtins)
    return text.encode("utf-8", "replace")


def decode(entry: bytes, index: int) -> dict[str, object] | None:
    """The event of an entry, or ``None`` where it is no JSON object with the ``seq`` of its place."""
    try:
        event = json.loads(entry)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and event.get("seq") == index else None
