"""Signed notes, as strict as a stranger's reader: every hostile form is one domain error."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer, Verifier

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer("example.org/log", KEY)
CHECKPOINT = Checkpoint("example.org/log", 1234, bytes(range(32)))
NOTE = SIGNER.sign(CHECKPOINT)


def signed(body: str, signer: Signer = SIGNER) -> str:
    """Any body, honestly signed."""
    raw = signer.verifier.id + signer._key.sign(body.encode())
    return f"{body}\n— {signer.verifier.name} {base64.b64encode(raw).decode()}\n"


def test_a_note_says_what_was_signed() -> None:
    assert SIGNER.verifier.open(NOTE) == CHECKPOINT
    assert SIGNER.verifier.open(NOTE.encode()) == CHECKPOINT
    body, signature = NOTE.split("\n\n")
    assert body.split("\n") == ["example.org/log", "1234", base64.b64encode(bytes(range(32))).decode()]
    assert signature.startswith("— example.org/log ")


def test_the_key_s_text_form_comes_back() -> None:
    vkey = SIGNER.verifier.vkey
    assert Verifier.parse(vkey + "\n").open(NOTE) == CHECKPOINT
    name, id, key = vkey.split("+", 2)
    assert (name, len(id), base64.b64decode(key)[0]) == ("example.org/log", 8, 1)


def test_go_s_example_key_is_read() -> None:
    """From the documentation of golang.org/x/mod/sumdb/note."""
    vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    note = (
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    with pytest.raises(VerificationFailed, match="2 lines"):  # signed as it should be, but no checkpoint
        Verifier.parse(vkey).open(note)


def test_signatures_by_others_are_passed_over() -> None:
    witness = Signer("witness.example", Ed25519PrivateKey.generate())
    line = signed(CHECKPOINT.body, witness).split("\n\n")[1]
    assert SIGNER.verifier.open(NOTE + line) == CHECKPOINT
    with pytest.raises(VerificationFailed, match="not signed by"):
        SIGNER.verifier.open(signed(CHECKPOINT.body, witness))


def test_every_signature_by_the_key_must_hold() -> None:
    wrong = signed("something else\n").split("\n\n")[1]
    with pytest.raises(VerificationFailed, match="does not fit"):
        SIGNER.verifier.open(NOTE + wrong)


ROOT64 = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "body",
    [
        f"example.org/log\n1234\n{ROOT64}\nan extension\n",
        f"example.org/log\n1234\n\n{ROOT64}\n",
        "example.org/log\n1234\n",
        f"other.org/log\n1234\n{ROOT64}\n",
        f"example.org/lоg\n1234\n{ROOT64}\n",
        f" example.org/log\n1234\n{ROOT64}\n",
        f"example.org/log\n01234\n{ROOT64}\n",
        f"example.org/log\n-1\n{ROOT64}\n",
        f"example.org/log\n+1\n{ROOT64}\n",
        f"example.org/log\n1_234\n{ROOT64}\n",
        f"example.org/log\n１２\n{ROOT64}\n",
        f"example.org/log\n{'9' * 5000}\n{ROOT64}\n",
        f"example.org/log\n1234\n{ROOT64[:-4]}\n",
        f"example.org/log\n1234\n{ROOT64[:-1]}\n",
        f"example.org/log\n1234\n{ROOT64[:-2]}B=\n",
        f"example.org/log\n1234\n {ROOT64}\n",
        "example.org/log\n1234\n" + "é" * 44 + "\n",
        "\n",
    ],
)
def test_a_signed_body_that_is_no_checkpoint_of_this_log(body: str) -> None:
    with pytest.raises(VerificationFailed):
        SIGNER.verifier.open(signed(body))


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n",
        b"\n\n",
        NOTE[:-1].encode(),
        NOTE.replace("\n", "\r\n").encode(),
        NOTE.replace("\n\n", "\n").encode(),
        NOTE.replace("— ", "- ").encode(),
        NOTE.replace("— ", "—  ").encode(),
        NOTE.replace("— ", "– ").encode(),
        NOTE.replace("1234", "1235").encode(),
        NOTE.replace("example", "exаmple").encode(),
        (NOTE + "\n").encode(),
        (NOTE + "trailing\n").encode(),
        ("\n" + NOTE).encode(),
        NOTE.encode() + b"\xff\n",
        NOTE.encode("utf-16"),
        NOTE.encode().replace(b"1234", b"1234\x00"),
        NOTE.encode() * 200,
        ("x" * 10**6 + NOTE).encode(),
        "— example.org/log AAAA\n".encode(),
        CHECKPOINT.body.encode() + "\n— example.org/log AAAA\n".encode(),
        CHECKPOINT.body.encode() + "\n—  \n".encode(),
    ],
)
def test_hostile_notes_are_one_domain_error(note: bytes) -> None:
    with pytest.raises(VerificationFailed):
        SIGNER.verifier.open(note)


def test_every_bit_of_a_note_counts() -> None:
    raw = NOTE.encode()
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1
        with pytest.raises(VerificationFailed):
            SIGNER.verifier.open(bytes(changed))


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        "name+00000000+AAAA",
        SIGNER.verifier.vkey.replace("example", "examplf"),
        SIGNER.verifier.vkey.replace("+", "-", 1),
        SIGNER.verifier.vkey[:-1],
        SIGNER.verifier.vkey + "A",
        "a b+" + SIGNER.verifier.vkey.partition("+")[2],
    ],
)
def test_a_malformed_key_is_one_domain_error(vkey: str) -> None:
    with pytest.raises(VerificationFailed):
        Verifier.parse(vkey)


def test_a_log_signs_only_its_own_checkpoints() -> None:
    with pytest.raises(ValueError, match="its own"):
        SIGNER.sign(Checkpoint("other.org/log", 1, bytes(32)))
