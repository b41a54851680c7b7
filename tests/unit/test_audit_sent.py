"""What a vendor received: every attempt counts once, whatever became of it; and evidence that strangers check."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isthmus.cards import Card
from isthmus.errors import InvalidRequest, NotFound, VerificationFailed
from isthmus.governance.audit.answers.evidence import write_evidence
from isthmus.governance.audit.answers.moments import Span
from isthmus.governance.audit.answers.sent import Recipient, Sent, count_sent, recipient
from isthmus.governance.audit.notes.tlogproof import Proof
from isthmus.governance.audit.reading.export import export
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.layout import bundle_path
from unit.audit_reading_fixtures import call, ended, write

ROOT = Path(__file__).resolve().parents[2]
VENDOR = "api.vendor.example"
DAY = timedelta(days=1)


def count(tmp_path: Path, events: Iterable[dict[str, Any]], to: str = "closed/frontier", **more: Any) -> Sent:
    reader = write(tmp_path, events, more.pop("step", timedelta(milliseconds=250)))
    return count_sent(reader, more.pop("recipient", Recipient(to)), more.pop("span", Span()))


def test_attempts_are_counted_from_their_intent(tmp_path: Path) -> None:
    first, second, open_one = call(1), call(2, label={"level": "confidential", "categories": []}, kept=True), call(3)
    local = call(4, model="local/echo", provider="scripted", vendor="")
    failed, cut = call(5), call(6)
    events = [
        first, ended(first), second, local, ended(second), open_one, ended(local), failed, ended(failed, "failed"),
        ended(failed, "stopped", model="auto"), cut, ended(cut, error="cancelled", finish="cut"),
    ]  # fmt: skip
    told = count(tmp_path, events).as_dict()
    assert {name: told[name] for name in ("requests", "attempts", "answered", "tokens", "cost", "kept", "size")} == {
        "requests": 5, "attempts": 5, "answered": 2, "tokens": {"prompt": 300, "completion": 60},
        "cost": {"USD": "0.001800"}, "kept": 1, "size": 12,
    }  # fmt: skip
    assert told["ends"] == {"upstream_timeout": 1, "cancelled": 1, "not on record": 1}
    assert told["by"]["labels"] == {"internal": 4, "confidential": 1}
    assert told["by"]["principals"] == {"key_2": 2, "key_0": 2, "key_1": 1}
    assert told["by"]["documents"] == {"doc_9": 5}
    assert told["by"]["retention"] == {"none": 5}
    assert told["amounts"] == {"texts": 10, "characters": 600}
    assert told["entries"] == 9


def test_a_failover_within_a_vendor_is_one_request_and_two_attempts(tmp_path: Path) -> None:
    first, second = call(1), call(1, model="closed/second", attempt=2)
    events = [first, ended(first, "failed"), second, ended(second)]
    told = count(tmp_path, events, VENDOR).as_dict()
    assert (told["requests"], told["attempts"], told["answered"]) == (1, 2, 1)
    assert told["by"]["models"] == {"closed/frontier": 1, "closed/second": 1}


def test_a_stop_ends_what_was_begun_and_counts_it(tmp_path: Path) -> None:
    first = call(1)
    told = count(tmp_path, [first, ended(first, "stopped", model="auto", code="cancelled")]).as_dict()
    assert (told["attempts"], told["answered"], told["ends"], told["entries"]) == (1, 0, {"cancelled": 1}, 2)


def test_an_attempt_whose_end_nobody_wrote_still_counts(tmp_path: Path) -> None:
    first = call(1)
    told = count(tmp_path, [first, call(1, attempt=2), ended(first)]).as_dict()
    assert (told["requests"], told["attempts"], told["answered"]) == (1, 2, 1)
    assert told["ends"] == {"not on record": 1}


def test_embeddings_and_other_currencies_count(tmp_path: Path) -> None:
    embed, chat = call(1, passages=[], collection="handbook"), call(2)
    done = {name: value for name, value in ended(embed).items() if name not in ("usage", "finish", "answer")}
    euro = {"amount": "1.500000", "currency": "EUR"}
    told = count(tmp_path, [embed, {**done, "texts": 3, "tokens": 40}, chat, ended(chat, cost=euro)]).as_dict()
    assert told["tokens"] == {"prompt": 140, "completion": 20}
    assert told["cost"] == {"EUR": "1.500000", "USD": "0.000600"}
    assert told["by"]["collections"] == {"handbook": 2}
    assert told["answered"] == 2


@pytest.mark.parametrize(
    ("name", "attempts"),
    [("closed/frontier", 2), (VENDOR, 1), (f"{VENDOR}:8443", 1), ("openai_compatible", 1), ("closed/second", 0)],
)
def test_whom_a_name_means(tmp_path: Path, name: str, attempts: int) -> None:
    """An entry that says who received it is believed; an older one is taken by the model alone."""
    old = call(2)
    for field in ("provider", "vendor"):
        del old[field]
    events = [call(1), old, call(3, model="other/model", provider="x", vendor="elsewhere.example")]
    card = Card(id="closed/second", provider="p", host="h.example")
    assert count(tmp_path, events, recipient=recipient(name, [card])).tally.total.attempts == attempts


def test_the_configuration_says_who_is_behind_a_model(tmp_path: Path) -> None:
    cards = [
        Card(id="closed/frontier", provider="openai", host="now.example:1"),
        Card(id="local", provider="llama_cpp"),
    ]
    assert recipient("now.example", cards).models == frozenset({"closed/frontier"})
    old, moved = call(1), call(2)
    for field in ("provider", "vendor"):
        del old[field]
    answer = count(tmp_path, [old, moved], recipient=recipient("now.example", cards))
    assert answer.tally.entries == [0], "the other entry says that it went elsewhere"


def test_nobody_s_name_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Neither"):
        count(tmp_path, [call(1)], "closed/frontire")
    with pytest.raises(NotFound, match="Neither"):
        count(tmp_path, [], "")


def test_time_is_that_of_the_intent(tmp_path: Path) -> None:
    events = [event for i in range(40) for event in (call(i), ended(call(i)))]
    april = Span(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    answer = count(tmp_path, events, span=april, step=DAY)
    assert (answer.tally.total.attempts, answer.tally.total.answered) == (15, 15), "an answer may come in May"
    assert list(answer.tally.months) == ["2026-04"]
    every = count_sent(Reader(write(tmp_path, []).storage), Recipient("closed/frontier"), Span()).as_dict()
    assert {month: told["attempts"] for month, told in every["months"].items()} == {
        "2026-03": 15, "2026-04": 15, "2026-05": 10,
    }  # fmt: skip


def test_what_is_not_signed_for_is_not_counted(tmp_path: Path) -> None:
    write(tmp_path, [call(1), ended(call(1))])
    slots = {name: (tmp_path / "audit" / name).read_bytes() for name in ("checkpoint",)}
    reader = write(tmp_path, [call(2)])
    for name in ("checkpoint", "checkpoint.alternate"):
        (tmp_path / "audit" / name).write_bytes(slots["checkpoint"])
    answer = count_sent(reader, Recipient("closed/frontier"), Span())
    assert (answer.tally.total.attempts, answer.signed.checkpoint.size) == (1, 2)


# ---------------------------------------------------------------- evidence

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="NEEDS openssl, which is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of some 700 entries, an export of it, and evidence of what the vendor received in two weeks of March."""
    home = tmp_path_factory.mktemp("site")
    others = {"model": "local/echo", "provider": "scripted", "vendor": ""}
    events = []
    for i in range(350):
        intent = call(i, **(others if i % 3 else {}))
        events += [intent, ended(intent, "failed") if i % 10 == 0 else ended(intent)]
    reader = write(home, events, timedelta(hours=1))
    span = Span(datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 17, tzinfo=UTC))
    answer = count_sent(reader, Recipient(VENDOR), span)
    assert write_evidence(reader, answer, home / "evidence") == len(answer.tally.entries) > 50
    export(reader, home / "export")
    return home


def check(folder: Path, site: Path, *more: Path) -> subprocess.CompletedProcess[str]:
    page = str(folder / "verify_evidence.py")
    command = [sys.executable, "-I", page, str(folder), str(site / "audit" / "vkey"), *map(str, more)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@openssl
def test_strangers_accept_the_evidence(site: Path) -> None:
    done = check(site / "evidence", site)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("OK: ")
    done = check(site / "evidence", site, site / "export")
    assert (done.returncode, done.stderr) == (0, "")
    assert "none left out" in done.stdout
    page = str(site / "export" / "verify.py")
    kept = [str(site / "export"), str(site / "audit" / "vkey"), str(site / "evidence" / "checkpoint")]
    assert subprocess.run([sys.executable, "-I", page, *kept], capture_output=True, check=False).returncode == 0


def test_each_proof_stands_alone(site: Path) -> None:
    reader = Reader(write(site, []).storage)
    proofs = list((site / "evidence" / "entries").glob("*.tlog-proof"))
    for file in proofs:
        proof = Proof.parse(file.read_text(encoding="utf8"))
        entry = file.with_suffix(".json").read_bytes()
        assert (proof.check(entry, reader.verifier).size, proof.index) == (700, int(file.stem))
        assert str(proof) == file.read_text(encoding="utf8")
        with pytest.raises(VerificationFailed):
            proof.check(entry + b" ", reader.verifier)


def change(harmed: Path, harm: str) -> None:
    first, second = sorted((harmed / "entries").glob("*.json"))[:2]
    summary = json.loads((harmed / "summary.json").read_text(encoding="utf8"))
    match harm:
        case "edited entry":
            first.write_bytes(first.read_bytes().replace(b"internal", b"public"))
        case "missing entry":
            first.unlink()
        case "missing proof":
            first.with_suffix(".tlog-proof").unlink()
        case "swapped entries":
            kept = first.read_bytes()
            first.write_bytes(second.read_bytes())
            second.write_bytes(kept)
        case "entry under another number":
            for suffix in (".json", ".tlog-proof"):
                first.with_suffix(suffix).rename(first.with_name("9999" + suffix))
        case "other attempts" | "other cost":
            (harmed / "summary.json").write_text(json.dumps({**summary, harm.split()[1]: 1}), encoding="utf8")
        case "another checkpoint":
            note = (harmed / "checkpoint").read_text(encoding="utf8")
            (harmed / "checkpoint").write_text(note.replace("\n700\n", "\n701\n"), encoding="utf8")
        case "no checkpoint":
            (harmed / "checkpoint").write_bytes(b"")


@openssl
@pytest.mark.parametrize(
    "harm",
    ["edited entry", "missing entry", "missing proof", "swapped entries", "entry under another number",
     "other attempts", "other cost", "another checkpoint", "no checkpoint"],
)  # fmt: skip
def test_strangers_refuse_harmed_evidence(site: Path, tmp_path: Path, harm: str) -> None:
    harmed = shutil.copytree(site / "evidence", tmp_path / "harmed")
    change(harmed, harm)
    done = check(harmed, site)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("FAILED: ")
    assert "Traceback" not in done.stderr


@openssl
def test_an_export_shows_what_was_left_out(site: Path, tmp_path: Path) -> None:
    """Whoever leaves out an attempt and counts again passes alone, and not against the whole log."""
    reader = Reader(write(site, []).storage)
    span = Span(datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC))
    write_evidence(reader, count_sent(reader, Recipient(VENDOR), span), tmp_path / "less")
    summary = json.loads((tmp_path / "less" / "summary.json").read_text(encoding="utf8"))
    later = json.dumps({**summary, "until": "2026-03-17T00:00:00Z"})
    (tmp_path / "less" / "summary.json").write_text(later, encoding="utf8")
    assert check(tmp_path / "less", site).returncode == 0
    done = check(tmp_path / "less", site, site / "export")
    assert done.returncode == 1
    assert "was left out" in done.stderr


@openssl
def test_another_key_is_refused(site: Path) -> None:
    vkey = (site / "audit" / "vkey").read_text(encoding="utf8").strip()
    name, _, key = vkey.split("+", 2)
    page = str(site / "evidence" / "verify_evidence.py")
    command = [sys.executable, "-I", page, str(site / "evidence"), f"{name}+00000000+{key}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "not signed by" in done.stderr) == (1, True)


def test_a_broken_log_makes_no_evidence(tmp_path: Path) -> None:
    reader = write(tmp_path, [call(1), ended(call(1))])
    bundle = bundle_path(tmp_path / "audit", 0)
    bundle.write_bytes(bundle.read_bytes().replace(b"internal", b"external", 1))
    answer = count_sent(reader, Recipient("closed/frontier"), Span())
    with pytest.raises(VerificationFailed, match="Entry 0 does not lead"):
        write_evidence(reader, answer, tmp_path / "evidence")
    assert not (tmp_path / "evidence" / "summary.json").exists()


def test_evidence_needs_a_new_folder(tmp_path: Path) -> None:
    reader = write(tmp_path, [call(1)])
    answer = count_sent(reader, Recipient("closed/frontier"), Span())
    with pytest.raises(InvalidRequest, match="is there already"):
        write_evidence(reader, answer, tmp_path)
    (tmp_path / "file").touch()
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidRequest):
            write_evidence(reader, answer, target)


def test_what_is_handed_out_is_for_its_owner_alone_until_they_open_it(tmp_path: Path) -> None:
    reader = write(tmp_path, [call(i) for i in range(300)])
    before = os.umask(0)
    try:
        write_evidence(reader, count_sent(reader, Recipient("closed/frontier"), Span()), tmp_path / "evidence")
        export(reader, tmp_path / "export")
    finally:
        os.umask(before)
    for folder in (tmp_path / "evidence", tmp_path / "export"):
        for path in (folder, *folder.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert "chmod -R a+rX" in (folder / "README.txt").read_text(encoding="utf8")


def test_the_page_is_a_page() -> None:
    source = (ROOT / "verify_evidence.py").read_text(encoding="utf8")
    assert len(source.splitlines()) < 80
    assert "import isthmus" not in source
    assert "from isthmus" not in source


PROOF = "c2sp.org/tlog-proof@v1\nindex 1\n" + "A" * 43 + "=\n\nnote\n"


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "index 1\n\nnote", PROOF.replace("index 1", "index 01"), PROOF.replace("index 1", "index -1"),
     PROOF.replace("A" * 43, "A" * 42), PROOF.replace("=\n", "=\r\n"), PROOF.replace("@v1", "@v2"),
     PROOF.replace("A" * 43, "A" * 42 + "B"), PROOF.replace("\n\n", "\n"), PROOF.replace("AAAA", "É", 1)],
)  # fmt: skip
def test_what_is_no_proof(text: str) -> None:
    with pytest.raises(VerificationFailed):
        Proof.parse(text)


def test_extra_data_of_a_proof_is_passed_over() -> None:
    proof = Proof.parse(PROOF.replace("index", "extra AAAA\nindex"))
    assert (proof.index, len(proof.path), proof.note) == (1, 1, "note\n")
