"""Two gateways with homes of their own, and one audit log in a database."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from flow.served import Site
from isthmus.config import load
from isthmus.wiring import build
from postgres_server import Postgres, postgres

CONFIG = """
models:
  - {id: local/echo, provider: scripted, locality: in_process, openness: {weights: open}, options: {echo: true}}
audit: {origin: example.org/shared, database: "${AUDIT_DATABASE}"}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as own:
        yield own


@pytest.fixture(scope="module")
def sites(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Site]]:
    dsn = server.dsn(server.database())
    both = [Site(tmp_path_factory.mktemp(name), {"AUDIT_DATABASE": dsn}) for name in ("one", "two")]
    for site in both:
        site.config.write_text(CONFIG, encoding="utf8")
    both[0].environment["ADA"] = both[0].key("ada")  # the first begins the log, and makes the key
    shutil.copytree(both[0].home / "secrets", both[1].home / "secrets")
    both[1].environment["ADA"] = both[1].key("ada")
    with both[0].serving(), both[1].serving():
        yield both


def ask(site: Site, text: str) -> dict[str, Any]:
    """One answer's ``isthmus`` part, with the receipt."""
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key=site.environment["ADA"], max_retries=0) as client:
        messages: Any = [{"role": "user", "content": text}]
        answer = client.chat.completions.create(model="local/echo", messages=messages)
    return dict(answer.to_dict()["isthmus"])  # type: ignore[call-overload]


def test_two_gateways_share_one_log(sites: list[Site], tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda site=site, n=n: told.append(ask(site, f"question {n}")))
        for n in range(8)
        for site in sites
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = sites[0].log_entries()
    assert entries == sites[1].log_entries()
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
    assert len(told) == 16
    for answer in told:
        assert answer["receipt"]["log"] == "example.org/shared"
        assert entries[answer["receipt"]["index"]]["request"] == answer["request"]
    # what one gave out is checked against what the other shows
    for answer, other in ((told[0], sites[1]), (told[-1], sites[0])):
        receipt = tmp_path / "receipt"
        receipt.write_text(json.dumps(answer["receipt"]), encoding="utf8")
        assert other.run("audit", "verify", "--receipt", str(receipt))["older"] == [answer["receipt"]["size"]]


def test_a_database_that_is_gone_stops_the_answers_and_comes_back(sites: list[Site], server: Postgres) -> None:
    server.stop()
    with pytest.raises(openai.InternalServerError) as caught:
        ask(sites[0], "anyone there?")
    assert (caught.value.status_code, caught.value.code) == (503, "audit_unavailable")
    assert "pg-" not in str(caught.value.body), "where the database is, is nobody's business"
    assert "audit" in str(_ready(sites[0], 503))
    status, body = _get(f"{sites[0].url}/api/audit/checkpoint", sites[0].environment["ADA"])
    assert (status, b"pg-" in body) == (503, False)
    server.start()
    _ready(sites[0], 200)  # by itself, without a request
    assert ask(sites[0], "and now?")["receipt"]["index"] > 0
    sites[0].run("audit", "verify")


def _ready(site: Site, status: int) -> Any:
    """What ``/readyz`` says, once it has that status."""
    for _ in range(100):
        found, body = _get(f"{site.url}/readyz")
        if found == status:
            return body
        time.sleep(0.1)
    raise AssertionError((found, body))


def _get(url: str, key: str = "") -> tuple[int, bytes]:
    try:
        request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def test_a_stack_that_stopped_has_no_connection_open(
    tmp_path: Path, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = server.database()
    monkeypatch.setenv("AUDIT_DATABASE", server.dsn(name))
    config = tmp_path / "isthmus.yaml"
    config.write_text(CONFIG, encoding="utf8")
    stack = build(*load(config, tmp_path))
    await stack.start()
    assert stack.storage.vkey()
    open_ones = f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'"
    assert server.ask(open_ones)
    await stack.stop()
    for _ in range(100):  # the server needs a moment to see it
        if not server.ask(open_ones):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(server.ask(open_ones))


def test_doctor_says_where_the_log_is(sites: list[Site], tmp_path: Path) -> None:
    home = tmp_path / "home"
    site = Site(home)
    home.mkdir()
    site.config.write_text(CONFIG.split("audit:")[0], encoding="utf8")
    site.key("ada")  # a log in the home folder
    site.config.write_text(CONFIG, encoding="utf8")
    site.environment = {"AUDIT_DATABASE": sites[0].environment["AUDIT_DATABASE"]}
    found = [(one["status"], one["message"]) for one in _findings(site) if one["check"] == "audit"]
    assert ("warn", f"{home / 'audit'} holds another log, which ended when the database's began.") in found
    assert any(status == "ok" and "signed entries" in message for status, message in found)
    assert "no signing key" in site.run("keys", "create", "--name", "bob", code=1)["error"]["message"]
    site.environment = {"AUDIT_DATABASE": "hunter2"}
    assert "hunter2" not in json.dumps(_findings(site))
    site.environment = {}
    assert any("AUDIT_DATABASE is not set" in one["message"] for one in _findings(site))


def _findings(site: Site) -> list[dict[str, str]]:
    done = subprocess.run(
        site.command("doctor", "--json"), env={**os.environ, **site.environment}, capture_output=True, check=False,
        cwd=site.home,
    )  # fmt: skip
    return list(json.loads(done.stdout)["checks"])


def test_the_file_never_holds_the_connection_string(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.config.write_text("audit: {database: 'postgresql://user:hunter2@host/db'}", encoding="utf8")
    error = site.run("audit", "list", code=2)["error"]
    assert "audit.database stands in the file" in error["message"]
    assert "hunter2" not in json.dumps(error)


def test_who_has_no_database_needs_no_driver(tmp_path: Path) -> None:
    loaded = "import sys, isthmus.wiring, isthmus.cli.main, isthmus.cli.audit; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available')", encoding="utf8")
    site = Site(tmp_path, {"PYTHONPATH": str(tmp_path), "AUDIT_DATABASE": "dbname=x"})
    site.config.write_text(CONFIG, encoding="utf8")
    error = site.run("audit", "list", code=2)["error"]
    assert "needs psycopg" in error["message"]
    assert "'.[postgres]'" in error["hint"]


def test_the_schema_is_sql_for_psql(server: Postgres, tmp_path: Path) -> None:
    database, sql = server.database(), server.folder / "schema.sql"
    for role in ("isthmus", "auditor"):
        server.ask(f"CREATE ROLE {role} LOGIN")
    site = Site(tmp_path)
    printed = subprocess.run(
        site.command("audit", "schema", "--writer", "isthmus", "--reader", "auditor"), capture_output=True, check=True
    )
    sql.write_bytes(printed.stdout)
    server.program("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", sql, server.dsn(database))
    site.config.write_text(CONFIG, encoding="utf8")
    site.environment = {"AUDIT_DATABASE": server.dsn(database, "isthmus")}
    site.key("ada")
    site.environment = {"AUDIT_DATABASE": server.dsn(database, "auditor")}
    assert site.run("audit", "verify")["size"] > 0
    assert site.run("audit", "schema", "--writer", 'x"; --', code=2)["error"]["code"] == "invalid_request"
