"""What commands that read through the log share: a bar on a long way, a word on what was broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from isthmus.cli.terminal import err, progress

#: From so many entries on, a bar shows how far the reading is.
_LONG = 5_000


@contextmanager
def bar(total: int, quiet: bool) -> Iterator[Callable[[int], object]]:
    """A progress bar over ``total`` entries; what it gives is called with the number of each few that were read."""
    with progress(quiet or total < _LONG) as shown:
        task = shown.add_task("reading the log", total=total)
        yield lambda count: shown.advance(task, count)


def warn_of_broken(broken: Sequence[int]) -> None:
    """Say on standard error that an entry is not what belongs in its place."""
    if broken:
        others = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        err().print(f"[bold red]Entry {broken[0]}{others} is no entry of this place[/]: run `isthmus audit verify`.")
