"""What the commands that check say, in words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from isthmus.governance.audit.reading.verification import Verified

_NOTHING_KEPT = (
    "This says that the log fits its own signature; a log that was rewritten and signed again would too. "
    "Keep what `isthmus audit checkpoint` prints elsewhere, and give it with --checkpoint next time: "
    "then it also says that nothing before it was changed."
)


def held(sizes: Sequence[int], indexes: Sequence[int]) -> str:
    """What was kept and is in the log, in words."""
    parts = []
    if sizes:
        end = "entry" if [*sizes] == [1] else "entries"
        parts.append(f"your checkpoint{_s(sizes)} of {', '.join(map(str, sizes))} {end}")
    if indexes:
        kind = "entry" if len(indexes) == 1 else "entries"
        parts.append(f"your receipt{_s(indexes)} of {kind} {', '.join(map(str, indexes))}")
    return " and ".join(parts)


def _s(many: Sequence[int]) -> str:
    return "" if len(many) == 1 else "s"


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


def render(console: Console, verified: Verified, held: str, witnesses: list[dict[str, str]]) -> None:
    origin = escape(verified.checkpoint.origin)
    console.print(f"[green]The record holds[/]: {_entries(verified.checkpoint.size)} of {origin}.")
    if verified.pending:
        newer = "1 newer entry is" if verified.pending == 1 else f"{verified.pending} newer entries are"
        console.print(f"{newer} not signed for yet.", style="dim")
    if held:
        console.print(f"It holds {held}.")
    for one in witnesses:
        console.print(f"{escape(one['witness'])} cosigned its first {_entries(verified.older[-1])} at {one['time']}.")
    if not held and not witnesses:
        console.print(_NOTHING_KEPT)


def render_export(console: Console, folder: Path, size: int) -> None:
    console.print(
        f"{_entries(size)} in {folder}. Whoever kept the log's public key and a checkpoint checks them:", markup=False
    )
    console.out(f"python3 -I verify.py {shlex.quote(str(folder))} VKEY-YOU-KEPT CHECKPOINT-YOU-KEPT")
    console.print("Take verify.py and what was kept from elsewhere, not from this folder.", style="dim")
