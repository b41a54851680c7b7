"""A server that is killed at a random moment, over and over on one home, and what must be true of its record then."""

from __future__ import annotations

import http.client
import json
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flow.served import VENDOR_KEY, Site, Vendor
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import verify, verify_receipt
from isthmus.governance.audit.tree.storage import Folder
from isthmus.seams import Receipt

CONFIG = """
models:
  - id: local/echo
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{echo: true}}
  - id: closed/frontier
    provider: openai_compatible
    base_url: {url}
    api_key: ${{VENDOR_KEY}}
    model: frontier-1
    timeout: 10
    retention: none
    terms: {{contract: X, expires: 2099-01-01}}
    price: {{input: 3.0, output: 15.0}}
guardrails: {{input: [], output: []}}
"""
MODELS = ("local/echo", "closed/frontier")


def site(home: Path, vendor: Vendor) -> tuple[Site, str]:
    """A home with both kinds of model, and a key whose budget is counted."""
    made = Site(home, {"VENDOR_KEY": VENDOR_KEY})
    made.config.write_text(CONFIG.format(url=vendor.url), encoding="utf8")
    return made, made.key("ada", "--budget", "1000")


@dataclass
class Question:
    """``name`` is its text and its purpose, so that what the vendor received can be found in the log."""

    name: str
    model: str
    stream: bool

    def body(self) -> bytes:
        asked = {"model": self.model, "stream": self.stream, "isthmus": {"purpose": self.name}}
        return json.dumps({**asked, "messages": [{"role": "user", "content": f"<{self.name}>"}]}).encode()


@dataclass(frozen=True)
class Reply:
    """``receipt`` only where the answer came whole: a body, or a stream with its [DONE]."""

    status: int
    code: str = ""
    receipt: dict[str, Any] | None = None


def ask(url: str, key: str, question: Question, timeout: float = 30) -> Reply:
    """Raises :class:`OSError` or :class:`http.client.HTTPException` where the connection is cut."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    with closing(connection):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", question.body(), headers)
        response = connection.getresponse()
        return _reply(response.status, response.read(), question.stream)


def _reply(status: int, data: bytes, stream: bool) -> Reply:
    if status == 200 and stream:
        events = [line.removeprefix(b"data: ") for line in data.split(b"\n") if line.startswith(b"data: ")]
        if events[-1:] == [b"[DONE]"]:
            return Reply(200, receipt=json.loads(events[-2])["isthmus"]["receipt"])
        told = json.loads(events[-1]) if data.endswith(b"\n\n") and events else {}
        return Reply(200, told.get("error", {}).get("code", "cut"))
    answer = json.loads(data)
    if status == 200:
        return Reply(200, receipt=answer["isthmus"]["receipt"])
    return Reply(status, answer["error"]["code"])


@dataclass
class Crowd:
    """Clients that ask until they are told to stop; what each was told."""

    url: str
    key: str
    life: str
    chance: random.Random
    replies: list[tuple[Question, Reply]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, clients: int) -> list[threading.Thread]:
        seeds = [self.chance.getrandbits(32) for _ in range(clients)]
        threads = [threading.Thread(target=self._ask, args=(n, seed)) for n, seed in enumerate(seeds)]
        for thread in threads:
            thread.start()
        return threads

    def wait(self, replies: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.replies) < replies and time.monotonic() < deadline:
            time.sleep(0.002)

    def _ask(self, client: int, seed: int) -> None:
        chance, count = random.Random(seed), 0
        while not self.stopping.is_set():
            question = Question(f"{self.life}-{client}-{count}", chance.choice(MODELS), chance.random() < 0.5)
            count += 1
            with suppress(OSError, http.client.HTTPException):
                self.replies.append((question, ask(self.url, self.key, question)))


@dataclass
class Kept:
    """What the outside has seen over all lives: answers with receipts, and what the vendor's socket received."""

    home: Path
    answers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    received: set[str] = field(default_factory=set)

    def take(self, crowd: Crowd, vendor: Vendor) -> None:
        self.answers += [(question.name, reply.receipt) for question, reply in crowd.replies if reply.receipt]
        self.received |= {body["messages"][-1]["content"].strip("<>") for body in list(vendor.bodies)}

    def faults(self) -> Iterator[str]:
        """What is not as it must be."""
        reader = Reader(Folder(self.home / "audit"))
        entries = [json.loads(entry) for _, entry in reader.entries()]
        # (1) every whole answer has its entry, at that index, with that leaf; its checkpoint is a beginning of the log
        older: list[Signed] = []
        for name, stated in self.answers:
            older.append(verify_receipt(reader, Receipt(**{**stated, "proof": tuple(stated["proof"])})))
            if (entries[stated["index"]]["purpose"], entries[stated["index"]]["type"]) != (name, "outcome"):
                yield f"{name} was answered, and entry {stated['index']} is another"
        verify(reader, older)
        # (2) whatever reached the vendor's socket has its intent on disk
        intents = {entry["purpose"] for entry in entries if entry["type"] == "intent" and entry["model"] == MODELS[1]}
        yield from (f"{name} was sent, and there is no intent" for name in sorted(self.received - intents))
        # (3) what the log says was spent was charged: the charge is on disk before the outcome
        told = sum(Decimal(entry["cost"]["amount"]) for entry in entries if entry["type"] == "outcome")
        if (charged := spent(self.home)) < told - Decimal("0.000001") * len(entries):
            yield f"the log tells of {told}, and {charged} was charged"


def spent(home: Path) -> Decimal:
    (path,) = [path for path in home.glob("*.db") if path.is_file()]
    with closing(sqlite3.connect(path)) as connection:
        return Decimal(str(connection.execute("SELECT coalesce(sum(amount), 0) FROM spending").fetchone()[0]))


def live(site: Site, key: str, vendor: Vendor, life: str, chance: random.Random) -> Crowd:
    """Start, be asked by several clients at once, be killed."""
    (site.home / "run" / "server.json").unlink(missing_ok=True)  # the one before had no time to
    vendor.bodies.clear()
    with site.serving():
        assert site.process is not None
        crowd = Crowd(site.url, key, life, chance)
        threads = crowd.run(6)
        crowd.wait(chance.choice((0, 1, 10, 30, 60)))  # by count, as a busy machine takes its time
        time.sleep(chance.uniform(0, 0.05))
        site.process.send_signal(signal.SIGKILL)
        site.process.wait()
        crowd.stopping.set()
        for thread in threads:
            thread.join()
    return crowd
