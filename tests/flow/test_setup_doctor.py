"""`isthmus doctor`: each check says what it found, and every failure what to do."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from isthmus.cli.checks import Finding, Setup, local, log, machine, state
from isthmus.cli.doctor import render
from isthmus.config import Home, Settings, parse
from isthmus.errors import ConfigInvalid
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.notes.cosignature import Cosigner
from isthmus.governance.audit.writing.journal import Journal, Place
from isthmus.governance.audit.writing.keys import coming, make_key
from unit.test_weights_fit import FACTS, header


def setup(folder: Path, text: str = "", **more: object) -> Setup:
    return Setup(parse(text), Home(folder), **more)  # type: ignore[arg-type]


def of_model(findings: Iterator[Finding]) -> Finding:
    """What is said of the model ``m``, beside the embedder that ships."""
    return one(finding for finding in findings if finding.message.startswith("m"))


def one(findings: object) -> Finding:
    (finding,) = findings  # type: ignore[misc]
    assert isinstance(finding, Finding)
    assert finding.hint or finding.status == "ok", "a failure must say what to do"
    return finding


def model(weights: Path | str, **more: object) -> str:
    entry = {"id": "m", "provider": "llama_cpp", "weights": str(weights), **more}
    return json.dumps({"models": [entry]})  # JSON is YAML


def test_this_python_and_its_packages_are_in_order(tmp_path: Path) -> None:
    assert one(machine.python(setup(tmp_path))).status == "ok"
    assert one(machine.packages(setup(tmp_path))).status == "ok"


def test_home_that_is_not_there_yet(tmp_path: Path) -> None:
    finding = one(state.home(setup(tmp_path / "none")))
    assert (finding.status, "isthmus init" in finding.hint) == ("warn", True)


@pytest.mark.parametrize(("mode", "status"), [(0o700, "ok"), (0o750, "fail"), (0o777, "fail")])
def test_home_is_private(tmp_path: Path, mode: int, status: str) -> None:
    tmp_path.chmod(mode)
    finding = one(state.home(setup(tmp_path)))
    assert finding.status == status
    assert status == "ok" or f"chmod 700 {tmp_path}" in finding.hint


def test_home_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert one(state.home(setup(tmp_path / "home"))).status == "fail"


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    assert one(state.secret_files(setup(tmp_path))).status == "ok"
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    for name, mode in (("pepper", 0o600), ("log.key", 0o644)):
        (folder / name).write_text("x")
        (folder / name).chmod(mode)
    finding = one(state.secret_files(setup(tmp_path)))
    assert finding.status == "fail"
    assert finding.hint == f"Run `chmod 600 {folder / 'log.key'}`."


def test_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    finding = one(state.configuration(Setup(Settings(), Home(tmp_path), ConfigInvalid("bad: line 3"))))
    assert (finding.status, finding.message) == ("fail", "bad: line 3")


def test_keys_are_looked_for_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-very-secret")
    text = """
        models:
          - {id: a, provider: openai, api_key: "file:key"}
          - {id: b, provider: openai, api_key: "file:none"}
          - {id: c, provider: openai, api_key: "${ISTHMUS_TEST_NO_SUCH_KEY}"}
          - {id: d, provider: ollama}
    """
    findings = list(state.keys(setup(tmp_path, text)))
    assert [finding.status for finding in findings] == ["ok", "fail", "fail"]
    assert "very-secret" not in str(findings)
    assert "ISTHMUS_TEST_NO_SUCH_KEY" in findings[2].message


def test_weights_of_own(tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    assert of_model(local.weights(setup(tmp_path, model(path)))).status == "fail"
    path.write_bytes(header(FACTS))
    assert of_model(local.weights(setup(tmp_path, model(path)))).status == "ok"


def test_weights_that_nobody_knows(tmp_path: Path) -> None:
    finding = of_model(local.weights(setup(tmp_path, model("starter/none"))))
    assert (finding.status, "starter/minilm" in finding.hint) == ("fail", True)
    assert list(local.memory(setup(tmp_path, model("starter/none")))) == []


def test_memory_that_is_too_small_says_what_fits(tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(header(FACTS))
    assert of_model(local.memory(setup(tmp_path, model(path)))).status == "ok"
    small = json.dumps({**json.loads(model(path, context=4096)), "runtime": {"memory": 71_500_000}})
    finding = of_model(local.memory(setup(tmp_path, small)))
    assert finding.status == "fail"
    assert "Set the model's context to" in finding.hint


def test_policy_that_is_invalid_is_said(tmp_path: Path) -> None:
    assert one(state.policy(setup(tmp_path))).status == "ok"
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/own.cedar").write_text("permit(principal, action, resource) when { nonsense")
    finding = one(state.policy(setup(tmp_path, "policy: {folder: policies}")))
    assert (finding.status, "own.cedar" in finding.message) == ("fail", True)


def test_audit_log_that_is_not_there_yet_and_one_that_is_spoilt(tmp_path: Path) -> None:
    assert one(log.audit(setup(tmp_path))).status == "ok"
    begin(tmp_path)
    finding = one(log.audit(setup(tmp_path)))
    assert (finding.status, finding.message) == ("ok", "The log has 1 signed entry, and holds.")
    (tmp_path / "audit" / "checkpoint").write_text("isthmus.example\n9\nAAAA\n\n- nobody\n")
    assert one(log.audit(setup(tmp_path))).status == "fail"


def begin(home: Path) -> None:
    """A log of one entry."""
    journal = Journal(Place(home / "audit", home / "secrets" / "log-signing-key"), lambda: datetime.now(UTC), Files())
    with journal.turn():
        journal.write([{"type": "test"}])
        journal.flush()
    journal.close()


def test_a_log_that_is_gone_is_not_one_that_is_yet_to_come(tmp_path: Path) -> None:
    begin(tmp_path)
    (tmp_path / "audit").rename(tmp_path / "away")
    finding = one(log.audit(setup(tmp_path)))
    assert (finding.status, "is not in" in finding.message) == ("fail", True)
    assert "Put the folder back" in finding.hint


def test_an_entry_that_was_changed_is_named(tmp_path: Path) -> None:
    begin(tmp_path)
    bundle = tmp_path / "audit/tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"test", b"tset"))
    finding = one(log.audit(setup(tmp_path)))
    assert (finding.status, "Entry 0 was changed" in finding.message) == ("fail", True)


def test_a_signing_key_that_is_missing_or_another(tmp_path: Path) -> None:
    begin(tmp_path)
    key = tmp_path / "secrets/log-signing-key"
    key.rename(coming(key))  # as a rotation leaves it that died once it counted, but for the old key
    make_key(key, Files())
    assert one(log.audit(setup(tmp_path))).status == "ok"
    coming(key).unlink()
    entries, signing = log.audit(setup(tmp_path))
    assert (entries.status, signing.status, "not the signing key" in signing.message) == ("ok", "fail", True)
    key.unlink()
    _, signing = log.audit(setup(tmp_path))
    assert (signing.status, "cannot be read" in signing.message) == ("fail", True)


def test_witnesses_that_answer_are_away_or_say_another_key(tmp_path: Path) -> None:
    assert "docs/witness.md" in one(log.witnesses(setup(tmp_path))).message
    own, other = (Cosigner(name, Ed25519PrivateKey.generate()).verifier.vkey for name in ("w.example/1", "w.example/2"))
    with answering(own) as url:
        for said, status in ((own, "ok"), (other, "warn")):
            finding = one(log.witnesses(setup(tmp_path, witnessed(url, said))))
            assert finding.status == status
    for away in (url, "http://127.0.0.1:99999", "https://127.0.0.1:1/w"):
        finding = one(log.witnesses(setup(tmp_path, witnessed(away, own))))
        assert (finding.status, finding.message) == ("warn", "w.example/1 cannot be reached.")
    with answering("<html>") as url:
        assert one(log.witnesses(setup(tmp_path, witnessed(url, own)))).status == "ok", "it need not say its key"


def witnessed(url: str, vkey: str) -> str:
    return json.dumps({"audit": {"witnesses": [{"url": url, "vkey": vkey}]}})


@contextmanager
def answering(text: str) -> Iterator[str]:
    """A server that says one thing to everybody."""

    class Says(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Says) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_port_free_and_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        finding = one(machine.port(setup(tmp_path, f"server: {{port: {port}}}")))
        assert (finding.status, "another server.port" in finding.hint) == ("fail", True)
    assert one(machine.port(setup(tmp_path, f"server: {{port: {port}}}"))).status == "ok"


def test_port_where_a_server_is_healthy(tmp_path: Path) -> None:
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        finding = one(machine.port(setup(tmp_path, f"server: {{port: {server.server_port}}}")))
        server.shutdown()
    assert (finding.status, "already" in finding.message) == ("ok", True)


def test_servers_are_named(tmp_path: Path) -> None:
    finding = one(machine.servers(setup(tmp_path, places=())))
    assert finding.status == "ok"


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ("ok", "Everything is in order."),
        ("ok warn", "1 warning, nothing failed."),
        ("warn warn", "2 warnings, nothing failed."),
        ("fail ok", "1 to put right."),
        ("fail warn fail", "2 to put right, 1 warning."),
    ],
)
def test_the_last_line_sums_up(statuses: str, said: str) -> None:
    console = Console(record=True, file=io.StringIO())
    render(console, [Finding("check", status, "It is so.") for status in statuses.split()])  # type: ignore[arg-type]
    assert console.export_text().splitlines()[-1] == said


def run(home: Path, *arguments: str, columns: int = 200) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ISTHMUS_HOME": str(home), "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "isthmus", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home.parent, timeout=120)


def test_command_tells_people_and_programs_and_its_exit_code(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    config = home / "isthmus.yaml"
    config.write_text("server: {port: 0}\nmodels:\n- {id: m, provider: llama_cpp, weights: /nowhere.gguf}\n")
    plain = run(home, "doctor", "--json")
    answer = json.loads(plain.stdout)
    assert (plain.returncode, answer["ok"]) == (1, False)
    failed = [check for check in answer["checks"] if check["status"] == "fail"]
    assert [check["check"] for check in failed if "minilm" not in check["message"]] == ["weights"]
    text = run(home, "doctor")
    assert text.returncode == 1
    assert "/nowhere.gguf is not on this machine" in text.stdout
    assert "to put right." in text.stdout
    config.write_text("servr: {}\n")
    broken = json.loads(run(home, "doctor", "--json").stdout)
    assert next(check for check in broken["checks"] if check["check"] == "configuration")["status"] == "fail"


def test_models_commands(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    own = tmp_path / "own.gguf"
    own.write_bytes(header(FACTS))
    (home / "isthmus.yaml").write_text(model(own, locality="in_process"))
    listed = json.loads(run(home, "models", "list", "--json").stdout)
    row = next(row for row in listed["models"] if row["id"] == "m")
    assert (row["present"], row["clearance"]["level"]) == (True, "restricted")
    shown = json.loads(run(home, "models", "show", "m", "--context", "100", "--json").stdout)
    assert (shown["path"], shown["fit"]["fits"], shown["header"]) == (str(own), True, "Tiny")
    table = run(home, "models", "list", columns=60).stdout
    assert "restricted" in table
    assert "…" not in table
    assert "in_process" in table
    nowhere = json.loads(run(home, "models", "pull", "nope", "--json").stdout)["error"]
    assert "starter/minilm" in nowhere["hint"]
    assert "models pull" not in nowhere["hint"]
    assert run(home, "models", "verify", str(own)).stdout == f"{own}: ok\n"
    assert run(home, "models", "remove", str(own)).returncode == 1
    assert own.exists()
    unknown = run(home, "models", "show", "none", "--json")
    assert (unknown.returncode, json.loads(unknown.stdout)["error"]["code"]) == (1, "not_found")
