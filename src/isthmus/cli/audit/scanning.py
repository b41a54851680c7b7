"""What commands that read through the log share: a bar on a long way, a word on what was changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer

from isthmus.cli.terminal import FAILED, err, progress

#: From so many entries on, a bar shows how far the reading is.
_LONG = 5_000


@contextmanager
def bar(total: int, quiet: bool) -> Iterator[Callable[[int], object]]:
    """A progress bar over ``total`` entries; what it gives is called with the number of each few that were read."""
    with progress(quiet or total < _LONG) as shown:
        task = shown.add_task("reading the log", total=total)
        yield lambda count: shown.advance(task, count)


def fail_if_broken(broken: Sequence[int], signed: int) -> None:
    """After what was found: say on standard error what was passed over because it was changed, and end as a failure."""
    if not broken:
        return
    numbers = sorted(broken)
    others = f" (and {len(numbers) - 1} more)" if len(numbers) > 1 else ""
    what = f"what was signed in the checkpoint of {signed}" if numbers[0] < signed else "what a log holds at that place"
    err().print(
        f"[bold red]Entry {numbers[0]}{others} is NOT {what}.[/] It was left out above. "
        "Keep the files as they are and run `isthmus audit verify`."
    )
    raise typer.Exit(FAILED)
