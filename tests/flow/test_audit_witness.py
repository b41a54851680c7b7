"""A witness as a process, over real sockets: it cosigns a served log, survives kill -9, and refuses a rewritten one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit_witness_fixtures import MemoryLog
from flow.audit_fixtures import fill, get, site
from flow.served import Site
from flow.witness_fixtures import WitnessProcess, watched_by, witness_process
from isthmus.governance.audit.notes.checkpoint import Verifier
from isthmus.governance.audit.notes.cosignature import CosignatureVerifier
from isthmus.governance.audit.notes.note import Note
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.witness.witnessed import Witnessed

ROOT = Path(__file__).resolve().parents[2]


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def log(tmp_path: Path) -> Site:
    """A home whose log has a few hundred entries, and is not served yet."""
    made = site(tmp_path / "home")
    fill(made.home, 0, 300)
    return made


def vkey(log: Site) -> str:
    return (log.home / "audit" / "vkey").read_text(encoding="utf8").strip()


def cosigned_size(log: Site) -> int:
    kept = Witnessed(log.home / "audit")
    return int(kept.note().split("\n")[1]) if kept.kept else 0


def newest_size(log: Site) -> int:
    return Reader(Folder(log.home / "audit")).checkpoint().checkpoint.size


def events(log: Site, kind: str) -> list[dict[str, object]]:
    told = [json.loads(entry) for _, entry in Reader(Folder(log.home / "audit")).entries()]
    return [entry for entry in told if entry["type"] == kind]


def grow(log: Site) -> None:
    """An entry by another process than the server."""
    fill(log.home, 0, 1)


def said(log: Site) -> str:
    """What the server wrote, without the line ends of its log."""
    return " ".join((log.home / "server.log").read_text(encoding="utf8").split())


@pytest.fixture
def witness(tmp_path: Path, log: Site) -> Iterator[WitnessProcess]:
    """A witness of that log, which the log's configuration names."""
    with witness_process(tmp_path / "witness", str(log.home / "audit" / "vkey")) as started:
        watched_by(log, started)
        yield started


def verify_export(log: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What verify.py, alone, says of a fresh export."""
    target = log.home / f"export{time.monotonic_ns()}"
    log.run("audit", "export", str(target))
    command = [sys.executable, "-I", str(ROOT / "verify.py"), str(target), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# ---------------------------------------------------------------- the log's side


def test_a_served_log_gets_cosignatures(log: Site, witness: WitnessProcess) -> None:
    with log.serving():
        until(lambda: cosigned_size(log) > 300)
        key = log.key("somebody")
        until(lambda: cosigned_size(log) == newest_size(log))  # it grew, and was cosigned again
        status, _, body = get(log.url, "/api/audit/witnessed", key)
    note = log.run("audit", "checkpoint", "--witnessed")["checkpoint"]
    assert (status, body.decode()) == (200, note)
    # the log's own signature and the witness's, which says when
    assert Verifier.parse(vkey(log)).open(note).size == cosigned_size(log)
    assert abs(CosignatureVerifier.parse(witness.vkey).time(Note.parse(note)) - time.time()) < 300
    assert not events(log, "witness.refused")
    told = log.run("audit", "verify", "--witness", witness.vkey)
    assert [one["witness"] for one in told["witnesses"]] == ["witness.example/w1"]
    assert cosigned_size(log) in told["older"]
    # a stranger with openssl sees it too, and that another witness did not cosign
    done = verify_export(log, vkey(log), "--witness", witness.vkey)
    assert (done.returncode, done.stderr) == (0, "")
    assert witness.vkey in done.stdout
    with witness_process(log.home / "other", vkey(log)) as other:
        failed = verify_export(log, vkey(log), "--witness", other.vkey)
        assert (failed.returncode, failed.stdout) == (1, "")
        assert f"is not cosigned by '{other.vkey}'" in failed.stderr
        assert log.run("audit", "verify", "--witness", other.vkey, code=1)["error"]["code"] == "verification_failed"


def test_a_cosigned_checkpoint_that_was_changed_fails(log: Site, witness: WitnessProcess) -> None:
    with log.serving():
        until(lambda: cosigned_size(log) > 300)
    file = log.home / "audit" / "witnessed"
    note = Note.parse(file.read_text(encoding="utf8"))
    file.write_text(str(Note(note.body, note.signatures[:1])), encoding="utf8")
    assert "not cosigned" in verify_export(log, vkey(log), "--witness", witness.vkey).stderr
    file.write_text(str(Note(note.body, note.signatures[1:])), encoding="utf8")  # not the log's
    assert "not signed by" in verify_export(log, vkey(log), "--witness", witness.vkey).stderr
    file.unlink()
    assert log.run("audit", "verify", "--witness", witness.vkey, code=1)["error"]["code"] == "not_found"


def test_a_witness_that_is_killed_goes_on(log: Site, witness: WitnessProcess) -> None:
    with log.serving():
        for n in range(1, 4):
            until(lambda: cosigned_size(log) == newest_size(log))
            witness.kill()
            size = newest_size(log)
            grow(log)
            assert newest_size(log) > size
            until(lambda n=n: said(log).count("asked again") == n)
            assert get(log.url, "/readyz")[0] == 200  # the gateway goes on without it
            assert cosigned_size(log) == size
            witness.start()
        until(lambda: cosigned_size(log) == newest_size(log))
    assert not events(log, "witness.refused")
    assert said(log).count("asked again") == said(log).count("cosigns") == 3, "each is said once"


def test_a_log_that_is_served_before_its_witness_runs(log: Site, witness: WitnessProcess) -> None:
    witness.kill()
    with log.serving():
        until(lambda: "asked again" in said(log))
        witness.start()
        until(lambda: cosigned_size(log) == newest_size(log))


def rewritten(log: Site) -> None:
    """Put a log with another first entry, signed again by the log's own key, in the place of the one in use."""
    forged = log.home / "forged"
    command = [sys.executable, str(ROOT / "examples" / "rewrite_log.py"), str(log.home), str(forged)]
    subprocess.run(command, check=True, capture_output=True)
    for part in list(forged.rglob("*.p")):
        if part.parent.name == "entries" or part.parent.parent.name == "entries":
            (widest,) = part.iterdir()
            widest.rename(part.with_suffix(""))
        shutil.rmtree(part, ignore_errors=True)
    audit = log.home / "audit"
    shutil.move(audit / "witnessed", forged / "witnessed")
    shutil.rmtree(audit)
    forged.rename(audit)


def test_a_rewritten_log_is_refused_and_that_is_recorded(log: Site, witness: WitnessProcess, tmp_path: Path) -> None:
    with log.serving():
        until(lambda: cosigned_size(log) == newest_size(log))
    honest = cosigned_size(log)
    rewritten(log)
    log.run("audit", "verify")  # it holds in itself, or this test shows nothing
    with log.serving():
        until(lambda: bool(events(log, "witness.refused")))
        grow(log)
        time.sleep(1)  # five rounds
        (refused,) = events(log, "witness.refused")
    assert (refused["witness"], refused["status"]) == (witness.vkey, 422)
    assert said(log).count("REFUSES this log") == 1
    assert cosigned_size(log) <= honest
    # and whoever asks for the witness's word finds it missing
    failed = log.run("audit", "verify", "--witness", witness.vkey, code=1)["error"]
    assert failed["code"] == "verification_failed"
    assert "was changed" in verify_export(log, vkey(log), "--witness", witness.vkey).stderr


def test_a_log_that_was_set_back_is_refused(log: Site, witness: WitnessProcess) -> None:
    """An old backup is no forgery, and still not the log that the witness saw."""
    backup = shutil.copytree(log.home / "audit", log.home / "backup")
    with log.serving():
        fill(log.home, 0, 50)
        until(lambda: cosigned_size(log) == newest_size(log))
    shutil.rmtree(log.home / "audit")
    backup.rename(log.home / "audit")
    with log.serving():
        until(lambda: bool(events(log, "witness.refused")))
    (refused,) = events(log, "witness.refused")
    assert int(str(refused["cosigned"])) > int(str(refused["size"]))


def test_a_key_is_rotated_while_all_runs(log: Site, witness: WitnessProcess) -> None:
    old = vkey(log)
    with log.serving():
        until(lambda: cosigned_size(log) == newest_size(log))
        kept = log.run("audit", "checkpoint")["checkpoint"]
        rotated = log.run("audit", "rotate-key", "--why", "yearly")
        assert (rotated["old"], rotated["new"]) == (old, vkey(log))
        grow(log)
        until(lambda: cosigned_size(log) == newest_size(log) > rotated["size"])
    note = log.run("audit", "checkpoint", "--witnessed")["checkpoint"]
    assert Verifier.parse(rotated["new"]).open(note).size == cosigned_size(log)
    (event,) = events(log, "log.key_rotated")
    assert (event["old"], event["new"], event["why"]) == (old, rotated["new"], "yearly")
    (log.home / "kept").write_text(kept, encoding="utf8")
    for held in (old, rotated["new"]):
        log.run("audit", "verify", "--vkey", held, "--checkpoint", "kept", "--witness", witness.vkey)
        done = verify_export(log, held, str(log.home / "kept"), "--witness", witness.vkey)
        assert (done.returncode, done.stderr) == (0, "")
    stranger = MemoryLog().signer.verifier.vkey
    assert "do not lead from or to" in verify_export(log, stranger).stderr
    assert log.run("audit", "verify", "--vkey", stranger, code=1)["error"]["code"] == "verification_failed"
    # a witness that knows only the old key, and was away all the time, is told of the rotation
    with witness_process(log.home / "late", old) as late:
        watched_by(log, witness, late)
        with log.serving():
            until(lambda: Witnessed(log.home / "audit").note().count("witness.example/w1") == 2)


def test_a_rotation_that_does_not_hold_is_named(log: Site) -> None:
    old = vkey(log)
    log.run("audit", "rotate-key")
    target = log.home / "export"
    log.run("audit", "export", str(target))
    note = Note.parse((target / "rotation" / "1").read_text(encoding="utf8"))
    for signatures in (note.signatures[:1], note.signatures[1:]):
        (target / "rotation" / "1").write_text(str(Note(note.body, signatures)), encoding="utf8")
        command = [sys.executable, "-I", str(ROOT / "verify.py"), str(target), old]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "the rotation at 301 does not hold" in done.stderr


def test_a_witness_s_key_that_is_none_is_said_at_the_start(log: Site) -> None:
    config = log.config.read_text(encoding="utf8")
    for wrong in (vkey(log), "witness+00000000+AAAA", "nonsense"):
        audit = f"audit: {{witnesses: [{{url: 'http://127.0.0.1:1', vkey: '{wrong}'}}]}}"
        log.config.write_text(f"{config.replace('audit:', '# audit:')}\n{audit}\n", encoding="utf8")
        done = subprocess.run(
            log.command("serve", "--config", str(log.config), "--port", "0"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "config_invalid" in done.stderr
        assert "witnesses" in done.stderr


# ---------------------------------------------------------------- the witness's side


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[WitnessProcess]:
    """A witness of a log that this test plays."""
    with witness_process(tmp_path / "alone", MemoryLog().signer.verifier.vkey) as started:
        yield started


def test_it_says_its_key_and_ends_when_told(alone: WitnessProcess) -> None:
    for path in ("/", "/vkey"):
        told = alone.ask("GET", path)
        assert (told.status, told.body) == (200, f"{alone.vkey}\n")
    assert alone.ask("POST", "/").status == alone.ask("GET", "/add-checkpoint").status == 405
    assert alone.ask("GET", "/nothing").status == alone.ask("POST", "/add-checkpoint/").status == 404
    assert alone.stop() in (0, -15)


def test_statuses_over_http(alone: WitnessProcess) -> None:
    log = MemoryLog().grow(*"abc")
    conflict = alone.add(log.submission(2))
    assert (conflict.status, conflict.kind, conflict.body) == (409, "text/x.tlog.size", "0\n")
    given = alone.add(log.submission(0))
    assert (given.status, given.body.count("\n")) == (200, 1)
    assert given.body.startswith("— witness.example/w1 ")
    assert alone.add(log.fork(1, *"xyz").submission(3)).status == 422
    assert alone.add(log.fork(1, *"xy").submission(3)).status == 409


def test_hostile_requests_over_http(alone: WitnessProcess) -> None:
    for body in (b"", b"\xff" * 100, b"old 0\r\n\r\n", b"old 0\n\n" + b"a" * 15_000, b"{}"):
        assert alone.add(body).status == 400
    assert alone.add(b"x" * 1_000_000).status == 413
    with socket.create_connection(("127.0.0.1", int(alone.url.rpartition(":")[2]))) as rude:
        rude.sendall(b"POST /add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\nold 0\n")
    with socket.create_connection(("127.0.0.1", int(alone.url.rpartition(":")[2]))) as rude:
        rude.sendall(b"\x16\x03\x01 not HTTP at all\r\n\r\n")
        assert rude.recv(100).startswith(b"HTTP/1.1 400")
    log = MemoryLog().grow(*"abc")
    assert alone.add(log.submission(0)).status == 200
    assert "Traceback" not in alone.errors.read_text(encoding="utf8")


def test_of_two_histories_at_once_one_is_cosigned(alone: WitnessProcess) -> None:
    """Many clients at a time, each with its own continuation: one wins, and everybody is told the same size."""
    trunk = MemoryLog().grow("first")
    assert alone.add(trunk.submission(0)).status == 200
    with ThreadPoolExecutor(12) as clients:
        for size in range(1, 12):
            forks = [trunk.fork(size, f"{size}/{at}") for at in range(12)]
            replies = list(clients.map(lambda fork, size=size: alone.add(fork.submission(size)), forks))
            won = [fork for fork, reply in zip(forks, replies, strict=True) if reply.status == 200]
            assert len(won) == 1
            assert {reply.body for reply in replies if reply.status == 409} == {f"{size + 1}\n"}
            trunk = won[0]


def test_killed_at_any_moment_it_never_cosigns_a_second_history(alone: WitnessProcess) -> None:
    trunk, sizes = MemoryLog().grow("first"), [0]
    assert alone.add(trunk.submission(0)).status == 200
    for round_ in range(8):
        fork = trunk.fork(trunk.size, *(f"{round_}/{at}" for at in range(2)))
        with ThreadPoolExecutor(1) as client:
            asked = client.submit(alone.add, fork.submission(trunk.size))
            time.sleep(0.0015 * round_)
            alone.kill()
            error = asked.exception()
        alone.start()
        held = int(alone.add(fork.submission(0, 1)).body)
        assert held in (trunk.size, fork.size)
        if error is None:
            assert asked.result().status == 200
            assert held == fork.size, "what was cosigned was forgotten"
        rival = trunk.fork(trunk.size, f"rival {round_}", "more")
        if held == fork.size:
            assert alone.add(rival.submission(held)).status == 409
            trunk = fork
        sizes.append(held)
    assert len(set(sizes)) > 1


HEAVY = ("aiohttp", "cedarpy", "numpy", "onnxruntime", "sqlalchemy", "tokenizers", "presidio_analyzer", "spacy")
OURS = ("isthmus.wiring", "isthmus.models", "isthmus.data", "isthmus.orchestration.pipeline", "isthmus.guardrails")


def test_it_loads_nothing_of_the_gateway(tmp_path: Path) -> None:
    with witness_process(tmp_path / "small", MemoryLog().signer.verifier.vkey, python=("-X", "importtime")) as small:
        assert small.add(MemoryLog().grow("a").submission(0)).status == 200
        small.stop()
        lines = small.errors.read_text(encoding="utf8").splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert {"isthmus.server.witness", "uvicorn"} <= imported
    assert not [name for name in imported if name.startswith((*HEAVY, *OURS))]


def test_it_needs_no_home_and_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    with witness_process(tmp_path / "state", MemoryLog().signer.verifier.vkey) as started:
        assert started.add(MemoryLog().grow("a").submission(0)).status == 200
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--log", "nonsense"), "neither such a key nor a file"),
        (("--log", "/nonexistent/vkey"), "neither such a key nor a file"),
        (("--log", MemoryLog().signer.verifier.vkey, "--host", "192.0.2.1"), "Cannot listen on"),
        (("--log", MemoryLog().signer.verifier.vkey, "--name", "with space"), "cannot be called"),
    ],
)
def test_wrong_use_is_said(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    command = [sys.executable, "-m", "isthmus", "audit", "witness", "--state", str(tmp_path / "s"), "--port", "0"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (1, 2)
    assert message in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- Go


@pytest.mark.external("go")
def test_go_opens_a_cosigned_checkpoint(log: Site, witness: WitnessProcess, tmp_path: Path) -> None:
    if shutil.which("go") is None or not Path("/usr/share/gocode/src/golang.org/x/mod/sumdb").is_dir():
        pytest.skip("NEEDS Go: apt-get install golang-go golang-golang-x-mod-dev")
    with log.serving():
        until(lambda: cosigned_size(log) > 300)
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(tmp_path / "cache")}
    source, checker = ROOT / "tests" / "flow" / "go" / "tlogcheck", tmp_path / "tlogcheck"
    subprocess.run(["go", "build", "-o", checker, "."], cwd=source, env=environment, check=True, capture_output=True)
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps({"records": [], "trees": []}), encoding="utf8")
    command = [checker, vkey(log), log.home / "audit" / "witnessed", facts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
