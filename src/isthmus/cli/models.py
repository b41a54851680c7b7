"""``isthmus models``: the catalogue, and the weights on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Column, Table

from isthmus.cards import Card, Clearance
from isthmus.cli.terminal import Config, Json, configuration, err, group, show
from isthmus.config import Home, ModelSettings, Settings, cache_folder
from isthmus.errors import AuditUnavailable, DigestMismatch, IsthmusError, NotFound
from isthmus.models import discover, fit, gguf
from isthmus.models.catalogue import cards, models, weights_name
from isthmus.models.weights import Progress as Watch
from isthmus.models.weights import Store, Weights, digest, known_digest, locate
from isthmus.models.weights.digests import no_progress
from isthmus.principals import operator

app = group("The models of the catalogue, and the weights on this machine.")

_NAMES = "A starter's name, hub:OWNER/NAME/FILE, or a file."
_LARGE = 100_000_000


@app.command("list")
def list_models(config: Config = None, json: Json = False) -> None:
    """List the models of the catalogue, the weights held, and the model servers that run here."""
    settings, home = configuration(config)
    entries = models(settings)
    plain = {
        "models": [{**_facts(card), **_weights(entries[name], home)} for name, card in cards(settings, home).items()],
        "weights": [_held(path, name) for path, name in _cached()],
        "servers": [asdict(server) for server in discover.find()],
    }
    show(plain, json, lambda console: _render_list(console, plain))


@app.command()
def pull(
    names: Annotated[list[str] | None, typer.Argument(help=f"{_NAMES} None: every starter.")] = None,
    json: Json = False,
) -> None:
    """Fetch weights into the cache folder, unless they are there, and check their digests."""
    store = Store(cache_folder())
    pulled = {}
    for name in names or store.starters:
        weights = store.find(name)
        held = weights.locate() is not None
        with _bar(name, json) as watch:
            pulled[name] = str(weights.pull(watch))
        if not held:
            _record_pulled(weights)
    show({"pulled": pulled}, json, lambda console: _render_paths(console, pulled))


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help=f"{_NAMES} None: all that the cache holds.")] = None,
    json: Json = False,
) -> None:
    """Hash every byte of the weights again and compare with the digests."""
    store = Store(cache_folder())
    sound, broken = [], []
    for weights in [store.find(name) for name in names] if names else list(store.held()):
        try:
            with _bar(weights.name, json) as watch:
                weights.verify(watch)
            sound.append(weights.name)
        except DigestMismatch as error:
            broken.append(error)
    if broken:
        raise DigestMismatch(
            " ".join(error.message for error in broken), hint=broken[0].hint, details={"verified": sound}
        )
    show({"verified": sound}, json, lambda console: console.print("\n".join(f"{name}: ok" for name in sound)))


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="Names as `isthmus models list` shows them.")], json: Json = False
) -> None:
    """Delete weights from the cache folder. A file of your own is never deleted."""
    store = Store(cache_folder())
    removed = [name for name in names if _remove(store.find(name))]
    if missing := [name for name in names if name not in removed]:
        raise NotFound(f"The cache does not hold {', '.join(missing)}.", hint="See `isthmus models list`.")
    show({"removed": removed}, json, lambda console: console.print(f"removed {', '.join(removed)}"))


def _record_pulled(weights: Weights) -> None:
    """What cannot be recorded is not kept. Raises :class:`AuditUnavailable`."""
    path = weights.locate()
    if path is None:
        return
    try:
        with _recorded() as record:
            record({"type": "models.pulled", "weights": weights.name, "digest": digest(path), "by": operator()})
    except AuditUnavailable:
        weights.remove()
        raise


def _remove(weights: Weights) -> bool:
    """Recorded before it is done; a file of the user's own is neither."""
    path = weights.locate()
    if path is None or not path.is_relative_to(cache_folder()):
        return weights.remove()
    with _recorded() as record:
        record({"type": "models.removed", "weights": weights.name, "digest": known_digest(path), "by": operator()})
        return weights.remove()


@contextmanager
def _recorded() -> Iterator[Callable[[Mapping[str, object]], object]]:
    """What puts an event into the log of this home. One that has no log serves nobody yet: nothing is recorded, and
    its first start says what weights there are."""
    settings, home = configuration(None)
    if not home.audit.is_dir() and settings.audit.database is None:
        yield lambda event: None
        return
    from isthmus.wiring import recorded  # here, so that its imports cost the other commands nothing

    with recorded(settings, home) as record:
        yield record


@app.command("show")
def show_model(
    model: Annotated[str, typer.Argument(help=f"A model's id. {_NAMES}")],
    context: Annotated[int, typer.Option("--context", min=1, help="Tokens of context that must fit.")] = 8192,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show a model's card, its weights, and whether they fit into this machine's memory."""
    settings, home = configuration(config)
    card, entry = cards(settings, home).get(model), models(settings).get(model)
    name = model if entry is None else weights_name(entry, home)
    plain = ({} if card is None else _facts(card)) | _described(name, card, context, settings)
    show(plain, json, lambda console: _render_facts(console, plain))


def _described(name: str | None, card: Card | None, context: int, settings: Settings) -> dict[str, Any]:
    if name is None:
        return {}
    path = locate(name)
    if path is None and card is None:
        raise NotFound(f"There is no model and no weights called {name}.", hint="See `isthmus models list`.")
    if path is None:
        return {"weights": name, "present": False}
    held = _held(path, name)
    return {"weights": held.pop("name"), "present": True, **held, **_fit(path, context, settings)}


def _fit(path: Path, context: int, settings: Settings) -> dict[str, Any]:
    try:
        header = gguf.read(path)
    except IsthmusError:
        return {}  # weights of another kind
    result = fit.fit(header, context, fit.budget(settings.runtime.memory))
    return {"header": header.name, "fit": {**asdict(result), "need": result.need, "fits": result.fits}}


def _facts(card: Card) -> dict[str, Any]:
    """The card as plain data, levels by name."""
    return {**asdict(card), "clearance": _clearance(card.clearance)}


def _clearance(clearance: Clearance) -> dict[str, Any]:
    categories = ["*"] if clearance.categories is None else sorted(clearance.categories)
    return {"level": str(clearance.level), "categories": categories}


def _weights(entry: ModelSettings, home: Home) -> dict[str, Any]:
    """``present`` is ``None`` for a model whose weights are somebody else's."""
    name = weights_name(entry, home)
    return {"weights": name, "present": None if name is None else locate(name) is not None}


def _cached() -> Iterator[tuple[Path, str]]:
    for weights in Store(cache_folder()).held():
        if (path := weights.locate()) is not None:
            yield path, weights.name


def _held(path: Path, name: str) -> dict[str, Any]:
    files = [path] if path.is_file() else [entry for entry in path.iterdir() if entry.is_file()]
    size = sum(file.stat().st_size for file in files)
    return {"name": name, "path": str(path), "bytes": size, "digest": digest(path)}


def _render_list(console: Console, plain: dict[str, Any]) -> None:
    names = ("model", "where", "openness", "clearance", "here")
    table = Table(*(Column(name, overflow="fold") for name in names), box=None, header_style="bold")
    for row in plain["models"]:
        where = " ".join(filter(None, (row["locality"], row["jurisdiction"])))
        clearance = f"{row['clearance']['level']} {', '.join(row['clearance']['categories'])}".strip()
        here = {True: "yes", False: "no", None: "–"}[row["present"]]
        openness = row["openness"]["weights"] or "?"
        table.add_row(row["id"], where, openness, clearance, here)
    console.print(table)
    console.print()
    for held in plain["weights"]:
        console.print(f"weights  {held['name']}  {held['bytes'] / 1e6:,.0f} MB  {_short(held['digest'])}", markup=False)
    for server in plain["servers"]:
        models = ", ".join(server["models"]) or "no models"
        console.print(f"{server['name']} runs at {server['url']}: {models}", markup=False)
    _render_hint(console, plain["models"])


def _render_hint(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    missing = sorted({row["weights"] for row in rows if row["present"] is False})
    if missing:
        console.print(f"Fetch what is not here: isthmus models pull {' '.join(missing)}", markup=False, style="dim")


def _render_facts(console: Console, plain: dict[str, Any]) -> None:
    for name, value in plain.items():
        if text := _SAY.get(name, _plainly)(value):
            console.print(f"{name:14}{text}", markup=False)


def _plainly(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, fact in value.items() if (text := _plainly(fact)))
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def _fit_plainly(result: dict[str, Any]) -> str:
    need, budget = result["need"] / 1e9, result["budget"] / 1e9
    verdict = "yes" if result["fits"] else "no"
    return (
        f"{verdict}: {need:.1f} of {budget:.1f} GB for {result['context']:,} tokens of context "
        f"({result['largest']:,} at most)"
    )


_SAY: Mapping[str, Callable[[Any], str]] = {
    "fit": _fit_plainly,
    "bytes": lambda size: f"{size / 1e6:,.0f} MB",
    "present": lambda present: "" if present else "not on this machine",
    "price": lambda price: (
        f"{price['input']} in, {price['output']} out, {price['currency']} per {price['per']:,} tokens"
    ),
}


def _render_paths(console: Console, pulled: dict[str, str]) -> None:
    for name, path in pulled.items():
        console.print(f"{name}: {path}", markup=False)


def _short(sha256: str) -> str:
    return sha256.removeprefix("sha256:")[:8]


@contextmanager
def _bar(name: str, quiet: bool) -> Iterator[Watch]:
    """A bar of bytes on standard error; a line for every quarter where it is no terminal; nothing with ``--json``."""
    console = err()
    if quiet or not console.is_terminal:
        yield no_progress if quiet else _Quarters(name, console)
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


class _Quarters:
    """Says nothing of what is quick, nor of what is there already (its first word is that all is done)."""

    def __init__(self, name: str, console: Console) -> None:
        self._name, self._console = name, console
        self._said = -1

    def __call__(self, done: int, total: int) -> None:
        quarter = 4 * done // total if total > _LARGE else -1
        if self._said < quarter < 4:
            self._said = quarter
            self._console.print(f"{self._name}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB", markup=False)
