"""What is said where a log, a key or a name is not what it should be, and that it is what a person can act on."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from flow.audit_fixtures import ORIGIN, fill, get, site
from flow.served import Site
from isthmus.governance.audit.notes.checkpoint import Verifier


@pytest.fixture
def log(tmp_path: Path) -> Site:
    made = site(tmp_path / "home")
    fill(made.home, 0, 5)
    return made


def refused(made: Site, *arguments: str, code: int = 1) -> dict[str, Any]:
    return dict(made.run(*arguments, code=code)["error"])


@pytest.mark.parametrize("command", ["list", "verify", "checkpoint", "events", "rotate-key"])
def test_a_log_whose_folder_is_gone_is_missing(log: Site, command: str) -> None:
    (log.home / "audit").rename(log.home / "away")
    error = refused(log, "audit", command)
    assert error["code"] == "audit_unavailable"
    assert "is not in" in error["message"]
    assert "Put the folder back" in error["hint"]
    (log.home / "away").rename(log.home / "audit")
    assert log.run("audit", "verify")["size"] == 5


def test_over_http_too_and_without_a_word_of_where(log: Site) -> None:
    key = log.key("somebody")
    with log.serving():
        (log.home / "audit").rename(log.home / "away")
        answers = [get(log.url, f"/api/audit/{path}", key)[::2] for path in ("checkpoint", "vkey")]
        answers += [ask(log.url, key), ask(log.url, key)]
        (log.home / "away").rename(log.home / "audit")
    for status, body in answers:
        assert (status, b"audit_unavailable" in body, b"Try again" in body) == (503, True, True)
        assert str(log.home).encode() not in body
    told = " ".join((log.home / "server.log").read_text(encoding="utf8").split())
    assert told.count("nothing is answered, as the audit log cannot be written") == 1
    assert str(log.home / "audit") in told.replace(" ", "")
    assert "the audit log is written again" in told


def ask(url: str, key: str) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    body = {"model": "local/echo", "messages": [{"role": "user", "content": "hello"}]}
    with closing(connection):
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("command", ["list", "verify", "checkpoint", "rotate-key"])
def test_a_log_that_is_yet_to_come_is_not_begun_by_asking(tmp_path: Path, command: str) -> None:
    made = site(tmp_path / "home")
    error = refused(made, "audit", command)
    assert (error["code"], error["message"]) == ("not_found", "There is no audit log yet.")
    assert "isthmus keys create" in error["hint"]
    assert not (made.home / "audit").exists()


def test_the_key_of_another_log(log: Site, tmp_path: Path) -> None:
    other = site(tmp_path / "other")
    other.config.write_text("audit: {origin: other.example/log}", encoding="utf8")
    other.key("ada")
    error = refused(log, "audit", "verify", "--vkey", str(other.home / "audit" / "vkey"))
    assert error["message"] == f"That key is of other.example/log, and this log is {ORIGIN}."
    kept = tmp_path / "kept"
    kept.write_text(other.run("audit", "checkpoint")["checkpoint"], encoding="utf8")
    error = refused(log, "audit", "verify", "--checkpoint", str(kept))
    assert "first line names its log" in error["hint"]


def test_a_key_of_this_name_that_no_rotation_leads_to(log: Site, tmp_path: Path) -> None:
    other = tmp_path / "other"
    fill(other, 0, 1)
    vkey = (other / "audit" / "vkey").read_text(encoding="utf8").strip()
    assert Verifier.parse(vkey).name == ORIGIN
    error = refused(log, "audit", "verify", "--vkey", vkey)
    assert "was replaced" in error["hint"]


def test_a_witness_that_is_no_key_is_not_looked_for(log: Site) -> None:
    assert "neither such a key nor a file" in refused(log, "audit", "verify", "--witness", "foo", code=2)["message"]


@pytest.mark.parametrize("name", ["http://x y", "a+b", "", "a\tb"])
def test_a_name_that_a_witness_cannot_have_leaves_nothing_behind(log: Site, tmp_path: Path, name: str) -> None:
    vkey, state = str(log.home / "audit" / "vkey"), tmp_path / "witness"
    error = refused(log, "audit", "witness", "--state", str(state), "--log", vkey, "--name", name, code=2)
    assert "no spaces and no plus signs" in error["message"]
    assert not state.exists()
