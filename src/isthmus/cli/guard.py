"""``isthmus guard``: what the guards see in a text, and how well they see."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from isthmus.cli.terminal import Config, Json, configuration, group, progress, show
from isthmus.config import GuardSettings
from isthmus.guardrails import load_guards
from isthmus.guardrails.measure import Measured, Sample, measure, read
from isthmus.guardrails.pii import Pii
from isthmus.guardrails.pool import Pool
from isthmus.orchestration.label import check as run_guards
from isthmus.seams import Verdict

app = group("Guards: check a text, and measure how well they find.")


@app.command()
def check(
    text: Annotated[str, typer.Argument(help="The text, or - for standard input.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what the input guards find in a text, and the label that they raise it to."""
    settings, _ = configuration(config)
    text = sys.stdin.read() if text == "-" else text
    verdict = asyncio.run(_check(settings.guardrails, text))
    show(_plain(verdict), json, lambda console: _render(console, verdict, text))


@app.command("eval-pii")
def eval_pii(
    data: Annotated[Path, typer.Option("--data", help="JSON Lines: text, and spans with start and end.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Measure the PII guard against marked texts: any overlap counts, kinds do not."""
    settings, _ = configuration(config)
    samples = read(data)
    with progress(quiet=json) as bar:
        task = bar.add_task("Texts", total=len(samples))
        measured = asyncio.run(_measure(settings.guardrails, samples, lambda: bar.advance(task)))
    show(measured.as_dict(), json, lambda console: _render_measured(console, measured))


async def _check(settings: GuardSettings, text: str) -> Verdict:
    guards = load_guards(settings)
    try:
        return await run_guards(guards.input, text, "input")
    finally:
        await guards.stop()


async def _measure(settings: GuardSettings, samples: list[Sample], step: Callable[[], None]) -> Measured:
    pool = Pool(settings.workers, settings.timeout)
    try:
        return await measure(Pii(pool), samples, step)
    finally:
        await pool.stop()


def _plain(verdict: Verdict) -> dict[str, object]:
    findings = [
        {"kind": finding.kind, "start": finding.start, "end": finding.end, "score": round(finding.score, 2)}
        for finding in verdict.findings
    ]
    return {"action": verdict.action, "label": verdict.label.as_dict(), "findings": findings}


def _render(console: Console, verdict: Verdict, text: str) -> None:
    table = Table("found", "from", "to", "text", box=None)
    for finding in verdict.findings:
        table.add_row(finding.kind, str(finding.start), str(finding.end), Text(text[finding.start : finding.end]))
    if verdict.findings:
        console.print(table)
    console.print(f"The guards raise this text to: {verdict.label}")


def _render_measured(console: Console, measured: Measured) -> None:
    console.print(
        f"{measured.texts} texts, {measured.marked} spans: precision {measured.precision:.3f}, "
        f"recall {measured.recall:.3f}, F2 {measured.f2:.3f}; {measured.ms_p50:.1f} ms a text (median)"
    )
