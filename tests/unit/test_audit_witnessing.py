"""The log's side of witnessing: rounds that partly fail, and what is kept of what witnesses gave."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from audit_witness_fixtures import NOW, ORIGIN, MemoryLog, key
from isthmus.clock import SystemClock
from isthmus.config import AuditSettings, Home, Settings
from isthmus.errors import AuditUnavailable
from isthmus.governance import logs
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.notes.checkpoint import Signer, Verifier
from isthmus.governance.audit.notes.cosignature import Cosigner
from isthmus.governance.audit.notes.note import Note
from isthmus.governance.audit.tree.storage import Folder, Storage
from isthmus.governance.audit.witness.client import WitnessClient, witness_client
from isthmus.governance.audit.witness.state import WitnessState
from isthmus.governance.audit.witness.submission import Submission
from isthmus.governance.audit.witness.witness import Answer, Witness
from isthmus.governance.audit.witness.witnessed import Witnessed
from isthmus.governance.audit.witness.witnessing import Witnessing
from isthmus.seams import Event, HttpRequest, HttpResponse, Receipt
from unit.audit_reading_fixtures import call, write


@dataclass(frozen=True)
class Heard:
    """A witness's answer as it comes over HTTP."""

    answer: Answer

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return {"content-type": self.answer.kind}

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.answer.body.encode()

    async def close(self) -> None: ...


@dataclass
class Wire:
    """A transport to witnesses in this process, by their addresses."""

    witnesses: dict[str, Witness] = field(default_factory=dict)

    async def send(self, request: HttpRequest) -> HttpResponse:
        return Heard(self.witnesses[request.url.removesuffix("/add-checkpoint")].add_checkpoint(request.body))

    async def close(self) -> None: ...


@dataclass
class Full:
    """A log whose disk is full."""

    asked: list[Event] = field(default_factory=list)

    async def append(self, event: Event, *, flush: bool) -> int:
        self.asked.append(event)
        raise AuditUnavailable("The disk is full.")

    async def flush(self) -> None: ...

    async def receipt(self, index: int) -> Receipt:
        raise IndexError

    def checkpoint(self) -> str:
        raise AuditUnavailable("There is none.")


@dataclass(frozen=True)
class Told:
    """A storage that tells in which threads it was read."""

    inner: Storage
    threads: set[int]

    def __getattr__(self, name: str) -> object:
        self.threads.add(threading.get_ident())
        return getattr(self.inner, name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path / "home", [call(i) for i in range(3)])
    return tmp_path / "home"


@pytest.fixture
def wire(tmp_path: Path, home: Path) -> Iterator[Wire]:
    """Two witnesses of that log."""
    verifier = Verifier.parse((home / "audit" / "vkey").read_text(encoding="utf8").strip())
    with ExitStack() as stack:
        opened = Wire()
        for name in ("one", "two"):
            state = stack.enter_context(closing(WitnessState(tmp_path / name, Files())))
            cosigner = state.cosigner(f"witness.example/{name}")
            opened.witnesses[f"http://{name}"] = Witness(cosigner, [verifier], state, lambda: NOW)
        yield opened


def clients(wire: Wire, storage: Storage) -> list[WitnessClient]:
    return [witness_client(url, witness.vkey, wire, storage) for url, witness in wire.witnesses.items()]


def witnessing(wire: Wire, storage: Storage, kept: Path) -> Witnessing:
    return Witnessing(clients(wire, storage), storage, Full(), Witnessed(kept), (SystemClock(), 60))


def grown_elsewhere(home: Path, wire: Wire, url: str) -> None:
    """A witness that cosigned more of this log than its reader has."""
    saved = {path: path.read_bytes() for path in (home / "audit").rglob("*") if path.is_file()}
    write(home, [call(9)])
    note = Folder(home / "audit").notes()
    newest = max((Note.parse(one.decode()) for one in note), key=lambda note: int(note.body.split("\n")[1]))
    assert wire.witnesses[url].add_checkpoint(bytes(Submission(0, (), newest))).status == 200
    for path in (home / "audit").rglob("*"):
        if path.is_file():
            path.unlink()
    for path, data in saved.items():
        path.write_bytes(data)


async def test_what_one_witness_gave_is_kept_where_the_other_s_refusal_cannot_be_recorded(
    home: Path, wire: Wire
) -> None:
    grown_elsewhere(home, wire, "http://two")
    asking = witnessing(wire, Folder(home / "audit"), home / "audit")
    for _ in range(2):  # it is tried again: nothing is lost by the failure
        with pytest.raises(AuditUnavailable, match="full"):
            await asking.round()
    names = [one.name for one in Note.parse(Witnessed(home / "audit").note()).signatures]
    assert "witness.example/one" in names
    assert "witness.example/two" not in names


async def test_no_reading_on_the_event_loop(home: Path, wire: Wire) -> None:
    """A database is asked over a network: the loop must not wait for it."""
    grown_elsewhere(home, wire, "http://two")
    threads = set[int]()
    asking = witnessing(wire, Told(Folder(home / "audit"), threads), home / "audit")  # type: ignore[arg-type]
    with pytest.raises(AuditUnavailable):
        await asking.round()
    assert threads
    assert threading.get_ident() not in threads


def note(size: int, origin: str = ORIGIN, *cosigners: str) -> Note:
    log = MemoryLog(Signer(origin, key("log"))).grow(*map(str, range(size)))
    signed = log.note()
    given = [Cosigner(f"witness.example/{name}", key(name)).cosign(signed.body, 1) for name in cosigners]
    return Note(signed.body, (*signed.signatures, *given))


def test_another_log_s_checkpoint_gives_way(tmp_path: Path) -> None:
    kept = Witnessed(tmp_path)
    for one in (note(10), note(3, "example.org/other"), note(2, "example.org/other")):
        kept.keep(one)
    assert kept.note() == str(note(3, "example.org/other"))


class Apart(Files):
    """What is being written has a name of its own in each thread, as it has in each process."""

    def open(self, path: Path, flags: int) -> int:
        return super().open(_own(path) if path.name.endswith(".tmp") else path, flags)

    def rename(self, source: Path, target: Path) -> None:
        super().rename(_own(source), target)


def _own(path: Path) -> Path:
    return path.with_name(f"{threading.get_ident()}.tmp")


def test_two_processes_that_keep_at_once_lose_nothing(tmp_path: Path) -> None:
    """Threads stand for them: a lock on a folder is each opener's own."""
    names = [f"w{n}" for n in range(12)]
    gate = threading.Barrier(len(names))

    def keep(name: str) -> None:
        gate.wait()
        Witnessed(tmp_path, Apart()).keep(note(5, ORIGIN, name))

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(keep, names))
    held = {one.name for one in Note.parse(Witnessed(tmp_path).note()).signatures}
    assert held == {ORIGIN, *(f"witness.example/{name}" for name in names)}


def test_of_a_shared_log_it_is_kept_apart(tmp_path: Path) -> None:
    home = Home(tmp_path)
    own, shared = Settings(), Settings(audit=AuditSettings(database="${AUDIT_DATABASE}"))
    assert logs.beside(own, home) == home.audit
    assert logs.beside(shared, home) == tmp_path / "audit-shared"
