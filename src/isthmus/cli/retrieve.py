"""``isthmus retrieve``: what would be found, and how well it finds."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from typer.core import TyperGroup

from isthmus.cli.ingest import ROLES
from isthmus.cli.knowledge import require_collections
from isthmus.cli.terminal import Config, Json, configuration, progress, show
from isthmus.config import Home, Settings
from isthmus.data.database import Database
from isthmus.data.documents import Documents
from isthmus.data.passages import Passages
from isthmus.labels import INTERNAL
from isthmus.messages import Text
from isthmus.principals import Principal, local_user
from isthmus.retrieval import evaluate
from isthmus.retrieval.metrics import summary
from isthmus.retrieval.retriever import HybridRetriever
from isthmus.seams import Embedder, Retrieval


class _QueryByDefault(TyperGroup):
    """``isthmus retrieve QUESTION`` is ``isthmus retrieve query QUESTION``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["query", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_QueryByDefault,
    help="Search the documents, and measure the search.",
    no_args_is_help=True,
    subcommand_metavar="QUESTION",
    add_completion=False,
)


@app.command()
def query(
    question: Annotated[str, typer.Argument(help="What to look for.")],
    collection: Annotated[list[str] | None, typer.Option("--collection", help="Only there (repeatable).")] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="Search as a member of it (repeatable).")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many passages.")] = 4,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the passages that a question finds, with their scores, and whether they would be answered from.

    The word `query` may be left out.
    """
    settings, home = configuration(config)
    asker = local_user(ROLES, frozenset(group or ()))
    require_collections(collection or (), asker, settings, home)
    found = asyncio.run(_query(settings, home, (question, asker, tuple(collection or ()), limit)))
    show(_plain(found), json, lambda console: render(console, found))


@app.command("eval")
def evaluation(
    corpus: Annotated[Path, typer.Option("--corpus", help="JSON lines: _id, title, text.")],
    queries: Annotated[Path, typer.Option("--queries", help="JSON lines: _id, text.")],
    qrels: Annotated[Path, typer.Option("--qrels", help="Tab-separated: query, document, gain; with a heading.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Measure nDCG@10, MAP and recall@100 on a collection in BEIR's shapes; what is stored here is not touched."""
    settings, home = configuration(config)
    trial = evaluate.read(corpus, queries, qrels)
    with progress(json) as bar, tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        plain = asyncio.run(_evaluate(_embedder(settings, home), trial, Path(folder), bar))
    show(plain, json, lambda console: _render_measures(console, plain))


async def _query(settings: Settings, home: Home, ask: tuple[str, Principal, Sequence[str], int]) -> Retrieval:
    question, asker, collections, limit = ask
    database = Database(home.database)
    try:
        async with _embedder(settings, home) as embedder:
            retriever = HybridRetriever(Passages(database), embedder)
            return await retriever.retrieve(Text(question, INTERNAL), asker, collections=collections, limit=limit)
    finally:
        database.close()


async def _evaluate(
    opened: AbstractAsyncContextManager[Embedder], trial: evaluate.Trial, folder: Path, bar: Progress
) -> dict[str, object]:
    database = Database(folder / "evaluation.db")
    try:
        async with opened as embedder:
            work = evaluate.Evaluation(Documents(database), embedder, local_user(ROLES), INTERNAL)
            await work.store(trial, _teller(bar, "storing"))
            rankings = await work.rank(trial, HybridRetriever(Passages(database), embedder), _teller(bar, "asking"))
    finally:
        database.close()
    return {"documents": len(trial.corpus), **summary(rankings, trial.judgements)}


def _embedder(settings: Settings, home: Home) -> AbstractAsyncContextManager[Embedder]:
    """An admitted embedder, started; ``wiring`` stops it again."""
    from isthmus import wiring

    return wiring.embedder(settings, home)


def _teller(bar: Progress, what: str) -> Callable[[int, int], None]:
    task = bar.add_task(what, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _plain(found: Retrieval) -> dict[str, Any]:
    passages = [
        {
            "document": passage.document, "title": passage.title, "source": passage.source,
            "collection": passage.collection, "page": passage.page, "headings": list(passage.headings),
            "label": passage.label.as_dict(), "start": passage.start, "end": passage.end,
            "score": round(passage.score, 5), "text": passage.text,
        }
        for passage in found.passages
    ]  # fmt: skip
    return {"relevant": found.relevant, "reason": found.reason, "passages": passages}


def render(console: Console, found: Retrieval) -> None:
    """Each passage below its place: the title, then the headings that say more than it."""
    for number, passage in enumerate(found.passages, 1):
        place = [*dict.fromkeys((passage.title or passage.source, *passage.headings))]
        place += [f"page {passage.page}"] if passage.page else []
        console.print(f"[{number}] {' › '.join(place)}", markup=False, style="bold")
        console.print(
            f"    {passage.collection} · {passage.label} · score {passage.score:.4f}", markup=False, style="dim"
        )
        console.print(passage.text.strip(), markup=False)
        console.print()
    console.print(found.reason, markup=False, style="green" if found.relevant else "yellow")


def _render_measures(console: Console, plain: dict[str, Any]) -> None:
    console.print(f"{plain['queries']} queries over {plain['documents']} documents")
    for name in ("ndcg@10", "map", "recall@100"):
        low, high = plain[f"{name}_ci"]
        console.print(f"{name:>10}  {plain[name]:.3f}  ({low:.3f} to {high:.3f})", markup=False)
