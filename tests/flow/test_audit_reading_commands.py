"""``isthmus audit search``, ``show``, ``events`` and ``sent`` as people and collectors use them."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main
from isthmus.governance.audit.tree.layout import bundle_path
from isthmus.governance.audit.tree.stored import StoredTree
from unit.audit_reading_fixtures import HOSTILE, RAW, call, ended, write

STYLES = re.compile(r"\x1b\[[0-9;]*m")  # what Rich itself writes


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of four requests and a key: one answered outside, one here, one refused, one that never ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "home"))
    first = call(1)
    here = call(2, model="local/echo", provider="scripted", vendor="", locality="in_process",
                label={"level": "restricted", "categories": ["health"]}, passages=[])  # fmt: skip
    refused = ended(
        call(3, model="auto"), "stopped", code="no_admissible_model", rules={"closed/frontier": "terms-expired"}
    )
    write(
        tmp_path / "home",
        [{"type": "key.created", "by": "uid:0", "key": {"id": "key_1"}}, first, ended(first), here, ended(here),
         refused, call(4)],
    )  # fmt: skip
    return tmp_path / "home"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["audit", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "isthmus", "audit", *arguments]


# ---------------------------------------------------------------- search


@pytest.mark.parametrize(
    ("filters", "entries"),
    [
        ([], [0, 1, 2, 3, 4, 5, 6]),
        (["--type", "intent"], [1, 3, 6]),
        (["--type", "key"], [0]),
        (["--type", "outcome", "--type", "stopped"], [2, 4, 5]),
        (["--principal", "key_1"], [0, 1, 2, 6]),
        (["--principal", "uid:0"], [0]),
        (["--model", "local/echo"], [3, 4]),
        (["--collection", "handbook"], [1, 6]),
        (["--document", "doc_9", "--model", "closed/frontier"], [1, 6]),
        (["--label", "internal"], [1, 2, 5, 6]),
        (["--at-least", "confidential"], [3, 4]),
        (["--category", "health"], [3, 4]),
        (["--rule", "terms-expired"], [1, 3, 5, 6]),
        (["--code", "no_admissible_model"], [5]),
        (["--request", "req_1"], [1, 2]),
        (["--from", "2026-03-01T09:00:01Z", "--until", "2026-03-01T09:00:01.5Z"], [3, 4]),
        (["--from", "2026-03", "--until", "2026-04", "--last", "2"], [5, 6]),
        (["--from", "7d"], []),
        (["--principal", "nobody"], []),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) else "",
)  # fmt: skip
def test_search(home: Path, capsys: pytest.CaptureFixture[str], filters: list[str], entries: list[int]) -> None:
    code, told = run(capsys, "search", *filters)
    assert (code, [entry["seq"] for entry in told["entries"]], told["broken"]) == (0, entries, [])
    assert told["signed"] == 7
    assert main(["audit", "search", *filters, "--jsonl"]) == 0
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == entries
    assert main(["audit", "search", *filters]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown if line.split()[0].isdecimal()] == [str(entry) for entry in entries]
    assert entries or shown[0] == "None of 7 entries."
    assert ("No entry has the principal 'nobody'" in "\n".join(shown)) == ("nobody" in filters)


@pytest.mark.parametrize(
    "wrong",
    [["--label", "secret"], ["--at-least", "high"], ["--from", "yesterday"], ["--last", "0"], ["--last", "9" * 30],
     ["--who", "x"], ["--until", "2026-02", "--from", "2026-03"], ["--json", "--jsonl"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_filters_are_wrong_use(home: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]) -> None:
    assert main(["audit", "search", *wrong]) == 2


def test_what_was_changed_is_not_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One letter of the outcome of req_1: no command shows the entry, and each ends as a failure."""
    bundle = bundle_path(home / "audit", 0)
    bundle.write_bytes(bundle.read_bytes().replace(b'"finish":"stop"', b'"finish":"stoq"', 1))
    for arguments in (["search"], ["search", "--type", "intent"], ["search", "--principal", "nobody"], ["list"],
                      ["list", "--last", "5"], ["show", "req_1"], ["sent", "--to", "closed/frontier"]):  # fmt: skip
        code, told = run(capsys, *arguments)
        assert (code, told["broken"]) == (1, [2]), arguments
        assert main(["audit", *arguments]) == 1
        out, err = capsys.readouterr()
        assert "stoq" not in out
        assert "Entry 2 is NOT what was signed in the checkpoint of 7." in err
    assert main(["audit", "search", "--jsonl"]) == 1
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == [0, 1, 3, 4, 5, 6]
    for arguments in (["show", "2"], ["events"], ["sent", "--to", "closed/frontier", "--out", "evidence"]):
        code = main(["audit", *arguments])
        out, err = capsys.readouterr()
        assert (code, "stoq" in out) == (1, False)
        assert "Entry 2 is NOT what was signed" in err
    assert not Path("evidence").exists()
    assert main(["audit", "show", "1"]) == 0, "what was not changed is shown"
    assert "is what was signed in the checkpoint of 7 entries" in capsys.readouterr().out
    bundle.unlink()
    assert run(capsys, "search")[0] == 1


def test_a_line_says_what_an_entry_is_about(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split(maxsplit=3)[3] == "key.created  uid:0  key_1"
    assert shown[5].split(maxsplit=3)[3] == "stopped  req_3  key_0  auto  internal  refused by terms-expired"


@pytest.mark.parametrize("number", ["7", "9" * 30, "9" * 5000, "-1", "\u0661", "0x1", ""])
def test_no_number_of_an_entry(home: Path, capsys: pytest.CaptureFixture[str], number: str) -> None:
    assert main(["audit", "show", "--", number]) == 1
    assert "not_found" in capsys.readouterr().err


# ---------------------------------------------------------------- what an entry says never draws


def on_a_terminal(*arguments: str, columns: int) -> str:
    """What the command shows on a real terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    process = subprocess.Popen(command(*arguments), stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux says so where the other side is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0, shown.decode()
    return shown.decode()


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A log in which every name means harm; whose request is asked for."""
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "home"))
    text = "".join(HOSTILE)
    label = {"level": text, "categories": [text]}
    intent = call(1, request=text, principal=text, purpose=text, label=label, model=text, vendor=text, reason=text,
                  rule=text, denied={text: text}, admitted=[text], findings={text: 1}, obligations=[text],
                  retention=text, passages=[{"document": text, "collection": text}])  # fmt: skip
    cost = {"amount": "1", "currency": text}
    write(
        tmp_path / "home",
        [intent, ended(intent, finish=text, cost=cost), ended(intent, "failed", code=text),
         ended(intent, "stopped", code=text, rules={text: text}),
         {"type": text, "request": text, text: {text: [text]}}],
    )  # fmt: skip
    return text


@pytest.mark.parametrize(("columns", "json"), [(80, []), (200, []), (80, ["--json"])], ids=["narrow", "wide", "json"])
def test_nothing_in_an_entry_draws_on_a_terminal(hostile: str, columns: int, json: list[str]) -> None:
    for arguments in (["show", hostile], ["show", "4"], ["search"], ["list"], ["sent", "--to", hostile]):
        shown = on_a_terminal(*arguments, *json, columns=columns)
        plain = STYLES.sub("", shown).replace("\r\n", "\n")
        assert not [raw for raw in (*RAW, "\x1b") if raw in plain], arguments
        assert "\\u202e" in plain.replace("\n", "").replace(" ", "")
        if not json:
            assert "[boldred]markup[/]" in plain.replace("\n", "").replace(" ", ""), "markup is shown, not obeyed"


def test_json_lines_on_a_terminal_spell_what_it_would_obey(hostile: str) -> None:
    for arguments in (["events"], ["search", "--jsonl"]):
        shown = on_a_terminal(*arguments, columns=80).replace("\r\n", "\n")
        assert not [raw for raw in (*RAW, "\x1b") if raw in shown]
        assert [json.loads(line)["seq"] for line in shown.splitlines()] == [0, 1, 2, 3, 4]
        assert json.loads(shown.splitlines()[0])["principal"] == hostile


# ---------------------------------------------------------------- events


def test_each_line_is_what_was_hashed(home: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["audit", "events"]) == 0
    lines = capfdbinary.readouterr().out.removesuffix(b"\n").split(b"\n")
    from isthmus.governance.audit.tree.storage import Folder

    leaves = StoredTree(Folder(home / "audit")).hashes(0, 0, 7)
    assert [hashlib.sha256(b"\x00" + line).digest() for line in lines] == leaves


def test_events_resume_and_choose(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> list[int]:
        assert main(["audit", "events", *arguments]) == 0
        return [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()]

    assert told("--from-entry", "5") == [5, 6]
    assert told("--from-entry", "7") == []
    assert told("--type", "intent", "--type", "key", "--from-entry", "1") == [1, 3, 6]
    assert main(["audit", "events", "--from-entry", "8"]) == 1
    assert "does not reach entry 7" in capsys.readouterr().err
    code, told_wrong = run(capsys, "events", "--from-entry", "8")
    assert (code, told_wrong["error"]["code"]) == (1, "verification_failed")


def test_events_tell_only_what_is_signed_for(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = (home / "audit" / "checkpoint").read_bytes()
    write(home, [{"type": "later"}])
    for slot in ("checkpoint", "checkpoint.alternate"):
        (home / "audit" / slot).write_bytes(note)
    for arguments, count in (([], 7), (["--unsigned"], 8)):
        assert main(["audit", "events", *arguments]) == 0
        assert len(capsys.readouterr().out.splitlines()) == count


def test_events_do_not_pass_over_a_broken_entry(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = bundle_path(home / "audit", 0)
    bundle.write_bytes(bundle.read_bytes().replace(b'"seq":3', b'"seq":8'))
    assert main(["audit", "events"]) == 1
    assert "Entry 3 is NOT what was signed in the checkpoint of 7" in capsys.readouterr().err


@contextmanager
def following(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command("events", "--follow", "--every", "0.05", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 30)[0], "no line in 30 s"
    return dict(json.loads(process.stdout.readline()))


def status(process: subprocess.Popen[bytes]) -> dict[str, str]:
    """What Linux says of a process, by name."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf8").splitlines()
    return {name: told.strip() for name, _, told in (line.partition(":") for line in lines)}


def until_it_looks(process: subprocess.Popen[bytes], looks: int = 10) -> None:
    """Until it waits from one look to the next: it catches SIGTERM, and gave the processor away several times since."""
    deadline, since = time.monotonic() + 60, None
    while since is None or int(status(process)["voluntary_ctxt_switches"]) < since + looks:
        assert process.poll() is None, "it ended before it looked"
        assert time.monotonic() < deadline, "it did not look in 60 s"
        if since is None and int(status(process)["SigCgt"], 16) & 1 << signal.SIGTERM - 1:
            since = int(status(process)["voluntary_ctxt_switches"])
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_begins_before_the_log_and_ends_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "home"))
    with following() as process:
        until_it_looks(process)
        write(tmp_path / "home", [{"type": "first"}])
        assert line(process)["type"] == "first"
        write(tmp_path / "home", [{"type": "second"}])
        assert line(process)["type"] == "second"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, b"", b"")


def test_following_ends_where_nobody_reads(home: Path) -> None:
    with following() as process:
        line(process)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_following_notices_a_log_that_was_cut(home: Path) -> None:
    with following("--from-entry", "6") as process:
        line(process)
        for slot in ("checkpoint", "checkpoint.alternate"):
            (home / "audit" / slot).unlink(missing_ok=True)
        bundle_path(home / "audit", 0).write_bytes(b"")
        assert process.wait(timeout=30) == 1
        assert process.stderr is not None
        assert b"verification_failed" in process.stderr.read()


@pytest.mark.parametrize("arguments", [["events"], ["search", "--jsonl"]])
def test_a_reader_that_has_enough_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "home"))
    write(tmp_path / "home", [call(i) for i in range(500)])
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line(process)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


# ---------------------------------------------------------------- show, sent


def test_show_says_what_is_unfinished(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "show", "req_4"]) == 0
    assert "unfinished: no entry says how it ended" in capsys.readouterr().out
    code, told = run(capsys, "show", "req_1")
    assert (code, told["end"], told["signed"]) == (0, "answered by closed/frontier", 7)
    assert [step["what"] for step in told["steps"]][-1] == "answered"
    write(home, [call(5, request="req_5a"), call(6, request="req_5b")])
    assert run(capsys, "show", "chatcmpl-5a")[1]["request"] == "req_5a"
    code, told = run(capsys, "show", "req_5")
    assert (code, told["error"]["code"], told["error"]["requests"]) == (1, "not_found", ["req_5a", "req_5b"])
    assert run(capsys, "show", "req_6")[1]["error"]["code"] == "not_found"


def test_sent(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "sent", "--to", "api.vendor.example", "--from", "2026-03", "--until", "2026-04")
    assert (code, told["requests"], told["answered"], told["ends"]) == (0, 2, 1, {"not on record": 1})
    assert main(["audit", "sent", "--to", "closed/frontier"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"requests +2, in 2 attempts", shown)
    assert "not on record 1; each of them may have been received all the same" in shown
    for whom in ("https://API.vendor.example:8443/v1", "API.Vendor.Example", "https://api.vendor.example"):
        assert run(capsys, "sent", "--to", whom)[1]["requests"] == 2
    assert main(["audit", "sent", "--to", "local/echo"]) == 0
    assert "nothing left them" in capsys.readouterr().out
    code, told = run(capsys, "sent", "--to", "api.vendor.exampel")
    assert (code, told["error"]["code"]) == (1, "not_found")
    code, told = run(capsys, "sent", "--to", "closed/frontier", "--content", "a complaint")
    assert (code, told["error"]["code"]) == (2, "invalid_request")
    code, told = run(capsys, "sent", "--to", "closed/frontier", "--out", "evidence")
    assert (code, told["folder"]) == (0, "evidence")
    assert sorted(path.name for path in Path("evidence/entries").iterdir()) == [
        "1.json", "1.tlog-proof", "2.json", "2.tlog-proof", "6.json", "6.tlog-proof",
    ]  # fmt: skip
