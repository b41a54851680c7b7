"""The promise of a witness: of all the trees that it ever cosigned, each is the beginning of the next larger one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st

from audit_witness_fixtures import MemoryLog, cosigned, witness_in
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.witness.witness import Witness

_SIZES = st.integers(0, 9)
#: Which history grows or forks, where, what the client claims to continue from, and whether the witness is restarted.
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), _SIZES, st.integers(1, 5)),
        st.tuples(st.just("fork"), _SIZES, _SIZES),
        st.tuples(st.just("submit"), _SIZES, st.one_of(st.none(), _SIZES)),
        st.tuples(st.just("shrink"), _SIZES, _SIZES),
        st.tuples(st.just("replay"), _SIZES, st.none()),
        st.tuples(st.just("restart"), st.none(), st.none()),
        st.tuples(st.just("fail"), st.integers(1, 6), _SIZES),
    ),
    min_size=4,
    max_size=40,
)


class Failing(Files):
    """The ``at``-th operation from when it is set fails."""

    def __init__(self) -> None:
        self.at = 0

    def _step(self) -> None:
        self.at -= 1
        if self.at == 0:
            raise OSError(5, "failed")

    def sync(self, fd: int) -> None:
        self._step()
        super().sync(fd)

    def write(self, fd: int, data: bytes, offset: int) -> int:
        self._step()
        return super().write(fd, data, offset)

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)


class Story:
    """Histories under one key, and what a witness cosigned of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, Failing()
        self.histories = [MemoryLog()]
        self.sent: list[tuple[MemoryLog, bytes]] = []
        self.cosigned: list[tuple[bytes, ...]] = []
        self.held, self.names = 0, iter(range(10**6))
        self.stack = ExitStack()
        self.witness: Witness = self.stack.enter_context(witness_in(folder, files=self.files))

    def history(self, at: int) -> MemoryLog:
        return self.histories[at % len(self.histories)]

    def grow(self, at: int, by: int) -> None:
        self.history(at).grow(*(f"entry {next(self.names)}" for _ in range(by)))

    def fork(self, at: int, keep: int) -> None:
        self.histories.append(self.history(at).fork(keep, f"entry {next(self.names)}"))

    def submit(self, at: int, old: int | None) -> None:
        history = self.history(at)
        self.send(history, history.submission(self.held if old is None else old))

    def shrink(self, at: int, size: int) -> None:
        history = self.history(at)
        size = min(size, history.size)
        shrunk = MemoryLog(history.signer, history.leaves[:size])
        self.send(shrunk, shrunk.submission(min(self.held, size)))

    def replay(self, at: int, _: None) -> None:
        if self.sent:
            self.send(*self.sent[at % len(self.sent)])

    def restart(self, _: None, __: None) -> None:
        self.stack.close()
        self.witness = self.stack.enter_context(witness_in(self.folder, files=self.files))

    def fail(self, at: int, history: int) -> None:
        """The disk fails in the middle of a submission."""
        self.files.at = at
        with suppress(OSError):
            self.submit(history, None)
        self.files.at = 0

    def send(self, history: MemoryLog, body: bytes) -> None:
        snapshot = MemoryLog(history.signer, list(history.leaves))
        self.sent.append((snapshot, body))
        answer = self.witness.add_checkpoint(body)
        if answer.status == 200:
            cosigned(self.witness, snapshot.note(), answer)
            self.cosigned.append(tuple(snapshot.leaves))
            self.held = snapshot.size
        elif answer.status == 409 and answer.body.strip().isdecimal():
            self.held = int(answer.body)


@contextmanager
def story() -> Iterator[Story]:
    folder = Path(tempfile.mkdtemp())
    told = Story(folder / "state")
    try:
        yield told
    finally:
        told.stack.close()
        shutil.rmtree(folder)


@settings(max_examples=80, deadline=None)
@given(_STEPS)
def test_a_witness_never_cosigns_two_histories(steps: list[tuple[str, int, int]]) -> None:
    with story() as told:
        for name, first, second in steps:
            getattr(told, name)(first, second)
        seen = sorted(told.cosigned, key=len)
        for smaller, larger in pairwise(seen):
            assert larger[: len(smaller)] == smaller
        event(f"{min(len(set(seen)), 4)} trees or more were cosigned")
        event("of several histories" if len(told.histories) > 1 else "of one history")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_an_honest_log_is_always_cosigned(growths: list[int]) -> None:
    with story() as told:
        for by in growths:
            told.grow(0, by)
            told.submit(0, None)
            told.restart(None, None)
        assert [len(leaves) for leaves in told.cosigned] == [sum(growths[: at + 1]) for at in range(len(growths))]
