"""One vendor and one served site for the tests of the endpoint: local models are scripted, closed ones over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from flow.served import VENDOR_KEY, Site, Vendor, vendor
from flow.strangers_fixtures import Auditors

CONFIG = """
models:
  - id: local/echo
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{echo: true}}
  - id: local/slow
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{echo: true, delay: 0.02}}
  - id: local/caller
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{replies: [{{calls: [{{name: look, arguments: {{where: the shelf}}}}]}}]}}
  - id: local/said
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{replies: ["It is 27 days [1], or so they say [9]."]}}
  - id: closed/frontier
    provider: openai_compatible
    base_url: {url}
    api_key: ${{VENDOR_KEY}}
    model: frontier-1
    timeout: 3
    retention: none
    terms: {{contract: X, expires: 2099-01-01}}
    price: {{input: 3.0, output: 15.0}}
  - id: closed/second
    provider: openai_compatible
    base_url: {url}
    api_key: ${{VENDOR_KEY}}
    model: frontier-2
    timeout: 3
    retention: none
    terms: {{contract: X, expires: 2099-01-01}}
{modes}routing: {{prefer: [closed/frontier, local/echo], failover: 2}}
server: {{max_body_bytes: 200000, max_prompt_characters: 50000}}
"""


#: A model for each way a vendor can behave, so that one's circuit breaker does not stand in the way of another. They
#: are cleared for public text only, so that `auto` takes none of them for ada's.
MODE = """  - id: closed/{mode}
    provider: openai_compatible
    base_url: {url}
    api_key: ${{VENDOR_KEY}}
    model: {mode}
    timeout: 3
"""
MODES = ("fail", "gone", "refuse", "garbage", "hang", "die", "slow")


@dataclass
class World:
    """A served site, its vendor, and clients by name."""

    site: Site
    vendor: Vendor
    keys: dict[str, str]
    clients: dict[str, openai.OpenAI] = field(default_factory=dict)

    def client(self, who: str = "ada") -> openai.OpenAI:
        if who not in self.clients:
            url = f"{self.site.url}/v1"
            self.clients[who] = openai.OpenAI(base_url=url, api_key=self.keys[who], max_retries=0, timeout=30)
        return self.clients[who]

    def ask(self, text: str, who: str = "ada", **fields: Any) -> Any:
        fields.setdefault("model", "auto")
        fields.setdefault("messages", [{"role": "user", "content": text}])
        return self.client(who).chat.completions.create(**fields)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("home")
    with vendor() as server:
        modes = "".join(MODE.format(mode=mode, url=server.url) for mode in MODES)
        site = Site(home, {"VENDOR_KEY": VENDOR_KEY})
        site.config.write_text(CONFIG.format(url=server.url, modes=modes), encoding="utf8")
        keys = {
            "ada": site.key("ada", "--group", "management"),
            "bob": site.key("bob"),
            "website": site.key("website", "--level", "public"),
            "poor": site.key("poor", "--budget", "0.0000001"),
            "auditor": site.key("auditor", "--role", "auditor"),
            "officer": site.key("officer", "--role", "policy"),
            "root": site.key("root", "--role", "admin"),
        }
        with site.serving():
            world = World(site, server, keys)
            yield world
            for client in world.clients.values():
                client.close()


@pytest.fixture
def world(served: World) -> World:
    served.vendor.reset()
    return served


@pytest.fixture(scope="session")
def auditors(tmp_path_factory: pytest.TempPathFactory) -> Auditors:
    """Logs of 1 to 100,000 entries, each with an export and what was kept elsewhere."""
    return Auditors(tmp_path_factory.mktemp("auditors"))
