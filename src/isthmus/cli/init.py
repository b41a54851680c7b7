"""``isthmus init``: a configuration to start from, and the starter policies beside it."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isthmus.cli.terminal import Json, show
from isthmus.config import default_home
from isthmus.errors import InvalidRequest

_STARTER = importlib.resources.files("isthmus") / "governance" / "policy" / "starter"
_CONFIG = importlib.resources.files("isthmus") / "cli" / "isthmus.yaml"


def init(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to put isthmus.yaml and policies/ (default: the home folder).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    json: Json = False,
) -> None:
    """Write isthmus.yaml and the starter policies."""
    target = default_home() if folder is None else folder
    written = []
    for name, text in _files().items():
        path = target / name
        if path.exists() and not force:
            raise InvalidRequest(f"{path} is there already.", hint="Give another folder, or --force to replace it.")
        written.append((path, text))
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, text in written:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf8")
    paths = [str(path) for path, _ in written]
    show({"written": paths}, json, lambda console: _render(console, paths))


def _files() -> dict[str, str]:
    files = {"isthmus.yaml": _CONFIG.read_text(encoding="utf8")}
    for policy in sorted(_STARTER.iterdir(), key=lambda entry: entry.name):
        if policy.name.endswith((".cedar", ".cedarschema")):
            files[f"policies/{policy.name}"] = policy.read_text(encoding="utf8")
    return files


def _render(console: Console, paths: list[str]) -> None:
    for path in paths:
        console.print(f"wrote {path}", markup=False)
    console.print("\nNext: `isthmus doctor`, then `isthmus keys create --name me --role admin` and `isthmus serve`.")
