"""A site whose every entry is looked at: a vendor on a socket, local models, a stranger's guard, a rule that holds.

Everything that people write carries ``MARK``, so that a search for it in the log finds what must not be there.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flow.served import VENDOR_KEY, Site, Vendor, vendor
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.policy.policyset import STARTER

MARK = "qzxvmark"
KEY = "ghp_" + "a1B2c3D4e5F6" * 3  # of the form of a provider's key, so that it is cut out

_MODE = """  - id: closed/{mode}
    provider: openai_compatible
    base_url: {url}
    api_key: ${{VENDOR_KEY}}
    model: {mode}
    timeout: 2
"""
CONFIG = """
models:
  - id: local/echo
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{echo: true}}
  - id: local/leaky
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{replies: ["{mark} the key is {key} as you asked"]}}
  - id: local/caller
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{replies: [{{calls: [{{name: look_{mark}, arguments: {{where: {mark} shelf}}}}]}}]}}
  - id: closed/frontier
    provider: openai_compatible
    base_url: {url}
    api_key: ${{VENDOR_KEY}}
    model: frontier-1
    timeout: 2
    jurisdiction: US
    retention: none
    terms: {{contract: DPA-7, expires: 2099-01-01, subprocessors: [EU]}}
    price: {{input: 3.0, output: 15.0}}
  - id: closed/second
    provider: openai_compatible
    base_url: {url}
    api_key: ${{VENDOR_KEY}}
    model: frontier-2
    timeout: 2
    retention: none
    terms: {{contract: DPA-8, expires: 2099-01-01}}
  - id: closed/vectors
    provider: openai_compatible
    kind: embedding
    base_url: {url}
    api_key: ${{VENDOR_KEY}}
    model: vectors
    retention: none
    terms: {{contract: DPA-9}}
    options: {{dimensions: 3}}
{modes}knowledge: {{embedder: closed/vectors, collections: {{handbook: {{label: {{level: internal}}}}}}}}
routing: {{prefer: [closed/frontier, closed/second, local/echo], failover: 2}}
guardrails: {{input: [blocker, secrets, pii], output: [secrets]}}
policy: {{folder: policies}}
"""
MODES = ("fail", "refuse", "die", "slow", "hang")

_RULES = """
@id("held-for-a-person")
@obligation("review")
permit (principal, action == Action::"send", resource) when { context.purpose == "appraisal" };
@id("kept")
@obligation("keep")
permit (principal, action == Action::"send", resource) when { context.purpose == "kept" };
"""

_GUARD = '''
from isthmus.seams import Finding, Verdict

class Blocker:
    """A stranger's guard: blocks a text that holds one word."""
    name = "blocker"
    def __init__(self, settings, pool):
        pass
    async def check(self, text, stage):
        at = text.find("forbidden")
        if at < 0:
            return Verdict()
        return Verdict("block", findings=(Finding("FORBIDDEN", at, at + 9),), rule="blocker.forbidden")
'''


def install_guard(folder: Path) -> None:
    """A distribution as pip would leave it: found by its entry point, on ``PYTHONPATH``."""
    info = folder / "stranger_guard-2.5.dist-info"
    info.mkdir(parents=True)
    (folder / "stranger_guard.py").write_text(_GUARD, encoding="utf8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger-guard\nVersion: 2.5\n", encoding="utf8")
    (info / "entry_points.txt").write_text("[isthmus.guards]\nblocker = stranger_guard:Blocker\n", encoding="utf8")


def install_policies(folder: Path) -> None:
    """The starter set, and rules that ask for a person and for keeping content."""
    folder.mkdir()
    for file in STARTER.glob("*.cedar"):
        (folder / file.name).write_text(file.read_text(encoding="utf8"), encoding="utf8")
    (folder / "05-obligations.cedar").write_text(_RULES, encoding="utf8")


def raw_entries(home: Path) -> list[bytes]:
    return [entry for _, entry in Reader(Folder(home / "audit")).entries()]


def entries(home: Path) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in raw_entries(home)]


@dataclass
class Audited:
    """The site, its vendor, keys by name, and how to ask and what the log tells of it."""

    site: Site
    vendor: Vendor
    keys: dict[str, str] = field(default_factory=dict)

    def post(self, path: str, body: Any, who: str = "ada", timeout: float = 30) -> tuple[int, dict[str, str], Any]:
        place = urllib.parse.urlsplit(self.site.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout)
        headers = {"Authorization": f"Bearer {self.keys[who]}", "User-Agent": f"{MARK}/1.0", "X-Note": MARK}
        try:
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        answer = json.loads(text) if response.getheader("content-type", "").startswith("application/json") else text
        return response.status, dict(response.getheaders()), answer

    def ask(self, text: str = "hello", who: str = "ada", **fields: Any) -> list[dict[str, Any]]:
        """Ask; the entries of the request."""
        body = {"model": "auto", "user": MARK, **fields}
        question = {"role": "user", "content": f"{MARK} {text}", "name": MARK}
        body.setdefault("messages", [{"role": "system", "content": f"{MARK} system"}, question])
        _, headers, _ = self.post("/v1/chat/completions", body, who)
        return self.of({name.lower(): value for name, value in headers.items()}["x-request-id"])

    def of(self, request: str) -> list[dict[str, Any]]:
        return [entry for entry in entries(self.site.home) if entry.get("request") == request]

    def wait_for(self, found: Any) -> dict[str, Any]:
        """The first entry for which ``found`` is true, within ten seconds."""
        for _ in range(100):
            for entry in entries(self.site.home):
                if found(entry):
                    return entry
            time.sleep(0.1)
        raise AssertionError("the entry did not come")

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.vendor.url).netloc


@contextmanager
def audited(home: Path) -> Iterator[Audited]:
    """A served site with its keys and one document."""
    install_guard(home / "plugins")
    install_policies(home / "policies")
    with vendor() as server:
        modes = "".join(_MODE.format(mode=mode, url=server.url) for mode in MODES)
        environment = {"VENDOR_KEY": VENDOR_KEY, "PYTHONPATH": str(home / "plugins"), "ISTHMUS_WHY": "the first start"}
        site = Site(home, {**environment, "ISTHMUS_BOOTSTRAP_KEY": "b" * 40})
        site.config.write_text(CONFIG.format(url=server.url, modes=modes, mark=MARK, key=KEY), encoding="utf8")
        world = Audited(site, server)
        for who, options in {"ada": (), "web": ("--level", "public"), "poor": ("--budget", "0.0000001"),
                             "officer": ("--role", "policy")}.items():  # fmt: skip
            world.keys[who] = site.key(f"{MARK} {who}", *options)
        document = home / f"{MARK}-leave.md"
        document.write_text(f"# {MARK} leave\n\nEveryone at {MARK} has 27 days of holiday a year.\n", encoding="utf8")
        site.run("ingest", str(document), "--collection", "handbook")
        with site.serving():
            yield world
