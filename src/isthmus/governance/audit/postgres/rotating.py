"""Giving a shared log a new key: one transaction, so there is nothing in between."""

from __future__ import annotations

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.notes.rotation import sign
from isthmus.governance.audit.postgres import statements as say
from isthmus.governance.audit.postgres.identity import Place
from isthmus.governance.audit.postgres.session import Call
from isthmus.governance.audit.writing.keys import coming, load_key


def next_signer(place: Place, old: Signer) -> Signer:
    """The signer that takes over. Its key must lie beside the old one, here as on every replica: each puts it in the
    old one's place by itself once it sees that the log's key is another. Raises :class:`AuditUnavailable`."""
    path = coming(place.key)
    if not path.exists():
        make = f"(umask 077; openssl genpkey -algorithm ed25519 -out {path})"
        raise AuditUnavailable(
            f"There is no key to rotate to: {path}.", hint=f"Make it, and copy it to every replica first: {make}"
        )
    return Signer(old.verifier.name, load_key(path))


def take_over(checkpoint: Checkpoint, old: Signer, new: Signer) -> list[Call]:
    """What makes the new key the log's: the rotation, signed by both, and the newest checkpoint by the new one."""
    number = len(old.verifier.retired) + 1
    return [
        Call(say.ROTATE, (say.integer(number), sign(checkpoint, old, new).encode())),
        Call(
            say.TAKE_OVER,
            (new.verifier.vkey.encode(), say.bigint(checkpoint.size), new.sign(checkpoint).encode()),
        ),
    ]
