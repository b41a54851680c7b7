"""What a check looks at, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from isthmus.config import Home, Settings
from isthmus.errors import IsthmusError
from isthmus.models import discover

Status: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``hint`` says what to do; empty where nothing is to be done."""

    check: str
    status: Status
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is looked at. ``problem``: why the configuration could not be read (``settings`` are then the defaults)."""

    settings: Settings
    home: Home
    problem: IsthmusError | None = None
    places: Sequence[discover.Place] = discover.PLACES


Check: TypeAlias = Callable[[Setup], Iterator[Finding]]
