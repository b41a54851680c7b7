"""``isthmus ingest``: files and folders into a collection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isthmus.cli.terminal import DONE, FAILED, Config, Json, configuration, progress, show
from isthmus.errors import InvalidRequest
from isthmus.labels import Label
from isthmus.orchestration.ingest import FileResult, Ingest, Report, Spec
from isthmus.orchestration.manifest import load
from isthmus.principals import local_user

#: Of whoever works at this machine's command line.
ROLES = frozenset({"user", "curator"})
_STYLES = {"added": "green", "updated": "green", "deleted": "yellow", "skipped": "yellow", "rejected": "bold red"}


def ingest(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders.", show_default=False)] = None,
    collection: Annotated[str, typer.Option("--collection", help="The collection to put them in.")] = "",
    level: Annotated[str, typer.Option("--level", help="public, internal, confidential or restricted.")] = "",
    category: Annotated[list[str] | None, typer.Option("--category", help="Kind of content (repeatable).")] = None,
    residency: Annotated[
        list[str] | None, typer.Option("--residency", help="Jurisdiction where it may be processed (repeatable).")
    ] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="Who may read it (repeatable).")] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="YAML that says for each file what it is, instead of the above.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> int:
    """Read documents into a collection; run again, it takes in what changed and deletes what has gone."""
    label = label_of(level, category, residency)
    work = work_of(paths or [], collection, label, frozenset(group or ()), manifest)
    report = asyncio.run(run(_ingest(config), work, quiet=json))
    show(report.as_dict(), json, lambda console: render(console, report))
    return FAILED if report.failed else DONE


def label_of(level: str, categories: Sequence[str] | None, residency: Sequence[str] | None) -> Label | None:
    """The label that the options give, or ``None`` where they give none: then the collection's holds."""
    if not (level or categories or residency):
        return None
    return Label.parse({"level": level or "internal", "categories": categories or (), "residency": residency or None})


def work_of(
    paths: list[Path], collection: str, label: Label | None, groups: frozenset[str], manifest: Path | None
) -> list[tuple[list[Path], Spec]]:
    """Paths, and what they become. Raises :class:`InvalidRequest` where the options don't say it, or say it twice."""
    if manifest is not None:
        if paths or collection or label is not None or groups:
            raise InvalidRequest("With --manifest, the manifest says what is read.", hint="Leave the rest away.")
        return load(manifest, local_user(ROLES))
    if not paths or not collection:
        raise InvalidRequest("Say what to read and where to put it.", hint="isthmus ingest PATH… --collection NAME")
    return [(paths, Spec(collection, local_user(ROLES), label, groups))]


async def run(
    opened: AbstractAsyncContextManager[Ingest], work: Sequence[tuple[list[Path], Spec]], *, quiet: bool
) -> Report:
    """Do the work under a progress bar that names the file being read."""
    report = Report(())
    with progress(quiet) as bar:
        task = bar.add_task("starting…", total=None)

        def tell(source: str, done: int, total: int) -> None:
            bar.update(task, description=Path(source).name, completed=done, total=total)

        async with opened as stack:
            for paths, spec in work:
                report += await stack.ingest(paths, spec, tell)
    return report


def render(console: Console, report: Report) -> None:
    """One line a file that changed or failed, then the counts."""
    for result in report.results:
        if result.status != "unchanged" or result.notes:
            _render_file(console, result)
    counts = {name: number for name, number in report.as_dict().items() if name not in ("files", "chunks") and number}
    chunks = sum(result.chunks for result in report.results)
    told = [f"{number} {name}" for name, number in counts.items()] + ([_chunks(chunks)] if chunks else [])
    console.print(", ".join(told) or "nothing to do")


def _render_file(console: Console, result: FileResult) -> None:
    console.print(f"{result.status:9}", style=_STYLES.get(result.status), end=" ")
    told = f"  ({_chunks(result.chunks)}, {result.label})" if result.label is not None else ""
    console.print(f"{result.source}{told}", markup=False)
    lines = [str(result.error.get(name) or "") for name in ("message", "hint")]
    for line in (*lines, *result.notes):
        if line:
            console.print(f"          {line}", markup=False, style="dim")


def _chunks(number: int) -> str:
    return f"{number} chunk{'' if number == 1 else 's'}"


def _ingest(config: Path | None) -> AbstractAsyncContextManager[Ingest]:
    """The parts, wired and started; ``wiring`` stops them again."""
    from isthmus import wiring

    return wiring.ingest(*configuration(config))
