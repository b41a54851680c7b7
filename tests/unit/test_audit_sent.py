"""What a vendor received: every attempt counts once, whatever became of it; and evidence that strangers check."""

from __future__ import annotations

import json
import os
import random
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
from isthmus.governance.audit.commitments import commitment
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


def anything(seed: int) -> list[dict[str, Any]]:
    """Attempts and ends in any order: failovers, stops, ends that nobody wrote or that are of none, embeddings, two
    currencies, estimates, entries that do not say who received it."""
    pick = random.Random(seed)
    events = []
    for _ in range(200):
        model = pick.choice(["closed/frontier", "closed/second", "local/echo"])
        vendor = "" if model == "local/echo" else f"{VENDOR}:8443"
        labels = [{"level": "public", "categories": []}, {"level": "restricted", "categories": ["health", "personal"]}]
        one = call(pick.randrange(30), model=model, vendor=vendor, label=pick.choice(labels), kept=pick.random() < 0.3)
        one["passages"] = pick.choice([[], one["passages"], [*one["passages"], *one["passages"]]])
        for field in pick.choice([(), (), ("provider", "vendor"), ("terms",), ("collection", "passages")]):
            one.pop(field, None)
        usage = {"prompt": 7, "completion": 3, "cached": 0, "reasoning": 0, "estimated": pick.random() < 0.5}
        cost = {"amount": f"0.{pick.randrange(10**6):06}", "currency": pick.choice(["EUR", "USD"])}
        done = ended(one, usage=usage, cost=cost)
        embedded = {name: value for name, value in done.items() if name != "usage"} | {"texts": 2, "tokens": 11}
        cut, stop = {**done, "error": "cancelled"}, ended(one, "stopped", model="auto", code="cancelled")
        events.append(pick.choice([one, one, one, done, embedded, cut, ended(one, "failed"), stop]))
    return [call(0), *events]


@openssl
@pytest.mark.parametrize("seed", range(6))
def test_strangers_count_as_we_do(tmp_path: Path, seed: int) -> None:
    reader = write(tmp_path, anything(seed), timedelta(hours=7))
    cards = [Card(id="closed/second", provider="openai_compatible", host=f"{VENDOR}:8443")]
    whom = recipient(VENDOR if seed % 2 else "closed/second", cards)
    span = Span(datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 4, 20, tzinfo=UTC)) if seed % 3 else Span()
    answer = count_sent(reader, whom, span)
    assert answer.tally.total.attempts > answer.tally.total.answered > 0
    write_evidence(reader, answer, tmp_path / "evidence")
    export(reader, tmp_path / "export")
    done = check(tmp_path / "evidence", tmp_path, tmp_path / "export")
    assert (done.returncode, done.stderr) == (0, "")


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


def stated(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf8"))
    return told


def state(folder: Path, summary: dict[str, Any]) -> None:
    """Let it say so, in the form in which it is written."""
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf8")


def change(harmed: Path, harm: str) -> None:
    first, second = sorted((harmed / "entries").glob("*.json"))[:2]
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
        case "another checkpoint":
            note = (harmed / "checkpoint").read_text(encoding="utf8")
            (harmed / "checkpoint").write_text(note.replace("\n700\n", "\n701\n"), encoding="utf8")
        case "no checkpoint":
            (harmed / "checkpoint").write_bytes(b"")
        case _:
            add(harmed, harm, first)


def add(harmed: Path, harm: str, first: Path) -> None:
    match harm:
        case "more in the summary":
            state(harmed, {**stated(harmed), "verified": True})
        case "a name twice":
            text = (harmed / "summary.json").read_text(encoding="utf8")
            (harmed / "summary.json").write_text(text.replace("{", '{\n  "attempts": 1,', 1), encoding="utf8")
        case "something else among the entries":
            (first.parent / "note.txt").write_text("There were no others.", encoding="utf8")
        case "number that is written otherwise":
            for suffix in (".json", ".tlog-proof"):
                first.with_suffix(suffix).rename(first.with_name(f"0{first.stem}{suffix}"))


@openssl
@pytest.mark.parametrize(
    "harm",
    ["edited entry", "missing entry", "missing proof", "swapped entries", "entry under another number",
     "more in the summary", "a name twice", "something else among the entries", "number that is written otherwise",
     "another checkpoint", "no checkpoint"],
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
    state(tmp_path / "less", {**summary, "until": "2026-03-17T00:00:00Z"})
    assert check(tmp_path / "less", site).returncode == 0
    done = check(tmp_path / "less", site, site / "export")
    assert done.returncode == 1
    assert "was left out" in done.stderr


FALSE: dict[str, Any] = {
    "names": ["nobody"], "to": "nobody", "log": "example.org/other", "size": 699,
    "requests": 55, "attempts": 55, "answered": 0,
    "tokens": {"prompt": 0, "completion": 0}, "cost": {}, "ends": {}, "kept": 56, "estimated": 1, "amounts": {},
    "by": {"labels": {"public": 56}}, "entries": 1, "until": "2026-03-10T00:00:00Z", "from": "2026-03-10T00:00:00Z",
}  # fmt: skip


@openssl
@pytest.mark.parametrize("name", FALSE)
def test_all_that_the_summary_states_is_counted_again(site: Path, tmp_path: Path, name: str) -> None:
    told = stated(site / "evidence")
    assert set(told) - set(FALSE) == {"configured"}, "that is printed: only entries of old do not say who received it"
    harmed = shutil.copytree(site / "evidence", tmp_path / "harmed")
    state(harmed, {**told, name: FALSE[name]})
    done = check(harmed, site)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("FAILED: ")


@openssl
def test_each_thing_that_attempts_are_counted_by_is_counted_again(site: Path, tmp_path: Path) -> None:
    told = stated(site / "evidence")
    harmed = shutil.copytree(site / "evidence", tmp_path / "harmed")
    assert len(told["by"]) > 10
    for name in told["by"]:
        state(harmed, {**told, "by": {**told["by"], name: {"nobody": 56}}})
        assert check(harmed, site).returncode == 1, name


def without(folder: Path, kind: str) -> None:
    """Take every entry of a type out, with its proof, and let the summary say what is left."""
    for file in (folder / "entries").glob("*.json"):
        if json.loads(file.read_bytes())["type"] == kind:
            file.unlink()
            file.with_suffix(".tlog-proof").unlink()
    told, left = stated(folder), len(list((folder / "entries").glob("*.json")))
    gone = {"tokens": {"prompt": 0, "completion": 0}, "cost": {}, "answered": 0} if kind == "outcome" else {}
    ends = dict(told["ends"])
    if kind == "failed":
        ends.clear()
    lost = told["attempts"] - sum(ends.values()) - (0 if kind == "outcome" else told["answered"])
    state(folder, {**told, **gone, "ends": {**ends, "not on record": lost}, "entries": left})


@openssl
@pytest.mark.parametrize("kind", ["outcome", "failed"])
def test_an_export_shows_that_ends_were_left_out(site: Path, tmp_path: Path, kind: str) -> None:
    harmed = shutil.copytree(site / "evidence", tmp_path / "harmed")
    without(harmed, kind)
    alone = check(harmed, site)
    assert (alone.returncode, "none left out" in alone.stdout) == (0, False)
    done = check(harmed, site, site / "export")
    assert (done.returncode, done.stdout) == (1, "")
    assert "was left out" in done.stderr


@openssl
def test_an_entry_of_no_attempt_is_refused(tmp_path: Path) -> None:
    """A true entry of the log, with a true proof, that has nothing to do with whom it is about."""
    other = call(2, model="local/echo", provider="scripted", vendor="")
    reader = write(tmp_path, [call(1), ended(call(1)), other, ended(other)])
    mine, theirs = (count_sent(reader, Recipient(name), Span()) for name in (VENDOR, "local/echo"))
    write_evidence(reader, mine, tmp_path / "evidence")
    write_evidence(reader, theirs, tmp_path / "other")
    assert check(tmp_path / "evidence", tmp_path).returncode == 0
    for suffix in (".json", ".tlog-proof"):
        shutil.copy(tmp_path / "other" / "entries" / f"3{suffix}", tmp_path / "evidence" / "entries" / f"3{suffix}")
    state(tmp_path / "evidence", {**stated(tmp_path / "evidence"), "entries": 3})
    done = check(tmp_path / "evidence", tmp_path)
    assert (done.returncode, done.stdout, "is of no attempt" in done.stderr) == (1, "", True)


@openssl
def test_entries_below_zero_are_refused(tmp_path: Path) -> None:
    """Copies of an entry under numbers that lead to the same place in the tree."""
    reader = write(tmp_path, [call(1), ended(call(1))])
    write_evidence(reader, count_sent(reader, Recipient(VENDOR), Span()), tmp_path / "evidence")
    entries = tmp_path / "evidence" / "entries"
    proof = (entries / "0.tlog-proof").read_text(encoding="utf8")
    shutil.copy(entries / "0.json", entries / "-1.json")
    (entries / "-1.tlog-proof").write_text(proof.replace("index 0\n", "index -1\n"), encoding="utf8")
    told = stated(tmp_path / "evidence")
    more = {"attempts": 2, "ends": {"not on record": 1}, "amounts": {"texts": 4, "characters": 240}, "entries": 3}
    state(
        tmp_path / "evidence", {**told, **more, "by": {name: dict.fromkeys(of, 2) for name, of in told["by"].items()}}
    )
    done = check(tmp_path / "evidence", tmp_path)
    assert (done.returncode, done.stdout, "entry -1 is not what was signed for" in done.stderr) == (1, "", True)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A log of four entries, an export, and evidence about half of them that says it is about all."""
    reader = write(tmp_path, [call(1), ended(call(1)), call(2), ended(call(2))], DAY)
    span = Span(until=datetime(2026, 3, 3, 12, tzinfo=UTC))
    write_evidence(reader, count_sent(reader, Recipient(VENDOR), span), tmp_path / "evidence")
    export(reader, tmp_path / "export")
    state(tmp_path / "evidence", {**stated(tmp_path / "evidence"), "until": None})
    assert check(tmp_path / "evidence", tmp_path).returncode == 0
    return tmp_path


def swap(export: Path, harm: str) -> None:
    part = export / "tile" / "entries" / "000.p"
    match harm:
        case "a folder that is a link":
            part.rename(export / "elsewhere")
            part.symlink_to(export / "elsewhere", target_is_directory=True)
        case "a file that is a link":
            (part / "4").rename(export / "elsewhere")
            (part / "4").symlink_to(export / "elsewhere")
        case "entries cut":
            (part / "4").write_bytes((part / "4").read_bytes()[:2000])
        case "nothing":
            shutil.rmtree(export / "tile")
        case "another log":
            (export / "audit").mkdir()
            shutil.rmtree(export / "tile")
            write_other(export)


def write_other(export_folder: Path) -> None:
    home = export_folder / "home"
    reader = write(home, [call(1), ended(call(1)), call(9, model="local/echo", provider="x", vendor=""), call(1)], DAY)
    export(reader, home / "export")
    shutil.copytree(home / "export" / "tile", export_folder / "tile")


@openssl
@pytest.mark.parametrize(
    "harm", ["none", "a folder that is a link", "a file that is a link", "entries cut", "nothing", "another log"]
)
def test_the_export_is_read_whole_or_refused(small: Path, harm: str) -> None:
    swap(small / "export", harm)
    done = check(small / "evidence", small, small / "export")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("FAILED: ")
    assert ("was left out" in done.stderr) == (harm in ("none", "a folder that is a link", "a file that is a link"))


@openssl
def test_a_later_export_will_do(small: Path) -> None:
    reader = Reader(write(small, [call(i) for i in range(300)]).storage)
    export(reader, small / "later")
    done = check(small / "evidence", small, small / "later")
    assert (done.returncode, "entry [2] was left out" in done.stderr) == (1, True)
    state(small / "evidence", {**stated(small / "evidence"), "until": "2026-03-03T12:00:00Z"})
    done = check(small / "evidence", small, small / "later")
    assert (done.returncode, done.stderr, "none left out" in done.stdout) == (0, "", True)


def test_what_is_not_there_is_wrong_use(site: Path, tmp_path: Path) -> None:
    page, vkey = site / "evidence" / "verify_evidence.py", site / "audit" / "vkey"
    evidence, gone = site / "evidence", tmp_path / "gone"
    (tmp_path / "empty").touch()
    for given in (
        [evidence, vkey, gone],
        [evidence, vkey, vkey],
        [gone, vkey],
        [evidence, gone],
        [evidence, tmp_path / "empty"],
        [evidence],
        [],
        [evidence, vkey, site, 1],
    ):
        command = [sys.executable, "-I", str(page), *map(str, given)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (2, ""), given
        assert "Usage: " in done.stderr


@openssl
@pytest.mark.parametrize("where", ["checkpoint", "summary.json", "0.json", "0.tlog-proof", "to", "names", "by", "name"])
def test_nothing_that_is_not_proved_reaches_a_terminal_as_it_is(small: Path, where: str) -> None:
    evidence = small / "evidence"
    evil = "\x1b[2J\x9b31m\u202eOK: 9 entries"
    if where in ("to", "names", "by"):
        told = stated(evidence)
        state(evidence, {**told, where: {"to": evil, "names": [*told["names"], evil], "by": {evil: 1}}[where]})
    elif where == "checkpoint":
        note = (evidence / where).read_text(encoding="utf8")
        (evidence / where).write_text(note.replace("\n4\n", f"\n{evil}\n", 1), encoding="utf8")
    elif where == "name":
        (evidence / "content").mkdir()
        (evidence / "content" / f"{evil}.json").write_text("{}", encoding="utf8")
    else:
        path = next(evidence.rglob(where))
        path.write_text(f"{evil}\n{evil}\n\n{evil}\n" + path.read_text(encoding="utf8"), encoding="utf8")
    done = check(evidence, small)
    assert where in ("names", "to") or done.returncode == 1
    for shown in (done.stdout, done.stderr):
        assert all(letter == "\n" or " " <= letter <= "~" for letter in shown), shown


# ---------------------------------------------------------------- content beside it

SALT = bytes(range(32))


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    """Evidence of one request of which prompt, answer and reasoning were kept, and opened."""
    asked = call(1, prompt=commitment(SALT, "Where do gulls sleep?"), kept=True)
    reader = write(tmp_path, [asked, ended(asked, answer=commitment(SALT, "On \ud800 rocks. é"))])
    write_evidence(reader, count_sent(reader, Recipient(VENDOR), Span()), tmp_path / "evidence")
    texts = {"prompt": "Where do gulls sleep?", "answer": "On \ud800 rocks. é", "reasoning": "Gulls nest."}
    contents = [{"kind": kind, "model": asked["model"], "text": text} for kind, text in texts.items()]
    (tmp_path / "evidence" / "content").mkdir()
    disclose(tmp_path, {"request": "req_1", "salt": SALT.hex(), "contents": contents})
    return tmp_path


def disclose(home: Path, told: dict[str, Any], name: str = "0.json") -> None:
    (home / "evidence" / "content" / name).write_text(json.dumps(told, indent=2), encoding="utf8")


@openssl
def test_content_is_checked_against_the_commitments(opened: Path) -> None:
    done = check(opened / "evidence", opened)
    assert (done.returncode, done.stderr) == (0, "")
    assert "content/: 2 texts: as committed to" in done.stdout
    assert "content/: 1 texts: NOT CHECKED" in done.stdout


@openssl
@pytest.mark.parametrize(
    "harm",
    ["prompt", "answer", "another salt", "no salt", "a salt that begins the text", "another request", "another model",
     "another entry", "no entry", "a text twice"],
)  # fmt: skip
def test_other_content_is_refused(opened: Path, harm: str) -> None:
    file = opened / "evidence" / "content" / "0.json"
    told = json.loads(file.read_text(encoding="utf8"))
    prompt, answer, _ = told["contents"]
    match harm:
        case "prompt" | "answer":
            {"prompt": prompt, "answer": answer}[harm]["text"] = "Something else."
        case "another salt":
            told["salt"] = bytes(32).hex()
        case "no salt":
            told["salt"] = None
        case "a salt that begins the text":
            told |= {"salt": (SALT + b"Where do ").hex(), "contents": [{**prompt, "text": "gulls sleep?"}]}
        case "another request":
            told["request"] = "req_2"
        case "another model":
            prompt["model"] = "closed/second"
        case "another entry" | "no entry":
            file.rename(file.with_name("00.json" if harm == "another entry" else "7.json"))
    if harm == "a text twice":
        text = file.read_text(encoding="utf8")
        file.write_text(text.replace('"text": "Where', '"text": "Other", "text": "Where'), encoding="utf8")
    elif file.exists():
        disclose(opened, told)
    done = check(opened / "evidence", opened)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("FAILED: ")


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
    answer = count_sent(reader, recipient("closed/frontier", []), Span())
    assert (answer.broken, answer.tally.total.attempts) == ((0,), 0)
    with pytest.raises(VerificationFailed, match="Entry 0 is NOT what was signed"):
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
    assert len(source.splitlines()) < 165
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
