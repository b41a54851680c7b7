"""Kept content and erasure over a real server: sealed before anything leaves, opened, disclosed, erased beside it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from flow.conftest import World
from flow.served import VENDOR_KEY, Site, vendor
from isthmus.governance.policy.policyset import STARTER

CONFIG = """
models:
  - id: local/echo
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{echo: true}}
  - id: local/caller
    provider: scripted
    locality: in_process
    openness: {{weights: open}}
    options: {{replies: [{{calls: [{{name: look, arguments: {{where: the copper shelf}}}}]}}]}}
  - id: closed/frontier
    provider: openai_compatible
    base_url: {url}
    api_key: ${{VENDOR_KEY}}
    model: frontier-1
    timeout: 5
    retention: none
    terms: {{contract: X, expires: 2099-01-01}}
policy: {{folder: policies}}
guardrails: {{input: [secrets], output: [secrets]}}
labels: {{unknown_answers: typed}}
"""
KEEP = """
@id("keep-what-is-asked")
@reason("What is asked, and answered, is kept for the audit.")
@obligation("keep")
permit (principal, action == Action::"send", resource)
when { context.purpose != "private" };
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("home")
    with vendor() as server:
        site = Site(home, {"VENDOR_KEY": VENDOR_KEY})
        site.config.write_text(CONFIG.format(url=server.url), encoding="utf8")
        (home / "policies").mkdir()
        for path in STARTER.glob("*.cedar"):
            (home / "policies" / path.name).write_bytes(path.read_bytes())
        (home / "policies" / "90-keep.cedar").write_text(KEEP, encoding="utf8")
        keys = {name: site.key(name) for name in ("ada", "Bea Brontë", "cleo")}
        with site.serving():
            world = World(site, server, keys)
            yield world
            for client in world.clients.values():
                client.close()


@pytest.fixture(autouse=True)
def fresh(kept: World) -> None:
    kept.vendor.reset()


def key_id(world: World, name: str) -> str:
    (found,) = (key["id"] for key in world.site.run("keys", "list")["keys"] if key["name"] == name)
    return str(found)


def of(world: World, request: str) -> list[dict[str, Any]]:
    return [entry for entry in world.site.log_entries() if entry.get("request") == request]


def below(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a home folder, also while a server writes to them."""
    for path in home.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()


def test_what_is_kept_can_be_opened_and_disclosed_and_stands_in_no_file(kept):
    answer = kept.ask("Where does the violet heron nest?", model="closed/frontier")
    request = answer.isthmus["request"]
    intent, outcome = of(kept, request)
    assert intent["kept"] is outcome["kept"] is True
    assert set(intent["sealed"]) == {"prompt"}
    assert set(outcome["sealed"]) == {"answer"}
    assert [name for name, content in below(kept.site.home) if b"violet heron" in content] == []

    opened = kept.site.run("audit", "content", request, "--why", "a dispute")
    texts = {one["kind"]: one["text"] for one in opened["contents"]}
    assert texts["prompt"] == "Where does the violet heron nest?"
    assert texts["answer"] == answer.choices[0].message.content
    assert all(one["genuine"] for one in opened["contents"])
    assert {name: of(kept, request)[-1][name] for name in ("type", "why")} == {
        "type": "content.opened",
        "why": "a dispute",
    }

    told = kept.site.run("audit", "disclose", request)
    for entry, text in zip(told["commitments"], (texts["prompt"], texts["answer"]), strict=True):
        assert entry["matches"] is True
        assert entry["text"] == text
        assert hashlib.sha256(bytes.fromhex(told["salt"]) + text.encode()).hexdigest() == entry["commitment"]
    assert [entry["entry"] for entry in told["commitments"]] == [intent["seq"], outcome["seq"]]


def test_tool_calls_and_every_turn_are_kept(kept):
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Look for the lantern."}]
    request = kept.ask("", model="local/caller", messages=turns, tools=tools).isthmus["request"]
    opened = kept.site.run("audit", "content", request, "--why", "test")
    texts = {one["kind"]: one["text"] for one in opened["contents"]}
    assert texts["prompt"] == 'Be brief.\x1eLook for the lantern.\x1e["look", "", {"type": "object"}]'
    assert json.loads(texts["calls"]) == [{"name": "look", "arguments": '{"where": "the copper shelf"}'}]
    assert kept.site.run("audit", "disclose", request)["commitments"][0]["matches"] is True


def test_what_the_policy_does_not_say_keep_is_not_kept_and_can_be_disclosed_from_a_file(kept, tmp_path):
    answer = kept.ask("A private question?", model="local/echo", extra_body={"isthmus": {"purpose": "private"}})
    request = answer.isthmus["request"]
    assert all("kept" not in entry for entry in of(kept, request))
    refused = kept.site.run("audit", "content", request, "--why", "test", code=1)
    assert refused["error"]["code"] == "not_found"
    claimed = tmp_path / "claimed"
    for text, matches in (("A private question?\n", True), ("A public question?\n", False)):
        claimed.write_text(text, encoding="utf8")
        told = kept.site.run("audit", "disclose", request, "--text", str(claimed))
        assert [entry["matches"] for entry in told["commitments"]] == [matches, matches]  # it was echoed


def test_a_key_s_name_is_nowhere_in_the_log(kept):
    entries = kept.site.log_entries()
    assert sum(entry["type"] == "key.created" for entry in entries) == 3
    for name in ("ada", "Bea Brontë", "cleo"):
        assert f'"{name}"' not in json.dumps(entries, ensure_ascii=False)


def test_a_subject_is_erased_beside_a_running_server(kept):
    bea, who = key_id(kept, "Bea Brontë"), "Bea Brontë"
    request = kept.ask("Seventeen copper lanterns at Karlsborg.", who=who, model="local/echo").isthmus["request"]
    other = kept.ask("Of somebody else.", model="local/echo").isthmus["request"]
    with sqlite3.connect(kept.site.home / "isthmus.db") as raw:
        where = "WHERE owner = (SELECT number FROM subjects WHERE subject = ?)"
        needles = [row[0] for row in raw.execute("SELECT secret FROM subjects WHERE subject = ?", (bea,))]
        needles += [row[0] for row in raw.execute(f"SELECT wrapped FROM contents {where}", (bea,))]
        needles += [
            row[0][:40]
            for row in raw.execute(
                f"SELECT ciphertext FROM ciphertexts WHERE number IN (SELECT number FROM contents {where})", (bea,)
            )
        ]
    raw.close()
    assert len(needles) == 5
    checkpoint = kept.site.home / "yesterday"
    checkpoint.write_text(kept.site.run("audit", "checkpoint")["checkpoint"], encoding="utf8")

    assert kept.site.run("audit", "erase", bea, "--why", "asked", code=2)["error"]["code"] == "invalid_request"
    erased = kept.site.run("audit", "erase", bea, "--why", "asked", "--yes")
    assert (erased["records"], erased["valid_key"]) == (2, True)

    found = [(name, needle) for name, content in below(kept.site.home) for needle in needles if needle in content]
    assert found == []
    opened = kept.site.run("audit", "content", request, "--why", "test")
    assert {one["state"] for one in opened["contents"]} == {"erased"}
    assert opened["erased"] == erased["entry"]
    assert kept.site.run("audit", "disclose", request)["salt"] is None
    assert kept.site.run("audit", "content", other, "--why", "test")["contents"][0]["state"] == "kept"
    verified = kept.site.run("audit", "verify", "--checkpoint", str(checkpoint))
    assert verified["older"]

    later = kept.ask("And later?", who=who, model="local/echo").isthmus["request"]
    told = kept.site.run("audit", "disclose", later)
    assert [entry["matches"] for entry in told["commitments"]] == [True, True]


def test_what_a_restored_database_brings_back_is_erased_before_it_is_opened(kept, tmp_path):
    """Without a server that starts: whoever asks for content first, erases."""
    site = Site(tmp_path / "home", {"VENDOR_KEY": VENDOR_KEY})
    site.home.mkdir()
    site.config.write_bytes(kept.site.config.read_bytes())
    shutil.copytree(kept.site.home / "policies", site.home / "policies")
    site.run("ask", "Where does the violet heron nest?", "--model", "local/echo", "--config", str(site.config))
    intent = next(entry for entry in site.log_entries() if entry["type"] == "intent")
    shutil.copy(site.home / "isthmus.db", tmp_path / "backup")
    site.run("audit", "erase", intent["principal"], "--why", "asked", "--yes")
    for path in site.home.glob("isthmus.db*"):
        path.unlink()
    shutil.copy(tmp_path / "backup", site.home / "isthmus.db")
    assert site.run("audit", "disclose", intent["request"])["salt"] is None
    opened = site.run("audit", "content", intent["request"], "--why", "test")
    assert {one["state"] for one in opened["contents"]} == {"erased"}


def test_what_cannot_be_kept_is_not_sent(kept):
    """No file of the server may grow any more: nothing can be sealed, so nothing leaves."""
    kept.ask("First, so that all is warm.", model="closed/frontier")
    time.sleep(0.6)  # what is written behind
    kept.vendor.reset()
    pid = kept.site.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    size = os.path.getsize(kept.site.home / "isthmus.db-wal")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(openai.InternalServerError) as stopped:
            kept.ask("The question that must not leave. " * 1000, model="closed/frontier")
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert stopped.value.status_code == 503
    assert stopped.value.body["code"] == "store_unavailable"
    assert bytes(kept.vendor.received) == b""
    assert kept.site.log_entries()[-1]["code"] == "store_unavailable"
    assert kept.ask("It works again.", model="closed/frontier").choices[0].message.content


def test_erasing_asks_first_on_a_terminal(kept):
    """A pseudo-terminal: `script` is part of every Linux, but not of every container, so Python's own."""
    import pty

    cleo = key_id(kept, "cleo")
    asked = {entry["request"] for entry in kept.site.log_entries() if entry.get("principal") == cleo}
    for reply, erased in (("n", False), ("y", True)):
        parent, child = pty.openpty()
        command = kept.site.command("audit", "erase", cleo, "--why", "asked")
        process = subprocess.Popen(command, stdin=child, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.write(parent, reply.encode() + b"\n")
        out, err = process.communicate(timeout=60)
        assert b"sealed record" in err
        assert f"the salts of {len(asked)} request".encode() in err
        assert (process.returncode == 0, b"is erased" in out) == (erased, erased)
        os.close(parent)
        os.close(child)


def test_what_makes_no_sense_is_said_and_nothing_is_recorded(kept):
    before = len(kept.site.log_entries())
    for arguments, code in (
        (("erase", "\udcff", "--why", "x", "--yes"), 2),
        (("erase", "key_nobody", "--why", "x", "--yes"), 1),
        (("content", "req_nothing", "--why", " "), 2),
        (("content", "req_nothing", "--why", "x"), 1),
        (("disclose", "req_nothing", "--text", "/nowhere"), 2),
    ):
        assert kept.site.run("audit", *arguments, code=code)["error"]["hint"]
    assert len(kept.site.log_entries()) == before


def test_expiring_needs_a_configured_time(kept):
    assert kept.site.run("audit", "expire", code=2)["error"]["code"] == "invalid_request"
    text = kept.site.config.read_text("utf8")
    kept.site.config.write_text(text + "audit: {content_days: 30}\n", encoding="utf8")
    assert kept.site.run("audit", "expire") == {"records": 0, "days": 30}
    kept.site.config.write_text(text, encoding="utf8")
