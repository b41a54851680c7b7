"""Auditors over HTTP, against a real server: the same answers as on the command line, for nobody else."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import openai
import pytest

from flow.conftest import World


def get(world: World, path: str, who: str | None = "auditor", **filters: Any) -> tuple[int, Any]:
    """The status, and the answer's JSON."""
    address = urlsplit(world.site.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    headers = {} if who is None else {"authorization": f"Bearer {world.keys[who]}"}
    query = urlencode({name.rstrip("_"): value for name, value in filters.items()}, doseq=True)
    connection.request("GET", f"/api/audit/{path}" + (f"?{query}" if query else ""), headers=headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


@pytest.fixture
def asked(world: World) -> str:
    """A request that went out and was answered, and one that was refused before. The first one's id."""
    with pytest.raises(openai.PermissionDeniedError):
        world.ask("My number is 4111 1111 1111 1111, my IBAN GB82WEST12345698765432.", model="closed/frontier")
    answer = world.ask("What is the capital of France?", model="closed/frontier", who="website")
    return str(answer.model_extra["isthmus"]["request"])


FILTERS: tuple[dict[str, Any], ...] = (
    {"type": "intent"},
    {"type": ["outcome", "stopped"]},
    {"model": "closed/frontier", "type": "intent"},
    {"label": "public"},
    {"at_least": "internal"},
    {"code": "policy_denied"},
    {"from": "1h"},
    {"until": "2020-01"},
    {"principal": "nobody"},
)


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_an_auditor_finds_what_the_command_finds(world: World, asked: str, filters: dict[str, Any]) -> None:
    options = [
        word
        for name, value in filters.items()
        for one in (value if isinstance(value, list) else [value])
        for word in (f"--{name.replace('_', '-')}", one)
    ]
    known = world.site.run("audit", "search", *options)["entries"]
    status, told = get(world, "entries", limit=1000, **{f"{name}_": value for name, value in filters.items()})
    assert (status, told["entries"], told["complete"]) == (200, known[::-1], True)
    assert told["unknown"] == ({"principal": ["nobody"]} if "principal" in filters else {})


def test_pages_up_and_down_tell_every_entry_once(world: World, asked: str) -> None:
    known = world.site.log_entries()
    size = len(known)
    seen, start, complete = [], 0, False
    while not complete:
        _, told = get(world, "entries", limit=7, from_entry=start)
        seen += told["entries"]
        start, complete = told["next"]["from_entry"], told["complete"]
    assert seen[:size] == known
    seen, more = [], {"before_entry": size}
    while more is not None:
        _, told = get(world, "entries", limit=7, **more)
        seen += told["entries"]
        more = told["next"]
    assert seen == known[::-1]


def test_an_entry_can_be_checked(world: World, asked: str) -> None:
    index = get(world, "entries", request=asked, type="outcome")[1]["entries"][0]["seq"]
    status, told = get(world, f"entries/{index}")
    assert (status, told["entry"]["request"], told["signed"] > index) == (200, asked, True)
    assert hashlib.sha256(b"\x00" + told["line"].encode()).hexdigest() == told["leaf"]
    assert get(world, f"receipts/{index}")[1]["leaf"] == told["leaf"]


def test_a_story(world: World, asked: str) -> None:
    status, told = get(world, f"requests/{asked}")
    assert (status, told["end"]) == (200, "answered by closed/frontier")
    assert [entry["type"] for entry in told["entries"]] == ["intent", "outcome"]
    sent = next(step["told"] for step in told["steps"] if step["what"] == "sent")
    assert "it left the premises; this entry was on disk first" in sent
    assert told["entries"] == world.site.run("audit", "show", asked)["entries"]
    assert (told["complete"], told["next"]) == (True, None)
    status, told = get(world, f"requests/{asked}", before_entry=told["entries"][1]["seq"])
    assert (status, [entry["type"] for entry in told["entries"]]) == (200, ["intent"])


def test_what_a_vendor_received(world: World, asked: str) -> None:
    vendor = urlsplit(world.vendor.url).netloc
    for to in (vendor, "127.0.0.1", "closed/frontier", "openai_compatible"):
        status, told = get(world, "sent", to=to, from_="1h")
        assert (status, told["answered"] > 0, "closed/frontier" in told["configured"]) == (200, True, True)
        assert told["attempts"] == world.site.run("audit", "sent", "--to", to, "--from", "1h")["attempts"]
        assert told["read"] == {"from_entry": 0, "before_entry": told["size"]}
    assert get(world, "sent", to="nobody", from_="1h")[0] == 404


@pytest.mark.skipif(shutil.which("openssl") is None, reason="NEEDS openssl, which is not installed")
def test_evidence_from_a_log_in_use(world: World, asked: str, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    told = world.site.run("audit", "sent", "--to", "openai_compatible", "--out", str(folder))
    assert told["requests"] > 0
    page, vkey = folder / "verify_evidence.py", world.site.home / "audit" / "vkey"
    done = subprocess.run([sys.executable, "-I", page, folder, vkey], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


PATHS = ("entries", "entries/0", "requests/req_1", "sent?to=x")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", ["ada", "officer", "root"])
def test_only_auditors_read(world: World, path: str, who: str) -> None:
    status, told = get(world, path, who)
    assert (status, told["error"]["code"], told["error"]["isthmus"]["role"]) == (403, "forbidden", "auditor")
    assert "key with the role" in json.dumps(told)


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_nothing_is_told(world: World, path: str) -> None:
    assert get(world, path, None)[0] == 401


@pytest.mark.parametrize(
    ("path", "filters", "field"),
    [
        ("entries", {"label": "secret"}, "label"),
        ("entries", {"at_least": "high"}, "at_least"),
        ("entries", {"at_least": ["public", "internal"]}, "at_least"),
        ("entries", {"from_": "yesterday"}, "from"),
        ("entries", {"from_": ""}, "from"),
        ("entries", {"until": "2026-02", "from_": "2026-03"}, "until"),
        ("entries", {"limit": 0}, "limit"),
        ("entries", {"limit": 1001}, "limit"),
        ("entries", {"limit": "٣"}, "limit"),
        ("entries", {"from_entry": "-1"}, "from_entry"),
        ("entries", {"from_entry": "9" * 5000}, "from_entry"),
        ("entries", {"from_entry": 1, "before_entry": 2}, "from_entry"),
        ("entries", {"whom": "me"}, "whom"),
        ("entries", {"type": ""}, "type"),
        ("sent", {}, "to"),
        ("sent", {"to": ""}, "to"),
        ("sent", {"to": ["a", "b"]}, "to"),
        ("sent", {"to": "a", "limit": 1}, "limit"),
        ("sent", {"to": "a"}, "from"),
        ("requests/req_1", {"before_entry": "x"}, "before_entry"),
        ("requests/req_1", {"limit": 1}, "limit"),
    ],
    ids=str,
)
def test_a_bad_filter_is_named(world: World, path: str, filters: dict[str, Any], field: str) -> None:
    status, told = get(world, path, **filters)
    assert (status, told["error"]["code"]) == (400, "invalid_request")
    assert told["error"]["message"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    "path",
    ["entries/99999999", "entries/-1", "entries/1e3", "entries/" + "9" * 4000, "entries/%D9%A3", "requests/nobody",
     "requests/" + quote("\x1b[2J\u202e"), "requests/%FF%FE"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(world: World, path: str) -> None:
    assert get(world, path)[0] == 404


def test_others_are_answered_while_auditors_read(world: World, asked: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        reading = [pool.submit(get, world, "sent", to="closed/frontier", from_="1h") for _ in range(8)]
        answers = [pool.submit(world.ask, "hello", model="local/echo") for _ in range(4)]
        assert all(answer.result(60).choices for answer in answers)
        assert [one.result(60)[0] for one in reading] == [200] * 8
