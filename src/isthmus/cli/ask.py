"""``isthmus ask``: one question through the whole pipeline, without a server."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from isthmus.cli.terminal import Config, Json, configuration, err, show
from isthmus.labels import Label
from isthmus.messages import ChatRequest, Completion, Message, Sampling, Text, TextDelta, fold
from isthmus.models.streams import closing
from isthmus.principals import Principal

if TYPE_CHECKING:
    from isthmus.wiring import Stack


def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    model: Annotated[str, typer.Option("--model", help="A model's id, or auto.")] = "auto",
    collection: Annotated[
        list[str] | None, typer.Option("--collection", help="Answer from these collections (repeatable; * for all).")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Ask as a member of these groups (repeatable).")
    ] = None,
    level: Annotated[str, typer.Option("--level", help="The level of what is typed (it can only be raised).")] = "",
    purpose: Annotated[str, typer.Option("--purpose", help="The purpose that policy sees.")] = "",
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="The longest answer, in tokens.")] = 512,
    config: Config = None,
    json: Json = False,
) -> None:
    """Ask one question as the local user, and show the answer, who gave it, and why."""
    from isthmus.wiring import build  # here, so that its imports cost the other commands nothing

    settings, home = configuration(config)
    stack = build(settings, home)
    principal = Principal("local", "local user", groups=frozenset(group or ()), default=stack.typed_default)
    label = stack.typed(principal, purpose).join(Label.parse(level or "public"))
    message = Message("user", (Text(question, label),))
    request = ChatRequest(
        "req_" + secrets.token_hex(12), principal, model, (message,), purpose, label, Sampling(max_tokens=max_tokens)
    )
    answer, facts = asyncio.run(_ask(stack, request, tuple(collection or ()), quiet=json))
    plain = {"answer": answer.text, **facts}
    show(plain, json, lambda console: _render(console, facts))


async def _ask(
    stack: Stack, request: ChatRequest, knowledge: tuple[str, ...], quiet: bool
) -> tuple[Completion, dict[str, Any]]:
    await stack.start()
    try:
        with err().status("reading…", spinner="dots"):
            answer = await stack.pipeline.open(request, knowledge)
        console, seen = Console(highlight=False), []
        async with closing(answer.events) as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, TextDelta) and not quiet:
                    console.print(event.text, end="", markup=False, soft_wrap=True)
        return fold(seen), dict(answer.facts)
    finally:
        await stack.stop()


def _render(console: Console, facts: dict[str, Any]) -> None:
    console.print("\n")
    for number, citation in enumerate(facts["citations"], 1):
        page = f", page {citation['page']}" if citation.get("page") else ""
        quote = " ".join(citation["quote"].split())
        console.print(f"  {number}. {citation['title']}{page}: “{quote}”", markup=False, style="dim")
    for name in ("model", "reason", "rule"):
        if facts.get(name):
            console.print(f"  {name:8} {facts[name]}", markup=False, style="dim")
    console.print(f"  {'label':8} {facts['label']['text']}", markup=False, style="dim")
    receipt = facts["receipt"]
    console.print(f"  {'receipt':8} entry {receipt['index']} of {receipt['log']}", markup=False, style="dim")
