"""``isthmus audit schema``: what the owner of a shared log's tables runs once."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus.cli.terminal import Json, show
from isthmus.governance.audit.postgres.schema import script


def schema(
    writer: Annotated[str | None, typer.Option("--writer", help="The role that the replicas write with.")] = None,
    reader: Annotated[str | None, typer.Option("--reader", help="A role that only reads, as an auditor's.")] = None,
    json: Json = False,
) -> None:
    """Print the SQL that makes a shared log's tables in an empty database: give it to psql, as their owner."""
    sql = script(writer, reader)
    show({"sql": sql}, json, lambda console: console.out(sql, end=""))
