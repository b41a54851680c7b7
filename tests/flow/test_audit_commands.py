"""``isthmus audit …`` as people type it, also while a server holds the log."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main
from isthmus.governance.audit.writing.journal import Place
from isthmus.governance.audit.writing.log import Log


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with three requests' entries, a kept checkpoint and a kept receipt."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "home"))

    async def live() -> None:
        folder = tmp_path / "home"
        log = Log.in_folder(Place(folder / "audit", folder / "secrets" / "log-signing-key"), Now())
        for i in range(3):
            who = {"request": f"r{i}", "principal": "key_1", "model": "local/m", "label": {"level": "internal"}}
            await log.append({"type": "intent", **who}, flush=True)
            end = {"finish": "stop", "cost": {"amount": "0.000200", "currency": "USD"}, "admitted": ["[a]", "b"]}
            index = await log.append({"type": "outcome", "request": f"r{i}", **end}, flush=True)
            if i == 1:
                (tmp_path / "kept").write_text(log.checkpoint(), encoding="utf8")
                (tmp_path / "receipt").write_text(json.dumps(asdict(await log.receipt(index))), encoding="utf8")
        await log.stop()

    asyncio.run(live())
    return tmp_path / "home"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """The exit code, and what was printed as JSON."""
    code = main(["audit", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_verify(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "verify", "--checkpoint", "kept", "--receipt", "receipt")
    assert (code, told["size"], told["older"], told["pending"]) == (0, 6, [4, 4], 0)
    assert main(["audit", "verify"]) == 0
    assert "The record holds: 6 entries" in capsys.readouterr().out


def test_verify_names_a_changed_entry(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = home / "audit" / "tile" / "entries" / "000"
    bundle.write_bytes(bundle.read_bytes().replace(b"r2", b"r9"))
    code, told = run(capsys, "verify", "--checkpoint", "kept")
    assert (code, told["error"]["code"], told["error"]["index"]) == (1, "verification_failed", 4)


def test_show_tells_one_request(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "show", "r1")
    assert (code, [entry["type"] for entry in told["entries"]]) == (0, ["intent", "outcome"])
    assert main(["audit", "show", "r1"]) == 0
    text = capsys.readouterr().out
    assert "answered by local/m" not in text, "this outcome names no model"
    assert "labelled   internal" in text
    assert "sent       to local/m" in text
    assert "stop" in text
    assert "Entries 2, 3 are what was signed in the checkpoint of 6 entries: checked just now." in text
    code, told = run(capsys, "show", "r")
    assert (code, told["error"]["code"]) == (1, "not_found")


def test_list_shows_the_newest(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "list", "--last", "2")
    assert (code, [entry["seq"] for entry in told["entries"]]) == (0, [4, 5])
    assert main(["audit", "list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 6
    assert [line.split()[0] for line in shown] == ["0", "1", "2", "3", "4", "5"]
    assert shown[2].split()[3:] == ["intent", "r1", "key_1", "local/m", "internal"]
    assert shown[3].split()[3:] == ["outcome", "r1", "stop", "0.0002", "USD"]
    assert "admitted" not in "".join(shown)


def test_show_takes_an_entry_s_number(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "show", "3")
    assert (code, told["request"], [entry["seq"] for entry in told["entries"]]) == (0, "r1", [3])
    code, told = run(capsys, "show", "6")
    assert (code, told["error"]["code"]) == (1, "not_found")


def test_what_is_no_checkpoint_is_wrong_use_and_what_does_not_hold_is_not(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad").write_text("my notes\n\nof today\n", encoding="utf8")
    code, told = run(capsys, "verify", "--checkpoint", "bad")
    assert (code, told["error"]["code"]) == (2, "invalid_request")
    Path("bad").write_text(Path("kept").read_text(encoding="utf8").replace("\n4\n", "\n3\n"), encoding="utf8")
    code, told = run(capsys, "verify", "--checkpoint", "bad")
    assert (code, told["error"]["code"]) == (1, "verification_failed")
    code, told = run(capsys, "verify", "--checkpoint", "none")
    assert (code, told["error"]["message"]) == (2, "none cannot be read: No such file or directory.")


def test_checkpoint_is_what_a_laptop_keeps(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "checkpoint")
    assert code == 0
    assert main(["audit", "checkpoint"]) == 0
    assert capsys.readouterr().out == told["checkpoint"]


def test_what_was_kept_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert main(["audit", "verify", *arguments]) == 0
        return " ".join(capsys.readouterr().out.split())

    one, two = ["--checkpoint", "kept"], ["--receipt", "receipt"]
    assert "It holds your checkpoint of 4 entries." in said(*one)
    assert "It holds your receipt of entry 3." in said(*two)
    assert "It holds your checkpoint of 4 entries and your receipt of entry 3." in said(*one, *two)
    assert "It holds your checkpoints of 4, 4 entries and your receipts of entries 3, 3." in said(
        *one, *one, *two, *two
    )
    assert "a log that was rewritten and signed again would too" in said()


@pytest.mark.parametrize("form", ["answer", "pretty", "stream"])
def test_a_whole_answer_is_a_receipt(home: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    def kept(receipt: object) -> None:
        told = json.dumps({"choices": [], "isthmus": {"receipt": receipt}}, indent=2 if form == "pretty" else None)
        events = f'data: {{"choices": []}}\n\ndata: {told}\n\ndata: [DONE]\n\n'
        Path("answer").write_text(events if form == "stream" else told, encoding="utf8")

    receipt = json.loads(Path("receipt").read_text(encoding="utf8"))
    kept(receipt)
    code, told = run(capsys, "verify", "--receipt", "answer")
    assert (code, told["receipts"]) == (0, [3])
    kept({**receipt, "leaf": "00" * 32})
    assert run(capsys, "verify", "--receipt", "answer")[0] == 1
    kept(None)
    code, told = run(capsys, "verify", "--receipt", "answer")
    assert (code, told["error"]["code"]) == (2, "invalid_request")


def test_the_key_is_what_checks_the_log(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "vkey")
    assert (code, told["vkey"]) == (0, (home / "audit" / "vkey").read_text(encoding="utf8").strip())
    assert main(["audit", "vkey"]) == 0
    assert capsys.readouterr().out == told["vkey"] + "\n"
    assert main(["audit", "verify", "--vkey", told["vkey"]]) == 0


def test_an_export_says_how_it_is_checked_by_whoever_kept_something(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "export", "to check"]) == 0
    shown = capsys.readouterr().out
    assert "\npython3 -I verify.py 'to check' VKEY-YOU-KEPT CHECKPOINT-YOU-KEPT\n" in shown
    assert "to check/v" not in shown, "neither the page nor the key of the export itself"
    code, told = run(capsys, "export", "nosuch/dir/out")
    assert (code, told["error"]["message"]) == (2, "There is no folder nosuch/dir.")
    assert not Path("nosuch").exists()


def test_export(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "export", "out") == (0, {"folder": "out", "size": 6})
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.txt", "checkpoint", "tile", "verify.py", "vkey"}
    code, told = run(capsys, "export", "out")
    assert (code, told["error"]["code"]) == (2, "invalid_request")
    code, told = run(capsys, "export", "kept/out")  # beneath a file
    assert (code, told["error"]["message"]) == (2, "kept/out cannot be written: Not a directory.")


BAD_RECEIPTS = [
    None, "", "no json", "{}", "[]", '{"log": 1}', "[" * 100_000, '{"log":"x","index":"1","leaf":"","size":1,"root":"",'
    '"proof":[],"checkpoint":""}', '{"log":"x","index":1,"leaf":"","size":1,"root":"","proof":[[]],"checkpoint":""}',
]  # fmt: skip


@pytest.mark.parametrize("content", BAD_RECEIPTS)
def test_a_receipt_that_is_none(home: Path, content: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        Path("bad").write_text(content, encoding="utf8")
    code, told = run(capsys, "verify", "--receipt", "bad")
    assert (code, told["error"]["code"]) == (2, "invalid_request")


def test_no_log_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "nobody"))
    code, told = run(capsys, "list")
    assert (code, told["error"]["code"]) == (1, "not_found")


def test_help_says_in_a_line_which_command_answers_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--help"]) == 0
    shown = capsys.readouterr().out
    commands = shown.partition("Commands:\n")[2].splitlines()
    assert len(commands) == 16, "a line for each"
    assert not [line for line in commands if line.endswith("...")], "none is cut"
    assert "What did this model or vendor receive?" in shown
