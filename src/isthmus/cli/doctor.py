"""``isthmus doctor``: what is wrong with this set-up, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console

from isthmus.cli.checks import CHECKS, Finding, Setup
from isthmus.cli.terminal import DONE, FAILED, Config, Json, err, show
from isthmus.config import Home, Settings, default_home, load
from isthmus.errors import ConfigInvalid

_SIGNS = {"ok": "[green]ok[/]  ", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def doctor(config: Config = None, json: Json = False) -> None:
    """Check the set-up and say what to do. The exit code is 1 where something has failed."""
    findings = list(_examine(_setup(config), quiet=json))
    failed = any(finding.status == "fail" for finding in findings)
    show(
        {"ok": not failed, "checks": [asdict(finding) for finding in findings]},
        json,
        lambda out: render(out, findings),
    )
    raise typer.Exit(FAILED if failed else DONE)


def _setup(config: Path | None) -> Setup:
    try:
        return Setup(*load(config))
    except ConfigInvalid as error:
        return Setup(Settings(), Home(default_home()), error)


def _examine(setup: Setup, quiet: bool) -> Iterator[Finding]:
    """Every check; the first use of weights hashes them, which takes seconds."""
    console = err()
    console.quiet = quiet
    with console.status("checking…") as status:
        for check in CHECKS:
            status.update(f"checking {check.__name__.replace('_', ' ')}…")
            yield from check(setup)


def render(console: Console, findings: Sequence[Finding]) -> None:
    """A line a finding, what to do below it, and the sum."""
    for finding in findings:
        console.print(f"{_SIGNS[finding.status]}  {finding.check:14}", end="")
        console.print(finding.message, markup=False)
        if finding.hint:
            console.print(f"{'':20}→ {finding.hint}", markup=False, style="dim")
    console.print()
    console.print(_sum(findings))


def _sum(findings: Sequence[Finding]) -> str:
    statuses = [finding.status for finding in findings]
    failed, warned = statuses.count("fail"), statuses.count("warn")
    warnings = f"{warned} warning{'' if warned == 1 else 's'}"
    if failed:
        return f"{failed} to put right." if not warned else f"{failed} to put right, {warnings}."
    return f"{warnings}, nothing failed." if warned else "Everything is in order."
