"""The worked example of docs/witness.md is what the code makes of fixed keys; ``python THIS`` prints it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from audit_witness_fixtures import NOW, MemoryLog, key, witness_in
from isthmus.governance.audit.notes.checkpoint import Signer
from isthmus.governance.audit.notes.cosignature import Cosigner
from isthmus.governance.audit.notes.rotation import sign

PAGE = Path(__file__).resolve().parents[2] / "docs" / "witness.md"


def example(state: Path) -> Iterator[str]:
    """The blocks of the page: the two keys, a request, its answer, a conflict, a rotation."""
    log = MemoryLog().grow("zero", "one", "two", "three", "four")
    fixed = Cosigner("witness.example/w1", key("witness"))
    state.mkdir()
    (state / "logs.json").write_text("{}", encoding="utf8")
    (state / "key").write_bytes(key("witness").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (state / "key").chmod(0o600)
    (state / "vkey").write_text(fixed.verifier.vkey, encoding="utf8")
    yield f"{log.signer.verifier.vkey}\n{fixed.verifier.vkey}\n"
    with witness_in(state) as witness:
        witness.add_checkpoint(log.submission(0, 3))
        yield log.submission(3).decode()
        yield witness.add_checkpoint(log.submission(3)).body
        yield witness.add_checkpoint(log.submission(3)).body
    yield sign(log.checkpoint(), log.signer, Signer(log.signer.verifier.name, key("next")))


def test_the_example_is_what_the_code_makes(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf8")
    for block in example(tmp_path / "state"):
        assert f"```\n{block}```\n" in page
    assert f"at {int(NOW.timestamp())}" in page


if __name__ == "__main__":
    import tempfile

    print("\n".join(f"```\n{block}```\n" for block in example(Path(tempfile.mkdtemp()) / "state")))
