"""The witness's side of C2SP tlog-witness: each status of the specification, hostile requests, rotated keys."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_witness_fixtures import NOW, ORIGIN, MemoryLog, cosigned, key, witness_in
from isthmus.errors import AuditUnavailable, ConfigInvalid, VerificationFailed
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer, Verifier
from isthmus.governance.audit.notes.cosignature import CosignatureVerifier, Cosigner
from isthmus.governance.audit.notes.note import Note
from isthmus.governance.audit.notes.rotation import sign
from isthmus.governance.audit.witness.state import WitnessState
from isthmus.governance.audit.witness.submission import SIZE, Submission
from isthmus.governance.audit.witness.witness import Witness


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog().grow(*"abcdefg")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def witness(state: Path) -> Iterator[Witness]:
    with witness_in(state) as opened:
        yield opened


# ---------------------------------------------------------------- cosignatures


def test_a_cosignature_says_who_and_when() -> None:
    cosigner, note = Cosigner("witness.example/w1", key("witness")), MemoryLog().grow("a").note()
    signed = Note(note.body, (*note.signatures, cosigner.cosign(note.body, 1679315147)))
    verifier = CosignatureVerifier.parse(cosigner.verifier.vkey)
    assert verifier.time(Note.parse(str(signed))) == 1679315147
    assert MemoryLog().signer.verifier.open(str(signed)).size == 1  # the log's reader passes it over
    with pytest.raises(VerificationFailed, match="not cosigned by"):
        verifier.time(note)


def test_the_specification_s_example_is_read() -> None:
    """From https://c2sp.org/tlog-cosignature; its key is not given there, so only its form can be checked."""
    note = Note.parse(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+"
        "zyWE+xeMcTOAYQ8=\n"
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0"
        "xUe+mbIUBkBIfZ+qnA==\n"
    )
    assert len(note.signatures[1].raw) == 72
    assert int.from_bytes(note.signatures[1].raw[:8], "big") == 1679315147


@pytest.mark.parametrize("harm", ["time", "body", "short", "future"])
def test_a_harmed_cosignature_fails(harm: str) -> None:
    cosigner, note = Cosigner("w", key("witness")), MemoryLog().grow("a").note()
    one = cosigner.cosign(note.body, 5)
    raw = {
        "time": (6).to_bytes(8, "big") + one.raw[8:],
        "body": cosigner.cosign(note.body + "x\n", 5).raw,
        "short": one.raw[:-1],
        "future": cosigner.cosign(note.body, 1 << 63).raw,
    }[harm]
    harmed = Note(note.body, (*note.signatures, type(one)(one.name, one.id, raw)))
    with pytest.raises(VerificationFailed, match="does not fit"):
        cosigner.verifier.time(harmed)


def test_a_log_s_key_is_no_witness_s_and_the_other_way_round() -> None:
    with pytest.raises(VerificationFailed, match="key of a witness"):
        CosignatureVerifier.parse(MemoryLog().signer.verifier.vkey)
    with pytest.raises(VerificationFailed, match="key of a log"):
        Verifier.parse(Cosigner("w", key("witness")).verifier.vkey)


# ---------------------------------------------------------------- add-checkpoint


def test_a_log_that_grows_is_cosigned(witness: Witness, log: MemoryLog) -> None:
    for old, size in ((0, 1), (1, 1), (1, 4), (4, 7), (7, 7)):
        answer = witness.add_checkpoint(log.submission(old, size))
        assert cosigned(witness, log.note(size), answer) == NOW.timestamp()


def test_an_empty_log_is_cosigned(witness: Witness) -> None:
    empty = MemoryLog()
    assert cosigned(witness, empty.note(), witness.add_checkpoint(empty.submission(0)))
    forged = Note.parse(empty.signer.sign(Checkpoint(ORIGIN, 0, bytes(32))))
    assert witness.add_checkpoint(bytes(Submission(0, (), forged))).status == 409


def test_another_old_size_is_a_conflict_that_says_which(witness: Witness, log: MemoryLog) -> None:
    answer = witness.add_checkpoint(log.submission(3))
    assert (answer.status, answer.body, answer.kind) == (409, "0\n", SIZE)
    witness.add_checkpoint(log.submission(0, 5))
    for old, size in ((0, 7), (4, 7), (6, 7), (0, 5), (3, 4)):
        answer = witness.add_checkpoint(log.submission(old, size))
        assert (answer.status, answer.body, answer.kind) == (409, "5\n", SIZE)


def test_a_fork_a_shrunk_log_and_a_replay_are_refused(witness: Witness, log: MemoryLog, state: Path) -> None:
    witness.add_checkpoint(log.submission(0, 5))
    forked = log.fork(2, *"vwxyz")
    assert witness.add_checkpoint(forked.submission(5)).status == 422
    answer = witness.add_checkpoint(forked.submission(5, 5))
    assert (answer.status, answer.body, answer.kind) == (409, "5\n", SIZE)
    assert witness.add_checkpoint(log.submission(5, 3)).status == 400
    assert witness.add_checkpoint(log.submission(0, 5)).status == 409
    assert cosigned(witness, log.note(), witness.add_checkpoint(log.submission(5)))
    # two notes of one size that contradict each other convict the log: they are kept
    (evidence,) = (state / "evidence").iterdir()
    assert evidence.read_text(encoding="utf8") == f"{log.note(5)}\n{forked.note(5)}"


def test_a_proof_where_none_belongs_is_refused(witness: Witness, log: MemoryLog) -> None:
    assert witness.add_checkpoint(bytes(Submission(0, (bytes(32),), log.note()))).status == 422
    witness.add_checkpoint(log.submission(0))
    assert witness.add_checkpoint(bytes(Submission(7, (bytes(32),), log.note()))).status == 422


def test_logs_it_does_not_know_and_keys_it_does_not_trust(witness: Witness, log: MemoryLog) -> None:
    other = MemoryLog(Signer("other.org/log", key("log"))).grow("a")
    assert witness.add_checkpoint(other.submission(0)).status == 404
    thief = MemoryLog(Signer(ORIGIN, key("thief"))).grow("a")
    assert witness.add_checkpoint(thief.submission(0)).status == 403
    unsigned = Note(log.note().body, thief.note().signatures)
    assert witness.add_checkpoint(bytes(Submission(0, (), unsigned))).status == 403
    forged = Note(log.note().body, log.note(3).signatures)  # its key's name and id, and no signature of this
    assert witness.add_checkpoint(bytes(Submission(0, (), forged))).status == 403
    assert witness.add_checkpoint(log.submission(0)).status == 200


def test_signatures_by_others_and_extension_lines_pass(witness: Witness, log: MemoryLog) -> None:
    thief = MemoryLog(Signer(ORIGIN, key("thief")), log.leaves)
    both = Note(log.note().body, (*thief.note().signatures, *log.note().signatures))
    assert cosigned(witness, both, witness.add_checkpoint(bytes(Submission(0, (), both))))
    plain = log.checkpoint()
    extended = Checkpoint(plain.origin, plain.size, plain.root, ("made on a Sunday",))
    note = Note.parse(log.signer.sign(extended))
    assert cosigned(witness, note, witness.add_checkpoint(bytes(Submission(7, (), note))))


GOOD = MemoryLog().grow(*"abcdefg").submission(0)
HASH = base64.b64encode(bytes(32))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"\n\n",
        b"old 0",
        b"old 0\n",
        b"old 0\n\n",
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"old 0", b"old 00"),
        GOOD.replace(b"old 0", b"old -1"),
        GOOD.replace(b"old 0", b"old +0"),
        GOOD.replace(b"old 0", b"old  0"),
        GOOD.replace(b"old 0", b"old 0 "),
        GOOD.replace(b"old 0", b"Old 0"),
        GOOD.replace(b"old 0", b"0"),
        GOOD.replace(b"old 0", "old ٣".encode()),
        GOOD.replace(b"old 0", b"old " + b"9" * 5000),
        GOOD.replace(b"old 0", b"old 0\nnot base64!"),
        GOOD.replace(b"old 0", b"old 0\n" + HASH[:-1]),
        GOOD.replace(b"old 0", b"old 0\n" + base64.b64encode(bytes(31))),
        GOOD.replace(b"old 0", b"old 0\n" + base64.b64encode(bytes(33))),
        GOOD.replace(b"old 0", b"old 0\n " + HASH),
        GOOD.replace(b"old 0", b"old 0" + b"\n" + HASH[:-2] + b"B="),
        GOOD.replace(b"old 0", b"old 0" + (b"\n" + HASH) * 64),
        GOOD.replace(b"\n\n", b"\n", 1),
        GOOD.replace(b"\n7\n", b"\n07\n"),
        GOOD.replace(b"\n7\n", b"\n7\n\n"),
        GOOD.replace(ORIGIN.encode(), b"", 1),
        GOOD.replace("— ".encode(), b"- "),
        GOOD[:-1],
        GOOD[:-40],
        GOOD + b"\n",
        GOOD + b"x",
        GOOD.replace(b"old", b"\xff\xfe"),
        GOOD.replace(b"\n7\n", b"\n\xff\n"),
        GOOD.replace(b"\n7\n", b"\n7\x00\n"),
        b"\xef\xbb\xbf" + GOOD,
        b"old 0\n\n" + b"x" * 100_000,
        b"\x00" * 1000,
    ],
)
def test_hostile_requests(witness: Witness, log: MemoryLog, body: bytes) -> None:
    assert witness.add_checkpoint(body).status == 400
    assert witness.add_checkpoint(log.submission(0)).status == 200, "the state changed, or the test shows nothing"


def test_sixty_three_lines_are_not_too_many(witness: Witness) -> None:
    assert witness.add_checkpoint(GOOD.replace(b"old 0", b"old 0" + (b"\n" + HASH) * 63)).status == 422


# ---------------------------------------------------------------- rotated keys

NEXT, EVIL, THIRD = (Signer(ORIGIN, key(name)) for name in ("next", "evil", "third"))


def rotation(log: MemoryLog, to: Signer, old: int) -> bytes:
    note = Note.parse(sign(log.checkpoint(), log.signer, to))
    return bytes(Submission(old, (), note))


def test_a_rotation_is_followed_and_survives(log: MemoryLog, state: Path) -> None:
    after = MemoryLog(NEXT, list(log.leaves)).grow("h")
    with witness_in(state) as witness:
        assert witness.add_checkpoint(log.submission(0)).status == 200
        assert witness.add_checkpoint(after.submission(7)).status == 403, "a key that nobody announced"
        assert witness.add_checkpoint(rotation(log, NEXT, 7)).status == 200
        assert witness.add_checkpoint(rotation(log, NEXT, 7)).status == 200, "submitted again"
        assert witness.add_checkpoint(after.submission(7)).status == 200
    with witness_in(state) as again:  # whose operator still names the first key
        assert again.add_checkpoint(after.grow("i").submission(8)).status == 200
        gone_on = MemoryLog(log.signer, list(after.leaves)).grow("j")
        refused = again.add_checkpoint(gone_on.submission(9))
        assert (refused.status, "retired at 7" in refused.body) == (403, True)
        # and a second one, from the second key
        second = MemoryLog(NEXT, list(after.leaves))
        assert again.add_checkpoint(rotation(second, THIRD, 9)).status == 200
        assert again.add_checkpoint(MemoryLog(THIRD, list(after.leaves)).grow("k").submission(9)).status == 200


def test_a_retired_key_cannot_rotate_again(log: MemoryLog, witness: Witness) -> None:
    witness.add_checkpoint(log.submission(0))
    witness.add_checkpoint(rotation(log, NEXT, 7))
    assert witness.add_checkpoint(rotation(log, EVIL, 7)).status == 200, "a checkpoint like any other, of size 7"
    assert witness.add_checkpoint(MemoryLog(EVIL, list(log.leaves)).grow("h").submission(7)).status == 403
    assert witness.add_checkpoint(MemoryLog(NEXT, list(log.leaves)).grow("h").submission(7)).status == 200


@pytest.mark.parametrize("signers", [(0,), (1,), ()])
def test_a_rotation_needs_both_signatures(log: MemoryLog, witness: Witness, signers: tuple[int, ...]) -> None:
    note = Note.parse(sign(log.checkpoint(), log.signer, NEXT))
    half = Note(note.body, tuple(note.signatures[at] for at in signers) or EVIL_SIGNATURES)
    assert witness.add_checkpoint(bytes(Submission(0, (), half))).status == 403
    assert witness.add_checkpoint(MemoryLog(NEXT, log.leaves).submission(0)).status == 403


EVIL_SIGNATURES = MemoryLog(EVIL).grow("a").note().signatures


def test_an_operator_says_which_key_he_means_after_a_theft(log: MemoryLog, state: Path) -> None:
    """The thief was faster: the witness follows the thief's key until its operator names the log's new one."""
    honest, forged = (MemoryLog(by, list(log.leaves)).grow("h") for by in (NEXT, EVIL))
    with witness_in(state) as witness:
        witness.add_checkpoint(log.submission(0))
        assert witness.add_checkpoint(rotation(log, EVIL, 7)).status == 200
        assert witness.add_checkpoint(honest.submission(7)).status == 403
    with witness_in(state, NEXT.verifier) as told:
        assert told.add_checkpoint(forged.submission(7)).status == 403
        assert told.add_checkpoint(honest.submission(7)).status == 200
        assert told.add_checkpoint(rotation(honest, THIRD, 8)).status == 200
        assert told.add_checkpoint(MemoryLog(THIRD, list(honest.leaves)).grow("i").submission(8)).status == 200


def test_several_keys_of_one_log(log: MemoryLog, state: Path) -> None:
    with witness_in(state, NEXT.verifier, log.signer.verifier) as witness:
        assert witness.add_checkpoint(log.submission(0)).status == 200
        assert witness.add_checkpoint(MemoryLog(NEXT, list(log.leaves)).grow("h").submission(7)).status == 200
        assert witness.add_checkpoint(MemoryLog(EVIL, list(log.leaves)).grow(*"hi").submission(8)).status == 403


# ---------------------------------------------------------------- the folder


@pytest.fixture
def held(state: Path) -> Iterator[WitnessState]:
    state_held = WitnessState(state, Files())
    yield state_held
    state_held.close()


def test_a_folder_is_one_witness_s(state: Path, held: WitnessState) -> None:
    with pytest.raises(ConfigInvalid, match="Another witness"):
        WitnessState(state, Files())
    own = held.cosigner("witness.example/w1")
    assert held.cosigner().verifier == own.verifier
    with pytest.raises(ConfigInvalid, match="is called"):
        held.cosigner("another")
    assert (state / "key").stat().st_mode & 0o777 == 0o600
    assert (state / "vkey").read_text(encoding="utf8").strip() == own.verifier.vkey


def test_a_key_whose_logs_are_lost_cosigns_nothing(state: Path, held: WitnessState) -> None:
    """It could cosign a second tree."""
    held.cosigner()
    (state / "logs.json").unlink()
    with pytest.raises(ConfigInvalid, match="not whole"):
        held.cosigner()


def test_a_running_witness_that_loses_its_logs_cosigns_nothing(state: Path, log: MemoryLog, witness: Witness) -> None:
    witness.add_checkpoint(log.submission(0))
    (state / "logs.json").unlink()
    with pytest.raises(AuditUnavailable, match="damaged"):
        witness.add_checkpoint(log.submission(0))


def test_a_witness_that_cosigned_does_not_begin_again(state: Path, log: MemoryLog) -> None:
    with witness_in(state) as witness:
        assert witness.add_checkpoint(log.submission(0)).status == 200
    (state / "vkey").unlink()
    with pytest.raises(ConfigInvalid, match="not whole"), witness_in(state):
        pass


def test_damaged_state_cosigns_nothing(state: Path, log: MemoryLog, witness: Witness) -> None:
    witness.add_checkpoint(log.submission(0))
    file = state / "logs.json"
    for damage in (b"", b"[]", file.read_bytes()[:-20], file.read_bytes().replace(b"example.org", b"", 1)[:90]):
        file.write_bytes(damage)
        with pytest.raises(AuditUnavailable, match="damaged"):
            witness.add_checkpoint(log.submission(7))
