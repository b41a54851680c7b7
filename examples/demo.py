"""`make demo`: a small organisation, two models, six questions, and an administrator who rewrites the log.

Everything goes through the commands and the endpoint that a user has. State lies in out/demo,
made anew each time.
A closed model of your own plays the closed side if DEMO_CLOSED_BASE_URL, DEMO_CLOSED_API_KEY and DEMO_CLOSED_MODEL are
set; else a second Isthmus with a small open model plays it, behind HTTP and a key, and the demo says so.
DEMO_WEIGHTS names other weights for the open model, and DEMO_FOLDER another place.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
ORGANISATION = ROOT / "examples" / "organisation"
FOLDER = Path(os.environ.get("DEMO_FOLDER", ROOT / "out" / "demo"))
WEIGHTS = os.environ.get("DEMO_WEIGHTS", "starter/qwen2.5-coder-1.5b")
HOME, VENDOR = FOLDER / "home", FOLDER / "vendor"
ISTHMUS = [sys.executable, "-m", "isthmus"]
console = Console(highlight=False)


# ---------------------------------------------------------------- the two sides


@dataclass(frozen=True)
class Closed:
    """The closed side: where it is, its key, and whether it only plays a vendor."""

    base_url: str
    key: str
    model: str
    stand_in: bool


@contextmanager
def closed_side() -> Iterator[Closed]:
    """The vendor that is configured, or the stand-in."""
    if base_url := os.environ.get("DEMO_CLOSED_BASE_URL"):
        yield Closed(base_url, os.environ["DEMO_CLOSED_API_KEY"], os.environ["DEMO_CLOSED_MODEL"], False)
        return
    VENDOR.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "stand-in.yaml", VENDOR / "isthmus.yaml")
    key = secrets.token_urlsafe(32)
    with server(VENDOR, {"ISTHMUS_BOOTSTRAP_KEY": key}) as url:
        yield Closed(f"{url}/v1", key, "frontier-1", True)


@contextmanager
def server(home: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """`isthmus serve` on a free port; its URL once it answers. Stopped at the end."""
    log = (home / "server.log").open("wb")
    command = [*ISTHMUS, "--home", str(home), "serve", "--config", str(home / "isthmus.yaml"), "--port", "0"]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:
        yield wait_for(home / "run" / "server.json", process, home / "server.log")
    finally:
        process.terminate()
        process.wait()
        log.close()


def wait_for(file: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that the server leaves in its home folder once it is ready."""
    for _ in range(600):
        if file.exists() and (text := file.read_text()):
            return str(json.loads(text)["url"])
        if process.poll() is not None:
            sys.exit(f"The server stopped: {log.read_text()}")
        time.sleep(0.1)
    sys.exit(f"The server did not start within a minute: see {log}")


def isthmus(*arguments: str) -> Any:
    """One command of the command line, with its JSON."""
    command = [*ISTHMUS, "--home", str(HOME), *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout.decode()}")
    return json.loads(done.stdout)


# ---------------------------------------------------------------- six questions


@dataclass(frozen=True)
class Question:
    """``shows``: what to look for. ``asks``: the fields of an ordinary chat completion request. ``who`` asks it."""

    title: str
    shows: str
    text: str
    asks: Mapping[str, Any]
    who: str = "ada"


LETTER = (ORGANISATION / "pasted-letter.txt").read_text(encoding="utf8")
QUESTIONS = (
    Question(
        "The handbook",
        "search and summaries stay with the open model",
        "How many days of holiday do I have, and until when can I use days that are left over?",
        {"knowledge": ["handbook"]},
    ),
    Question(
        "A confidential memo",
        "it asks for reasoning, so `auto` would go closed; what was retrieved keeps it here",
        "Think it through step by step: what does project Heron cost us in total if both earn-outs are paid?",
        {"knowledge": ["management"], "reasoning_effort": "high"},
    ),
    Question(
        "A pasted medical letter",
        "nobody labelled it; the guard raises it",
        f"Summarise this letter in two sentences.\n\n{LETTER}",
        {"reasoning_effort": "high"},
    ),
    Question(
        "The same memo, for the closed model by name",
        "refused, with the rule's name",
        "What is the fixed price in project Heron?",
        {"knowledge": ["management"], "model": "closed/frontier"},
    ),
    Question(
        "A public question that needs thought",
        "public, asks for reasoning: closed",
        "Think it through step by step: why does a spectrometer have to warm up before it measures?",
        {"reasoning_effort": "high"},
        "website",
    ),
    Question(
        "The price list, an XLSX",
        "a citation with its sheet",
        "What does the lamp module SP-113 cost, and how long does delivery take?",
        {"knowledge": ["service"]},
    ),
)


def ask(client: openai.OpenAI, number: int, question: Question) -> dict[str, Any]:
    """Ask one question through the ordinary client, streaming, and show what came back; the facts of the answer."""
    console.print(Rule(f"[bold]{number}. {question.title}[/]  [dim]{question.shows}[/]", align="left"))
    console.print(Text(shorten(question.text), style="cyan"))
    asks = dict(question.asks)
    extra = {"isthmus": {"knowledge": asks.pop("knowledge", [])}}
    started, first = time.monotonic(), 0.0
    facts: dict[str, Any] = {}
    try:
        stream = client.chat.completions.create(
            model=asks.pop("model", "auto"),
            messages=[{"role": "user", "content": question.text}],
            stream=True,
            max_tokens=220,
            temperature=0,
            extra_body=extra,
            **asks,
        )
        for chunk in stream:
            facts = getattr(chunk, "isthmus", None) or facts
            text = chunk.choices[0].delta.content if chunk.choices else None
            if text:
                first = first or time.monotonic() - started
                console.print(text, end="", markup=False, soft_wrap=True)
    except openai.PermissionDeniedError as refusal:
        show_refusal(refusal)
        return {}
    console.print()
    show_facts(facts, first, time.monotonic() - started)
    return facts


def shorten(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()}… ({len(text)} characters)"


def show_refusal(refusal: openai.PermissionDeniedError) -> None:
    body: Any = refusal.body
    console.print(f"[bold red]{body['code']}[/] by the rule [bold]{body['isthmus']['rule']}[/]")
    console.print(body["message"], markup=False, style="dim")
    console.print()


def show_facts(facts: dict[str, Any], first: float, total: float) -> None:
    table = Table.grid(padding=(0, 2))
    for citation in facts.get("citations", ()):
        page = f", page {citation['page']}" if citation.get("page") else ""
        quote = f": “{shorten(' '.join(citation['quote'].split()), 120)}”"
        support = quote if citation["supported"] else " (the passage does not support this)"
        table.add_row("cited", Text(f"[{citation['number']}] {citation['title']}{page}{support}"))
    table.add_row("answered by", f"[bold]{facts['model']}[/] because {facts['reason']}")
    denied = [f"{model}: {rule}" for model, rule in facts.get("denied", {}).items()]
    table.add_row(
        "rule", f"admitted by [bold]{facts.get('rule', '-')}[/]" + (f"; not {', '.join(denied)}" * bool(denied))
    )
    table.add_row("label", facts["label"]["text"])
    cost = facts.get("cost", {"amount": "0", "currency": ""})
    table.add_row(
        "cost", f"{cost['amount']} {cost['currency']}, first word after {first:.1f} s, all after {total:.1f} s"
    )
    receipt = facts["receipt"]
    table.add_row("receipt", f"entry {receipt['index']} of {receipt['log']}, leaf {receipt['leaf'][:16]}…")
    console.print(table)
    console.print()


# ---------------------------------------------------------------- the log, rewritten


def tamper(sent: dict[str, Any]) -> None:
    """Yesterday's checkpoint against an administrator who edits an entry and signs the whole log again."""
    console.print(Rule("[bold]An administrator rewrites the record[/]", align="left"))
    held, copy, index = FOLDER / "yesterday.checkpoint", FOLDER / "rewritten", sent["receipt"]["index"]
    held.write_text(isthmus("audit", "checkpoint")["checkpoint"], encoding="utf8")
    isthmus("audit", "export", str(FOLDER / "export"))
    verify("the record as it is", FOLDER / "export", held)
    console.print(f"\nEntry {index} says that {sent['model']} answered. In a copy it now says local/qwen, ", end="")
    console.print("and the whole log is signed again.")
    rewrite = [sys.executable, str(ROOT / "examples" / "rewrite_log.py"), str(HOME), str(copy)]
    subprocess.run([*rewrite, str(index), "model", "local/qwen"], check=True, stdout=subprocess.DEVNULL)
    verify("the rewritten copy, by itself", copy, None)
    verify("the rewritten copy, by someone who holds yesterday's checkpoint", copy, held)


def verify(what: str, export: Path, held: Path | None) -> None:
    """The stranger's verifier: a page of Python and openssl, nothing of ours."""
    command = [sys.executable, str(ROOT / "verify.py"), str(export), str(FOLDER / "export" / "vkey")]
    done = subprocess.run([*command, *([str(held)] if held else [])], capture_output=True, text=True, check=False)
    verdict = "[green]holds[/]" if done.returncode == 0 else "[bold red]CAUGHT[/]"
    console.print(f"{verdict}  {what}")
    console.print(Text((done.stdout + done.stderr).strip(), style="dim"))


# ---------------------------------------------------------------- the whole of it


def prepare(closed: Closed) -> dict[str, str]:
    """A home folder with the configuration; a key for someone in the management, and one for the public website."""
    HOME.mkdir(parents=True)
    template = (ROOT / "examples" / "demo.yaml").read_text(encoding="utf8")
    for name, value in (("BASE_URL", closed.base_url), ("MODEL", closed.model), ("WEIGHTS", WEIGHTS)):
        template = template.replace(name, value)
    (HOME / "isthmus.yaml").write_text(template, encoding="utf8")
    ada = isthmus("keys", "create", "--name", "ada", "--group", "management")
    website = isthmus("keys", "create", "--name", "website", "--level", "public")
    return {"ada": str(ada["key"]), "website": str(website["key"])}


def introduce(closed: Closed) -> None:
    stand_in = "a stand-in: a second Isthmus with a small open model, behind HTTP and a key"
    sides = f"open    {WEIGHTS}, in this process\nclosed  {stand_in if closed.stand_in else closed.base_url}"
    console.print(Panel(f"[bold]Isthmus[/]: open and closed models under one policy\n\n{sides}"))


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    with ExitStack() as stack:
        closed = stack.enter_context(closed_side())
        introduce(closed)
        keys = prepare(closed)
        url = stack.enter_context(server(HOME, {"DEMO_CLOSED_API_KEY": closed.key}))
        clients = {who: openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) for who, key in keys.items()}
        with console.status("reading fifteen documents of an example organisation…"):
            report = isthmus("ingest", "--manifest", str(ORGANISATION / "manifest.yaml"))
        console.print(f"{report['added']} documents, {report['chunks']} passages, labelled public to restricted\n")
        with console.status("loading the open model…"):
            hello: Any = [{"role": "user", "content": "hello"}]
            clients["ada"].chat.completions.create(model="local/qwen", messages=hello, max_tokens=1)
        answers = [ask(clients[question.who], number, question) for number, question in enumerate(QUESTIONS, 1)]
        tamper(next(facts for facts in answers if facts.get("model") == "closed/frontier"))
        if os.environ.get("ONCE") == "1":
            return
        console.print(Panel(f"The server stays up at [bold]{url}/v1[/]\nkey  {keys['ada']}\nStop it with Ctrl+C."))
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            console.print("stopping…")


if __name__ == "__main__":
    main()
