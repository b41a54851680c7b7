"""Configuration and policy changes as an operator makes them, and what the log tells of them afterwards."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from flow.audit_events_fixtures import entries, raw_entries
from flow.served import Site
from isthmus.governance import catalogue
from isthmus.governance.policy.policyset import STARTER

CONFIG = """
models:
  - {{id: local/echo, provider: scripted, locality: in_process, openness: {{weights: open}}, options: {{echo: true}}}}
policy: {{folder: policies}}
routing: {{failover: {failover}}}
"""
NEVER = '@id("never") forbid (principal, action, resource);'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "policies"
    folder.mkdir()
    for file in STARTER.glob("*.cedar"):
        (folder / file.name).write_text(file.read_text(encoding="utf8"), encoding="utf8")
    made = Site(tmp_path)
    made.config.write_text(CONFIG.format(failover=1), encoding="utf8")
    made.environment["ISTHMUS_KEY"] = made.key("officer", "--role", "policy")
    yield made
    for entry in raw_entries(tmp_path):
        catalogue.parse(entry)


def of(site: Site, *types: str) -> list[dict[str, Any]]:
    return [entry for entry in entries(site.home) if entry["type"] in types]


def me() -> str:
    return f"uid:{os.getuid()}"


def test_a_start_says_what_it_starts_with_and_the_next_only_what_is_new(site: Site) -> None:
    site.environment["ISTHMUS_WHY"] = "the first start"
    with site.serving():
        pass
    told = [entry["type"] for entry in entries(site.home)]
    assert told == ["key.created", "config.changed", "policy.changed", "server.started", "server.stopped"]
    created, config, policy, started, stopped = entries(site.home)
    assert (created["by"], config["by"], config["why"], config["command"]) == (me(), me(), "the first start", "serve")
    assert config["settings"]["models"][0]["id"] == "local/echo"
    assert (started["config"], started["policy"]) == (config["digest"], policy["policy"])
    assert started["guards"] == {"pii": f"isthmus {started['version']}", "secrets": f"isthmus {started['version']}"}
    assert started["python"].startswith("3.")
    assert started["models"]["local/minilm"].startswith("sha256:")
    assert started["server"] == stopped["server"]

    site.environment["ISTHMUS_WHY"] = "nothing new"
    with site.serving():
        pass
    assert len(of(site, "config.changed", "policy.changed")) == 2
    assert len(of(site, "server.started")) == 2

    site.config.write_text(CONFIG.format(failover=3), encoding="utf8")
    (site.home / "policies" / "99.cedar").write_text(NEVER, encoding="utf8")
    site.environment["ISTHMUS_WHY"] = "DE-221: one more try"
    with site.serving():
        pass
    last, changed_policy = of(site, "config.changed", "policy.changed")[-2:]
    assert (last["before"], last["changed"], last["why"]) == (
        config["digest"], ["routing.failover"], "DE-221: one more try"
    )  # fmt: skip
    assert (changed_policy["before"], changed_policy["added"]) == (policy["policy"], ["99.cedar"])


def test_a_store_that_was_lost_does_not_hide_what_was_in_force(site: Site) -> None:
    with site.serving():
        pass
    before = of(site, "config.changed")
    for path in (*site.home.glob("isthmus.db*"), site.home / "secrets" / "pepper"):
        path.unlink(missing_ok=True)
    with site.serving():
        pass
    assert of(site, "config.changed") == before


def test_other_commands_record_what_they_work_with(site: Site) -> None:
    site.run("ask", "hello", "--model", "local/echo")
    config, policy = of(site, "config.changed", "policy.changed")
    assert (config["command"], policy["command"]) == ("ask", "ask")
    document = site.home / "a.md"
    document.write_text("# A\n\nText.\n", encoding="utf8")
    site.config.write_text(CONFIG.format(failover=2), encoding="utf8")
    site.run("ingest", str(document), "--collection", "c")
    last = of(site, "config.changed")[-1]
    assert (last["command"], last["changed"]) == ("ingest", ["routing.failover"])


def test_a_reload_says_who_and_why(site: Site) -> None:
    with site.serving():
        (before,) = of(site, "policy.changed")
        (site.home / "policies" / "99.cedar").write_text(NEVER, encoding="utf8")
        told = site.run("policy", "reload", "--why", "DE-7: the vendor had a breach")
        (entry,) = of(site, "policy.reloaded")
        assert (entry["policy"], entry["before"]) == (told["policy"], before["policy"])
        assert (entry["by"], entry["why"], entry["added"]) == (
            site.run("keys", "list")["keys"][0]["id"], "DE-7: the vendor had a breach", ["99.cedar"]
        )  # fmt: skip
        (site.home / "policies" / "99.cedar").write_text("forbid", encoding="utf8")
        refused = site.run("policy", "reload", code=2)
        assert refused["error"]["code"] == "policy_invalid"
        (rejected,) = of(site, "policy.rejected")
        assert (rejected["code"], rejected["before"]) == ("policy_invalid", entry["policy"])
        (site.home / "policies" / "99.cedar").unlink()
        assert site.process is not None
        site.process.send_signal(signal.SIGHUP)
        for _ in range(100):
            if len(of(site, "policy.reloaded")) == 2:
                break
            time.sleep(0.1)
        assert of(site, "policy.reloaded")[-1]["by"] == "signal"
    with site.serving():
        pass
    assert len(of(site, "policy.changed")) == 1, "a start after a reload finds nothing new"


def test_without_the_role_or_a_server_nothing_is_reloaded(site: Site) -> None:
    assert site.run("policy", "reload", code=1)["error"]["code"] == "server_unreachable"
    with site.serving():
        site.environment["ISTHMUS_KEY"] = "isk_unknown"
        refused = site.run("policy", "reload", code=1)["error"]
        assert (refused["code"], "ISTHMUS_KEY" in refused["hint"]) == ("invalid_api_key", True)
        site.environment["ISTHMUS_KEY"] = site.key("root", "--role", "admin")
        assert site.run("policy", "reload", code=1)["error"]["code"] == "forbidden"
    assert not of(site, "policy.reloaded")


def post(site: Site, path: str, body: bytes) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=30)
    try:
        connection.request("POST", path, body, {"Authorization": f"Bearer {site.environment['ISTHMUS_KEY']}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_a_policy_that_cannot_be_recorded_does_not_take_effect(site: Site) -> None:
    with site.serving():
        assert site.process is not None
        (site.home / "policies" / "99.cedar").write_text(NEVER, encoding="utf8")
        _, hard = resource.prlimit(site.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(site.process.pid, resource.RLIMIT_FSIZE, (1, hard))  # no file may grow: as on a full disk
        status, refused = post(site, "/api/policy/reload", b"{}")
        assert (status, refused["error"]["code"]) == (503, "audit_unavailable")
        resource.prlimit(site.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        site.environment["ISTHMUS_KEY"] = site.key("user")
        body = {"model": "local/echo", "messages": [{"role": "user", "content": "hi"}]}
        status, answer = post(site, "/v1/chat/completions", json.dumps(body).encode())
        assert status == 200
        assert answer["isthmus"]["policy"] == of(site, "policy.changed")[0]["policy"]
    assert not of(site, "policy.reloaded")


def test_a_reload_that_makes_no_sense_is_told_so(site: Site) -> None:
    bodies = (b"[]", b'{"why": 1}', b'{"who": "x"}', b"{", b'{"why": "' + b"x" * 2000 + b'"}', b" " * 70_000, b"\xff")
    with site.serving():
        for body in bodies:
            assert post(site, "/api/policy/reload", body)[0] == 400, body[:20]
    assert not of(site, "policy.reloaded")
