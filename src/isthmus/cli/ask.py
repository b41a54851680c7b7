"""``isthmus ask``: one question through the whole pipeline, without a server."""

from __future__ import annotations

import asyncio
import os
import secrets
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from isthmus.cli.knowledge import require_collections
from isthmus.cli.terminal import Config, Json, configuration, err, show
from isthmus.errors import InvalidRequest
from isthmus.labels import Label
from isthmus.messages import ChatRequest, Completion, Message, Sampling, Text, TextDelta, fold
from isthmus.models.streams import closing
from isthmus.principals import local_user

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
    """Ask one question as the local user, and show the answer, who gave it, and why.

    It loads a local model itself, each time: a server that runs (isthmus serve) has it loaded, and answers sooner.
    """
    from isthmus.wiring import build  # here, so that its imports cost the other commands nothing

    if not question.strip():
        raise InvalidRequest("The question is empty.", hint='isthmus ask "QUESTION"')
    settings, home = configuration(config)
    stack = build(settings, home)
    principal = local_user(frozenset({"user"}), frozenset(group or ()), stack.typed_default)
    require_collections(collection or (), principal, settings, home)
    label = stack.typed(principal, purpose).join(Label.parse(level or "public"))
    message = Message("user", (Text(question, label),))
    request = ChatRequest(
        "req_" + secrets.token_hex(12), principal, model, (message,), purpose, label, Sampling(max_tokens=max_tokens)
    )
    answer, facts = asyncio.run(_ask(stack, request, tuple(collection or ()), quiet=json))
    plain = {"answer": answer.text, **facts}
    show(plain, json, lambda console: render(console, facts))


async def _ask(
    stack: Stack, request: ChatRequest, knowledge: tuple[str, ...], quiet: bool
) -> tuple[Completion, dict[str, Any]]:
    await stack.start("ask", os.environ.get("ISTHMUS_WHY", ""))
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


def render(console: Console, facts: dict[str, Any]) -> None:
    """What stands below an answer: its citations, under the numbers that stand in it, and its facts."""
    console.print("\n")
    for citation in facts["citations"]:
        page = f", page {citation['page']}" if citation.get("page") else ""
        quote = f": “{' '.join(citation['quote'].split())}”"
        support = quote if citation["supported"] else " (the passage does not support this)"
        _quiet(console, f"  [{citation['number']}] {citation['title']}{page}{support}")
    receipt = facts["receipt"]
    told = {
        **{name: facts.get(name) for name in ("model", "reason", "rule")},
        "label": facts["label"]["text"],
        "cost": _price(facts["cost"]) if "cost" in facts else None,
        "receipt": f"entry {receipt['index']} of {receipt['log']}: isthmus audit show {facts['request']}",
    }
    for name, value in told.items():
        if value:
            _quiet(console, f"  {name:8} {value}")


def _quiet(console: Console, line: str) -> None:
    console.print(line, markup=False, style="dim", soft_wrap=True)


def _price(cost: dict[str, str]) -> str:
    amount = Decimal(cost["amount"])
    return f"{amount.normalize():f} {cost['currency']}" if amount else "free"
